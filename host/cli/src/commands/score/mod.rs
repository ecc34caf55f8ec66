//! `ekphrasis score`

mod chosen;
mod measured;
mod shown;

use crate::{Context, error::Result, screen::print};
use chosen::Chosen;
use ekphrasis_metrics::{
    Groups, Resampling, Suite, TextFrequencies, Texts,
    files::{self, CaptionSet, Training, Wording},
    novel_share,
};
use measured::{Measured, System};
use std::path::{Path, PathBuf};

/// Arguments of `score`.
#[derive(clap::Args)]
pub struct Args {
    /// The captions that people wrote
    #[arg(long, value_name = "FILE")]
    refs: PathBuf,
    /// The captions to score, one for each image
    #[arg(long, value_name = "FILE")]
    cands: PathBuf,
    /// The captions of another system, to be compared with these
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// What to compute [default: bleu,meteor,rouge_l,cider,diversity]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Score these splits only, of references that name splits (Karpathy's)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    split: Vec<String>,
    /// Leave out images that are not in all files, and say how many
    #[arg(long)]
    only_common: bool,
    /// The captions are tokenised already: words parted by spaces
    #[arg(long)]
    tokenized: bool,
    /// Captions, or a saved file, to count CIDEr's document frequencies from [default: the references]
    #[arg(long, value_name = "FILE")]
    df: Option<PathBuf>,
    /// Save the document frequencies that were used
    #[arg(long, value_name = "FILE")]
    save_df: Option<PathBuf>,
    /// Count the end of a caption as a word in BLEU and CIDEr, as rewards do
    #[arg(long)]
    eos: bool,
    /// Print JSON with all digits instead of tables
    #[arg(long)]
    json: bool,
    /// Write the scores of each image: CSV or JSON, by the ending
    #[arg(long, value_name = "FILE")]
    per_image: Option<PathBuf>,
    /// How often images are drawn anew for intervals and p-values
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    resamples: u32,
    /// Where the random numbers of the resampling begin
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What is read and paired: tokens, and what there is to say about them.
struct Prepared {
    references: Groups,
    systems: Vec<Texts>,
    /// Of the images, for the scores of each.
    ids: Vec<String>,
    about: About,
}

/// Where the captions come from and what became of them.
struct About {
    references: (String, &'static str),
    references_left_out: usize,
    /// By system: file, form, captions left out, captions without a word.
    systems: Vec<(String, &'static str, usize, usize)>,
}

/// Scores captions.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let say = |text: &str| context.screen.say(text);
    let chosen = Chosen::new(&args.metrics)?;
    if let Some(path) = &args.per_image {
        shown::ending(path)?;
    }
    let Prepared { references, systems, ids, about } = prepared(&args, &say)?;
    let (given, training) = match &args.df {
        Some(path) => frequencies(path, &args, &say)?,
        None => (None, None),
    };
    let mut suite = Suite::new(references, given, args.eos)?;
    if let Some(path) = &args.save_df {
        ekphrasis_report::write_atomically(path, &suite.frequencies().to_json()?)?;
    }
    let meteor = chosen.meteor(context)?;
    let resampling =
        Resampling { samples: args.resamples as usize, seed: args.seed, ..Resampling::default() };
    let mut scored = Vec::new();
    for candidates in systems {
        let scores = suite.score(&candidates, &chosen.metrics, meteor.as_ref())?;
        let written: Vec<&str> = candidates.iter().collect();
        let novel = training.as_ref().filter(|_| !written.is_empty()).map(|training| {
            novel_share(&written, (0..training.len()).flat_map(|image| training.group(image)))
        });
        scored.push(System::new(scores, &chosen, novel));
    }
    if let Some(path) = &args.per_image {
        shown::per_image(path, &ids, &scored)?;
    }
    let measured = Measured::new(scored, &resampling, chosen.diversity)?;
    match args.json {
        true => print(&shown::json(&measured, &about, &suite, &args, &resampling)?),
        false => print(&shown::tables(&measured, &suite, &resampling)),
    }
}

fn wording(args: &Args) -> Wording {
    if args.tokenized { Wording::Tokens } else { Wording::Raw }
}

/// Reads the files, pairs them, tokenises them.
fn prepared(args: &Args, say: &dyn Fn(&str)) -> Result<Prepared> {
    let read = |path: &Path| -> Result<CaptionSet> {
        let set = files::read(path, wording(args))?;
        if set.without_captions() > 0 {
            say(&format!(
                "{}: {} images have no caption and are left out",
                set.file(),
                set.without_captions()
            ));
        }
        Ok(set)
    };
    let splits: Vec<&str> = args.split.iter().map(String::as_str).collect();
    let mut references = read(&args.refs)?;
    let mut systems = [Some(&args.cands), args.compare.as_ref()]
        .into_iter()
        .flatten()
        .map(|p| read(p))
        .collect::<Result<Vec<_>>>()?;
    if !splits.is_empty() {
        references.select(&splits)?;
        for candidates in systems.iter_mut().filter(|set| !set.splits().is_empty()) {
            candidates.select(&splits)?;
        }
    }
    let sets: Vec<&CaptionSet> = systems.iter().collect();
    let pairs = files::pair(&references, &sets, args.only_common)?;
    say(&format!("{}: {}, {} images", references.file(), references.form(), references.len()));
    if pairs.references_left_out() > 0 {
        say(&format!(
            "left out: {} images of the references without candidates",
            pairs.references_left_out()
        ));
    }
    let mut about = About {
        references: (references.file().into(), references.form()),
        references_left_out: pairs.references_left_out(),
        systems: Vec::new(),
    };
    let mut texts = Vec::new();
    for (system, set) in sets.iter().enumerate() {
        let candidates: Vec<&str> = pairs.candidates(system).collect();
        let tokens = match args.tokenized {
            true => candidates.iter().collect(),
            false => Texts::tokenized(&candidates),
        };
        let (left_out, empty) =
            (pairs.candidates_left_out(system), tokens.iter().filter(|text| text.trim().is_empty()).count());
        say(&format!("{}: {}, paired by {}", set.file(), set.form(), pairs.paired_by(system)));
        if left_out > 0 {
            say(&format!("left out: {left_out} captions of images that are not in all files"));
        }
        if empty > 0 {
            say(&format!("{empty} captions have no word; they count, with what coco-caption gives them"));
        }
        about.systems.push((set.file().into(), set.form(), left_out, empty));
        texts.push(tokens);
    }
    let groups = match args.tokenized {
        true => Groups::tokens(pairs.references()),
        false => Groups::tokenized(pairs.references()),
    };
    let ids = match args.per_image {
        Some(_) => pairs.ids().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    Ok(Prepared { references: groups, systems: texts, ids, about })
}

/// Document frequencies from a saved file or from captions, which are given too: of Karpathy's JSON those that are
/// trained on.
fn frequencies(
    path: &Path,
    args: &Args,
    say: &dyn Fn(&str),
) -> Result<(Option<TextFrequencies>, Option<Groups>)> {
    let mut set = match files::read_training(path, wording(args))? {
        Training::Frequencies(saved) => return Ok((Some(saved), None)),
        Training::Captions(set) => set,
    };
    let training: Vec<String> = set.splits().iter().map(|(name, _)| (*name).to_owned()).collect();
    let training: Vec<&str> =
        training.iter().map(String::as_str).filter(|name| ["train", "restval"].contains(name)).collect();
    if !training.is_empty() {
        set.select(&training)?;
        say(&format!("{}: document frequencies of its splits {}", set.file(), training.join(", ")));
    }
    let images = (0..set.len()).map(|image| set.captions(image).collect());
    let groups = if args.tokenized { Groups::tokens(images) } else { Groups::tokenized(images) };
    Ok((Some(TextFrequencies::count(&groups, args.eos)), Some(groups)))
}
