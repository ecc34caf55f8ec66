//! Every bundled reward scores a real batch, and the compiled one equals its twin in Lua.

use ekphrasis_metrics::Flaw;
use ekphrasis_runtime::DeviceTensor;
use ekphrasis_train::{
    Alarms, Captions, Choice, Config, Layout, Silent, World, evaluate,
    reward::{RewardBatch, Source, score},
    start_runtime,
};
use std::{path::Path, rc::Rc, sync::Arc};

const CONFIG: &str = r#"
    name = "rewards"
    [data]
    format = "shapes"
    counts = { train = 24, val = 4, test = 4, compositional = 4 }
    [models]
    captioner = "transformer_captioner"
    generator = "generator"
    discriminator = "discriminator"
    scorer = "dual_encoder"
    [schedule]
    script = "supervised"
"#;

fn world() -> Rc<World> {
    world_with("")
}

/// With further tables in the config.
fn world_with(tables: &str) -> Rc<World> {
    let config = Config::from_table(toml::from_str(&format!("{CONFIG}\n{tables}")).unwrap()).unwrap();
    let cache = ekphrasis_runtime::Config::default_cache();
    let layout = Layout::find(Path::new(env!("CARGO_MANIFEST_DIR")), cache.clone()).unwrap();
    let runtime = start_runtime(&config, &cache, false, &|_| ()).unwrap();
    World::open(config, layout, runtime, Box::new(Silent), &|_, _| (), Arc::default()).unwrap()
}

/// Two captions for each of three pictures: their own references, one with stutters, one cut off.
fn batch(world: &Rc<World>) -> RewardBatch {
    let split = world.split("train").unwrap();
    let words = &world.data.vocabulary;
    let ids = |text: &str, end: bool| -> Vec<i64> {
        let ids = words.encode(text).into_iter().map(i64::from);
        ids.chain(end.then_some(2)).collect()
    };
    let own = |i: usize| ids(&split.examples[i].captions[0], true);
    let rows = vec![
        own(0),
        ids("a red circle and a red circle and a red circle", true),
        own(1),
        ids("a", false),
        own(2),
        ids("a small blue ring a small blue ring above", true),
    ];
    let image: DeviceTensor = evaluate::pictures(&split, &[0, 1, 2]).unwrap();
    let source = |index| Source { index, painted_from: None };
    RewardBatch::new(world, &split, Captions::new(rows), image, (0..3).map(source).collect(), 7)
}

fn choice(script: &str, params: serde_json::Value) -> Choice {
    Choice { script: script.into(), params: params.as_object().cloned().unwrap_or_default() }
}

#[test]
fn bundled_rewards_score_and_the_compiled_one_equals_its_twin() {
    let world = world();
    let rewards = |script: &str, params: serde_json::Value| {
        score(batch(&world), &choice(script, params)).unwrap_or_else(|e| panic!("{script}: {e}"))
    };
    let none = serde_json::Value::Null;

    let cider = rewards("cider_d", none.clone()).rewards;
    assert!(cider.iter().step_by(2).all(|own| *own > 2.0), "a caption of the picture itself: {cider:?}");
    assert!(cider[1] < cider[0] && cider[3] < cider[2], "{cider:?}");
    let bleu = rewards("bleu", none.clone()).rewards;
    assert!((bleu[0] - 1.0).abs() < 1e-4, "{bleu:?}");
    let meteor = rewards("meteor", none.clone()).rewards;
    assert!(
        meteor.iter().step_by(2).all(|own| (own - 1.0).abs() < 1e-6),
        "word for word a reference: {meteor:?}"
    );
    assert!([1, 3, 5].iter().all(|i| (0.0..0.9).contains(&meteor[*i])), "{meteor:?}");
    for name in ["similarity", "redescription"] {
        let cosines = rewards(name, none.clone()).rewards;
        assert!(cosines.iter().all(|c| c.abs() <= 1.0 + 1e-5), "{name}: {cosines:?}");
    }
    let logits = rewards("discriminator", none.clone()).rewards;
    assert!(logits.iter().all(|p| (0.0..=1.0).contains(p)), "{logits:?}");

    let weights = serde_json::json!({ "weights": { "cider_d": 1.0, "bleu": 2.0 } });
    let mixed = rewards("mix", weights);
    for i in 0..6 {
        assert!((mixed.rewards[i] - cider[i] - 2.0 * bleu[i]).abs() < 1e-5);
    }
    assert_eq!(mixed.parts["reward.bleu.weight"], 2.0);
    assert!(mixed.parts["reward.cider_d"] > 0.0);

    for params in [none, serde_json::json!({ "n": 2, "weight": 0.5 })] {
        let lua = rewards("repetition", params.clone()).rewards;
        let compiled = rewards("repetition_native", params).rewards;
        assert_eq!(lua, compiled);
        assert!(lua[1] < 0.0 && lua[0] == 0.0, "{lua:?}");
    }
}

#[test]
fn references_of_a_painted_picture_are_the_caption_it_was_painted_from() {
    let world = world();
    let mut painted = batch(&world);
    for source in &mut painted.sources {
        source.painted_from = Some(0);
    }
    let all = score(batch(&world), &choice("cider_d", serde_json::Value::Null)).unwrap().rewards;
    let one = score(painted, &choice("cider_d", serde_json::Value::Null)).unwrap().rewards;
    // Five references dilute the one that is repeated word for word.
    assert!((0..3).all(|i| one[2 * i] > all[2 * i]), "{one:?} {all:?}");
    assert!((one[0] - 10.0).abs() < 1e-4, "{one:?}");
}

#[test]
fn captions_by_people_raise_no_alarm_and_flawed_ones_do() {
    let world = world();
    let split = world.split("train").unwrap();
    let ended = |words: &Vec<u32>| words.iter().map(|w| i64::from(*w)).chain([2]).collect();
    let people = Captions::new(split.examples.iter().flat_map(|e| e.tokens.iter().map(ended)).collect());
    let limits = Alarms::default();
    for (flaw, share) in world.scoring.flaws(&people) {
        assert!(share <= limits.limit(flaw).unwrap() / 2.0, "{flaw:?}: {share}");
    }
    // Of six captions one repeats bigrams and trigrams, another too, and one is "a" and no end.
    let sampled = batch(&world).captions;
    let share = |flaw| world.scoring.flaws(&sampled).find(|(known, _)| *known == flaw).unwrap().1;
    for (flaw, expected) in [
        (Flaw::RepeatedTrigrams, 2.0),
        (Flaw::NoEos, 1.0),
        (Flaw::Truncated, 1.0),
        (Flaw::RepeatedWords, 0.0),
        (Flaw::Empty, 0.0),
    ] {
        assert_eq!(share(flaw), expected / 6.0, "{flaw:?}");
    }
    assert!(
        world.scoring.has(Flaw::Truncated, &sampled, 3) && !world.scoring.has(Flaw::Truncated, &sampled, 2)
    );
}

#[test]
fn scores_of_a_split_say_how_varied_its_captions_are() {
    let world = world();
    let split = world.split("train").unwrap();
    let first = |tokens: &[Vec<u32>]| tokens[0].iter().map(|w| i64::from(*w)).chain([2]).collect();
    let own = Captions::new(split.examples.iter().map(|e| first(&e.tokens)).collect());
    let scores = world.scoring.split(&own, &split, &world.data).unwrap();
    assert_eq!(scores["novel"], 0.0, "captions of the training split");
    assert!(scores["cider_d_low"] < scores["cider_d"] && scores["cider_d"] < scores["cider_d_high"]);
    assert!(scores["vocabulary"] > 10.0 && scores["distinct_1"] < scores["distinct_2"], "{scores:?}");
    // The same words the other way round: nobody wrote that.
    let reversed = |row: &Vec<i64>| row[..row.len() - 1].iter().rev().copied().chain([2]).collect();
    let odd = Captions::new(own.rows().iter().map(reversed).collect());
    let odd = world.scoring.split(&odd, &split, &world.data).unwrap();
    assert_eq!((odd["novel"], odd["vocabulary"]), (1.0, scores["vocabulary"]));
}

#[test]
fn evaluation_has_meteor_where_the_config_asks() {
    let scores = |world: &World| {
        let split = world.split("val").unwrap();
        let own =
            |e: &ekphrasis_data::Example| e.tokens[0].iter().map(|t| i64::from(*t)).chain([2]).collect();
        let captions = Captions::new(split.examples.iter().map(own).collect());
        world.scores(&captions, &split).unwrap()
    };
    assert!(!scores(&world()).contains_key("meteor"));
    let asking = scores(&world_with("[evaluation]\nmeteor = true"));
    assert!((asking["meteor"] - 1.0).abs() < 1e-9, "{asking:?}");
}
