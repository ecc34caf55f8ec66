//! One small run through the whole schedule, and everything that can be done with it.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::{Project, workspace};
use serde_json::Value;
use std::{fs, sync::OnceLock};

/// A project with a finished run in `runs/tiny`, and what the run printed.
fn trained() -> &'static (Project, String) {
    static TRAINED: OnceLock<(Project, String)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let project = Project::new();
        let out = project.ekphrasis("run configs/tiny.toml").ok().out;
        (project, out)
    })
}

#[test]
fn a_run_leaves_everything_that_it_should() {
    let (project, out) = trained();
    for part in ["CIDEr-D", "cross entropy", "policy gradient", "compositional", "R-precision", "human"] {
        assert!(out.contains(part), "expected {part:?} in:\n{out}");
    }
    let sheet = project.path("runs/tiny/samples/final.png");
    assert!(out.contains("runs/tiny/samples/final.png") && image::image_dimensions(&sheet).unwrap().0 > 300);

    let summary = project.summary("runs/tiny");
    for label in ["cross_entropy", "policy_gradient"] {
        for split in ["val", "test", "compositional"] {
            for metric in ["cider_d", "bleu_4", "rouge_l", "truth"] {
                let value = &summary["captioner"][label][split][metric];
                assert!(value.as_f64().is_some_and(f64::is_finite), "{label}.{split}.{metric}: {value}");
            }
        }
    }
    for metric in ["r_precision", "r_precision_real", "r_precision_hard"] {
        let value = summary["gan"][metric].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{metric}: {value}");
    }
    for distance in ["frechet(dual_encoder)", "kernel(dual_encoder)"] {
        assert!(summary["gan"][distance].as_f64().is_some_and(f64::is_finite), "{}", summary["gan"]);
        assert!(out.contains(distance), "expected {distance} in:\n{out}");
    }
    for phase in ["cross_entropy", "scorer", "gan", "gan_turn", "policy_gradient"] {
        assert!(summary["seconds"][phase].as_f64().unwrap() > 0.0);
    }
    assert!(summary["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(summary["weights_blake3"].as_str().unwrap().len(), 64);

    let run = project.path("runs/tiny");
    for file in [
        "config.toml",
        "manifest.json",
        "journal.jsonl",
        "scripts/losses/hinge_gan.lua",
        "plugins/models/generator/model.lua",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["global_step"], 40 + 20 + 20 + 2 * (10 + 10));
    assert!(lines.contains("reward.redescription.weight"), "components of the reward are logged");
    let events = fs::metadata(run.join("events.out.tfevents.ekphrasis")).unwrap().len();
    assert!(events > 1000, "the event file has {events} bytes");
    let checkpoints = fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(checkpoints, 2, "the last checkpoint and the one before");
}

#[test]
fn the_same_config_gives_the_same_run_and_a_new_folder() {
    let (project, _) = trained();
    let again = project.ekphrasis("run configs/tiny.toml --set checkpoint_seconds=1000").ok();
    assert!(again.out.contains("runs/tiny-2"), "{}", again.out);
    assert_eq!(
        project.summary("runs/tiny")["weights_blake3"],
        project.summary("runs/tiny-2")["weights_blake3"]
    );
    let other = project.ekphrasis("run configs/tiny.toml --set seed=1 --out elsewhere/one").ok();
    assert!(other.out.contains("elsewhere/one"));
    assert_ne!(
        project.summary("runs/tiny")["weights_blake3"],
        project.summary("elsewhere/one")["weights_blake3"]
    );
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let (project, out) = trained();
    let before = fs::read(project.path("runs/tiny/summary.json")).unwrap();
    let again = project.ekphrasis("run --resume runs/tiny").ok();
    assert!(again.err.contains("this run is finished"));
    assert_eq!(&again.out, out);
    assert_eq!(fs::read(project.path("runs/tiny/summary.json")).unwrap(), before);
}

#[test]
fn eval_gives_the_scores_of_the_run() {
    let (project, _) = trained();
    let json = project.ekphrasis("eval runs/tiny --split val --split test --json").ok().out;
    let scores: Value = serde_json::from_str(&json).unwrap();
    let summary = project.summary("runs/tiny");
    for split in ["val", "test"] {
        assert_eq!(scores["captioner"][split], summary["captioner"]["policy_gradient"][split]);
    }
    assert_eq!(scores["gan"]["val"], summary["gan"]);
    let scorer = &scores["scorer"]["val"];
    assert_eq!(scorer["encoder"], "dual_encoder");
    for (score, limit) in [("clip_score", 2.5), ("ref_clip_score", 2.5 / 1.75)] {
        let value = scorer[score].as_f64().unwrap();
        assert!((0.0..=limit).contains(&value), "{score}: {value}");
    }
    for way in ["image_to_text", "text_to_image"] {
        let recall = [1, 5, 10].map(|k| scorer[way][format!("recall@{k}")].as_f64().unwrap());
        assert!(
            recall.is_sorted() && recall[2] <= 1.0 && scorer[way]["median_rank"].as_f64().unwrap() >= 1.0
        );
    }
    let table = project.ekphrasis("eval runs/tiny").ok().out;
    assert!(table.contains("compositional") && !table.contains("train"), "{table}");
    assert!(table.contains("RefCLIPScore") && table.contains("dual_encoder"), "{table}");
    project
        .ekphrasis("eval runs/tiny --split vall")
        .fails(1, &["unknown split `vall`", "hint: did you mean `val`?"]);
}

#[test]
fn pictures_get_captions_and_bad_files_are_named() {
    let (project, _) = trained();
    let picture = image::RgbImage::from_fn(90, 70, |x, y| image::Rgb([x as u8, y as u8, 200]));
    picture.save(project.path("a.png")).unwrap();
    picture.save(project.path("b.jpg")).unwrap();
    project.write("c.png", "no picture");
    let good = project.ekphrasis("caption runs/tiny a.png b.jpg").ok().out;
    let lines: Vec<&str> = good.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("a.png: ") && lines[1].starts_with("b.jpg: "), "{good}");
    let mixed = project
        .ekphrasis("caption runs/tiny c.png a.png")
        .fails(1, &["c.png: picture: neither JPEG nor PNG"]);
    assert_eq!(mixed.out.trim_end(), lines[0]);
}

#[test]
fn words_become_pictures() {
    let (project, _) = trained();
    let paint = |more: &str, caption: &str| {
        let mut command = project.command("imagine runs/tiny");
        let ended = common::Ended::of(command.arg(caption).args(more.split_whitespace()).output().unwrap());
        let ended = ended.ok();
        let path = project.path(ended.out.trim());
        (image::open(path).unwrap().to_rgb8(), ended.err)
    };
    let (first, _) = paint("--out one.png --scale 2", "a red circle above a blue square");
    assert_eq!(first.dimensions(), (32, 32));
    let (again, _) = paint("--out two.png --scale 2", "a red circle above a blue square");
    let (other, _) = paint("--out three.png --scale 2 --seed 1", "a red circle above a blue square");
    assert!(first == again && first != other);
    let (several, said) = paint("--out four.png --count 3 --scale 1", "a purpel star");
    assert_eq!(several.dimensions(), (34, 34));
    assert!(said.contains("do not know `purpel`; did you mean `purple`?"), "{said}");
}

/// A folder of ONNX files in the place of a model in Lua trains to the same weights, bit for bit.
#[test]
fn exported_models_train_alike() {
    let (project, _) = trained();
    for (model, out) in [("transformer_captioner", "captioner_onnx"), ("generator", "generator_onnx")] {
        let command = format!(
            "graph export plugins/models/{model} --config configs/tiny.toml --out plugins/models/{out}"
        );
        let out = project.ekphrasis(&command).ok().out;
        assert!(out.contains(".onnx") && out.contains("model.toml"), "{out}");
        project.ekphrasis(&command).fails(1, &["exists already"]);
    }
    project.ekphrasis(
        "run configs/tiny.toml --out runs/swapped --set models.captioner=captioner_onnx --set models.generator=generator_onnx",
    )
    .ok();
    let (lua, onnx) = (project.summary("runs/tiny"), project.summary("runs/swapped"));
    assert_eq!(lua["weights_blake3"], onnx["weights_blake3"]);
    assert_eq!(lua["captioner"], onnx["captioner"]);
    let listed = project.ekphrasis("plugin list").ok().out;
    assert!(listed.lines().any(|l| l.contains("generator_onnx") && l.contains("ONNX")), "{listed}");

    // With the weights of a run.
    project.ekphrasis("graph export plugins/models/generator --run runs/tiny --out painted_onnx").ok();
    let shown = project.ekphrasis("graph show painted_onnx").ok().out;
    assert!(shown.contains("text.") && shown.contains("image: f32[B, 3, 16, 16]"), "{shown}");
    project.ekphrasis("graph export plugins/models/dual_encoder --run runs/tiny --out scorer_onnx").ok();
    for i in 0..3u8 {
        let picture = image::RgbImage::from_fn(20, 16, |x, y| image::Rgb([x as u8 * 9, y as u8 * 9, i * 90]));
        fs::create_dir_all(project.path("some")).unwrap();
        picture.save(project.path(&format!("some/{i}.png"))).unwrap();
    }
    let scored =
        project.ekphrasis("score-images --real some --generated some --encoder scorer_onnx").ok().out;
    assert!(scored.contains("scorer_onnx") && scored.contains("Fréchet distance"), "{scored}");
    project
        .ekphrasis("graph export plugins/models/lstm_captioner --run runs/tiny --out none")
        .fails(1, &["expected the captioner of the run, `transformer_captioner`"]);

    project.ekphrasis("graph grad painted_onnx/generate.onnx --of image --wrt noise -o grad.onnx").ok();
    let shown = project.ekphrasis("graph show grad.onnx").ok().out;
    assert!(
        shown.contains("grad_image: f32[B, 3, 16, 16]") && shown.contains("grad_noise: f32[B, 8]"),
        "{shown}"
    );
}

/// A policy that looks at its numbers cannot be part of a graph: it runs on real tensors, to the same end.
#[test]
fn policies_that_cannot_be_traced_run_eagerly() {
    let (project, _) = trained();
    for policy in ["greedy", "multinomial"] {
        let traced = fs::read_to_string(project.path(&format!("scripts/policies/{policy}.lua"))).unwrap();
        let (head, body) = traced.split_once("sample = function(").unwrap();
        let (parameters, body) = body.split_once(")\n").unwrap();
        project.write(
            &format!("scripts/policies/watchful_{policy}.lua"),
            &format!(
                "{head}sample = function({parameters})\n    assert(logits:tolist()[1][1] < math.huge)\n{body}"
            ),
        );
    }
    let ended = project
        .ekphrasis(
            "run configs/tiny.toml --out runs/eager --set evaluation.policy=watchful_greedy --set phases.policy_gradient.rollout.policy=watchful_multinomial",
        )
        .ok();
    for policy in ["watchful_greedy", "watchful_multinomial"] {
        let said = format!("policy `{policy}` runs eagerly, as it cannot be traced");
        assert!(ended.err.contains(&said), "expected {said:?} in:\n{}", ended.err);
    }
    let (traced, eager) = (project.summary("runs/tiny"), project.summary("runs/eager"));
    assert_eq!(traced["captioner"], eager["captioner"]);
    assert_eq!(traced["weights_blake3"], eager["weights_blake3"]);
}

#[test]
fn photographs_train_too() {
    let project = Project::new();
    let mut images = vec![];
    for i in 0..24u32 {
        let name = format!("{i}.png");
        if i != 5 {
            let picture = image::RgbImage::from_fn(40 + i, 50, |x, y| {
                image::Rgb([(x * i) as u8, y as u8, (i * 10) as u8])
            });
            fs::create_dir_all(project.path("photos")).unwrap();
            picture.save(project.path("photos").join(&name)).unwrap();
        }
        let split = if i < 16 { "train" } else { "val" };
        let caption = format!("A photo of {} things.", if i % 2 == 0 { "even" } else { "odd" });
        images
            .push(serde_json::json!({ "filename": name, "split": split, "sentences": [{ "raw": caption }] }));
    }
    project.write("dataset.json", &serde_json::json!({ "images": images }).to_string());
    project.write(
        "configs/photos.toml",
        r#"
name = "photos"
data = { format = "karpathy", annotations = "dataset.json", images = "photos", image_size = 16, min_count = 1, max_bad = 0.1 }
schedule = "supervised"
[models]
captioner = { script = "lstm_captioner" }
[phases.cross_entropy]
loss = "cross_entropy"
steps = 10
batch = 4
optimizer = { kind = "sgd", learning_rate = 0.1 }
"#,
    );
    let ended = project.ekphrasis("run configs/photos.toml").ok();
    assert!(ended.err.contains("1 of 24 pictures were left out: 5.png"), "{}", ended.err);
    let summary = project.summary("runs/photos");
    assert!(summary["captioner"]["cross_entropy"]["val"]["cider_d"].is_f64(), "{summary}");
}

#[test]
fn doctor_and_plugin_list_tell_what_there_is() {
    let project = Project::new();
    let out = project.ekphrasis("doctor").ok().out;
    for part in ["ONNX Runtime", "providers: cpu", "cuda", "cores", "cache folder"] {
        assert!(out.contains(part), "expected {part:?} in:\n{out}");
    }
    let mut command = project.command("plugin list");
    let listed = common::Ended::of(command.current_dir(workspace()).output().unwrap()).ok().out;
    for part in ["captioner", "transformer_captioner", "repetition_native", "reward"] {
        assert!(listed.contains(part), "expected {part:?} in:\n{listed}");
    }
}
