//! `ekphrasis eval`

use crate::{
    Context,
    error::Result,
    opened,
    screen::{self, print},
    shown,
};
use ekphrasis_train::{Role, Rollout, evaluate};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Arguments of `eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the run
    run: PathBuf,
    /// A split to score, may be given more than once [default: all but train]
    #[arg(long, value_name = "SPLIT")]
    split: Vec<String>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Scores a run on splits.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let world = opened::run(context, &args.run)?;
    let names = match args.split.is_empty() {
        true => world.data.splits.keys().filter(|name| *name != "train").cloned().collect(),
        false => args.split,
    };
    // All names first: a wrong one should not cost the time of the right ones.
    let splits = names.iter().map(|name| Ok(world.split(name)?)).collect::<Result<Vec<_>>>()?;
    let has = |role| world.models().contains_key(&role);
    let (mut captioner, mut gan, mut scorer) = (Map::new(), Map::new(), Map::new());
    let mut rollout = match has(Role::Captioner) {
        true => Some(Rollout::new(&world, &world.config.evaluation.policy, 1, true)?),
        false => None,
    };
    for (name, split) in names.iter().zip(&splits) {
        context.screen.say(&format!("scoring {name}: {} pictures", split.len()));
        let mut captions = None;
        if let Some(rollout) = &mut rollout {
            let written = evaluate::caption_split(&world, rollout, split)?;
            let scores = world.scores(&written, split)?;
            captioner.insert(name.clone(), json!(scores));
            captions = Some(written);
        }
        if has(Role::Scorer) {
            let scores = evaluate::scorer(&world, split, captions.as_ref())?;
            scorer.extend(scores.map(|scores| (name.clone(), scores)));
        }
        if has(Role::Generator) && has(Role::Scorer) {
            gan.insert(name.clone(), json!(evaluate::gan(&world, split)?));
        }
    }
    if args.json {
        let all = json!({ "captioner": captioner, "scorer": scorer, "gan": gan });
        return print(&screen::json(&all)?);
    }
    let mut parts = vec![];
    // No label: these are the captions of one captioner.
    let unlabelled = Map::from_iter([(String::new(), Value::Object(captioner))]);
    parts.extend(shown::caption_scores(&unlabelled).map(|table| screen::table(&table)));
    parts.extend(shown::scorer_scores(&scorer).map(|table| screen::table(&table)));
    for (name, scores) in &gan {
        parts.extend(shown::gan_scores(scores).map(|table| format!("{name}\n{}", screen::table(&table))));
        parts.extend(shown::distances(scores).map(|table| screen::table(&table)));
    }
    print(&parts.join("\n"))
}
