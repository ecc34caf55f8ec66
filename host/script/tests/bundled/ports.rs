//! The graphs of the models: their ports, and how many parameters they have.

use super::{LENGTH, Outcome, VOCABULARY, model};
use ekphrasis_graph::{Graph, show_shape};
use ekphrasis_script::BuiltModel;
use serde_json::json;
use std::{collections::BTreeMap, error::Error};

/// `encode(image f32[B, 3, 32, 32]) -> memory.k0 f32[...]` of each graph.
fn signatures(built: &BuiltModel) -> Vec<String> {
    let show = |graph: &Graph, name: &str, id| {
        let value = graph.value(id);
        let shape = value.shape.as_deref().map_or("?".into(), show_shape);
        format!("{name} {}{shape}", value.dtype)
    };
    built
        .graphs
        .iter()
        .map(|(name, graph)| {
            let inputs: Vec<_> =
                graph.inputs().iter().map(|i| show(graph, &graph.value(*i).name, *i)).collect();
            let outputs: Vec<_> = graph.outputs().iter().map(|(n, i)| show(graph, n, *i)).collect();
            format!("{name}({}) -> {}", inputs.join(", "), outputs.join(", "))
        })
        .collect()
}

/// Dimensions of all initializers by name; one name is one parameter.
fn initializers(built: &BuiltModel) -> BTreeMap<String, Vec<usize>> {
    let graphs = built.graphs.values();
    graphs
        .flat_map(|g| g.initializers().into_iter().map(|(n, (_, t))| (n.to_owned(), t.dims().to_vec())))
        .collect()
}

/// Numbers in initializers for which `counts` holds.
fn count(built: &BuiltModel, counts: impl Fn(&str) -> bool) -> usize {
    let all = initializers(built);
    all.iter().filter(|(n, _)| counts(n)).map(|(_, d)| d.iter().product::<usize>()).sum()
}

fn check(name: &str, expected: &[&str]) -> Result<BuiltModel, Box<dyn Error>> {
    let built = model(name, &json!({}), 32)?;
    assert_eq!(signatures(&built), expected, "{name}");
    Ok(built)
}

#[test]
fn transformer_captioner_has_its_ports() -> Outcome {
    let built = check(
        "transformer_captioner",
        &[
            "decode(tokens i64[B, T], memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]) -> logits f32[B, T, 60]",
            "encode(image f32[B, 3, 32, 32]) -> memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]",
            "step(token i64[B], state.k0 f32[B, 4, P, 32], state.v0 f32[B, 4, P, 32], state.k1 f32[B, 4, P, 32], \
         state.v1 f32[B, 4, P, 32], memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]) -> next.k0 f32[B, 4, P + 1, 32], \
         next.v0 f32[B, 4, P + 1, 32], next.k1 f32[B, 4, P + 1, 32], next.v1 f32[B, 4, P + 1, 32], \
         logits f32[B, 60]",
        ],
    )?;
    let (d, v) = (128, VOCABULARY);
    let cnn = 48 * 32 + 16 * 32 * 64 + 16 * 64 * d;
    let places = 16 * d + 2 * d + 2 * (d + 1) * d;
    // Three norms; self-attention in and out (3 + 1 widths), cross-attention (1 + 2 + 1); the inner layer of 3.
    let block = 3 * 2 * d + (d + 1) * 8 * d + (d + 1) * 3 * d + (3 * d + 1) * d;
    let words = v * d + LENGTH * d + 2 * d + (d + 1) * v;
    let norms = 2 * (32 + 64 + d);
    let trained = count(&built, |n| !built.states.contains(n));
    assert_eq!(trained, cnn + norms + places + 2 * block + words);
    assert_eq!(count(&built, |n| built.states.contains(n)), norms);
    Ok(())
}

#[test]
fn lstm_captioner_has_its_ports() -> Outcome {
    let built = check(
        "lstm_captioner",
        &[
            "decode(tokens i64[B, 20], memory.places f32[B, 16, 128], memory.keys f32[B, 128, 16]) \
         -> logits f32[B, 20, 60]",
            "encode(image f32[B, 3, 32, 32]) -> memory.places f32[B, 16, 128], memory.keys f32[B, 128, 16]",
            "step(token i64[B], state.h f32[B, 256], state.c f32[B, 256], memory.places f32[B, 16, 128], \
         memory.keys f32[B, 128, 16]) -> logits f32[B, 60], next.h f32[B, 256], next.c f32[B, 256]",
        ],
    )?;
    let (d, h, v) = (128, 256, VOCABULARY);
    let cnn = 48 * 32 + 16 * 32 * 64 + 16 * 64 * d + 2 * (32 + 64 + d);
    let places = 16 * d + 2 * d + 2 * (d + 1) * d;
    let lstm = (d + 1) * 4 * h + (d + h) * 4 * h + d * d + h * d;
    assert_eq!(count(&built, |n| !built.states.contains(n)), cnn + places + lstm + v * d + (h + 1) * v);
    Ok(())
}

#[test]
fn the_pair_of_the_gan_and_the_scorer_have_their_ports() -> Outcome {
    let generator =
        check("generator", &["generate(noise f32[B, 32], tokens i64[B, T]) -> image f32[B, 3, 32, 32]"])?;
    let discriminator =
        check("discriminator", &["judge(image f32[B, 3, 32, 32], tokens i64[B, T]) -> score f32[B]"])?;
    let scorer = check(
        "dual_encoder",
        &[
            "image(image f32[B, 3, 32, 32]) -> embedding f32[B, 128]",
            "scale() -> scale f32[]",
            "text(tokens i64[B, T]) -> embedding f32[B, 128]",
        ],
    )?;

    // The encoder of captions is one and the same, so that it can be the scorer's in all three.
    let text = |built: &BuiltModel| -> BTreeMap<String, Vec<usize>> {
        initializers(built).into_iter().filter(|(n, _)| n.starts_with("text.")).collect()
    };
    assert_eq!(text(&scorer).len(), 18);
    assert_eq!(text(&generator), text(&scorer));
    assert_eq!(text(&discriminator), text(&scorer));

    let own = |built: &BuiltModel| count(built, |n| !n.starts_with("text.") && !built.states.contains(n));
    let up = 16 * (128 * 64 + 64 * 48 + 48 * 24) + 2 * (128 + 64 + 48 + 24);
    assert_eq!(own(&generator), 129 * 128 + (128 + 32 + 1) * 128 * 16 + up + 27 * 24 + 3);
    let down = 48 * 32 + 32 + 16 * 32 * 64 + 64 + 16 * 64 * 96 + 96;
    let joint = 129 * 64 + 64 * 128 + 97 * 128 + (128 * 16 + 1) * 64 + 65;
    assert_eq!(own(&discriminator), down + joint + 129 * 128 + (96 * 16 + 1) * 128);
    let image = 48 * 32 + 16 * 32 * 64 + 16 * 64 * 96 + 2 * (32 + 64 + 96) + (96 * 16 + 1) * 256 + 257 * 128;
    assert_eq!(own(&scorer), image + 1);
    Ok(())
}

#[test]
fn pictures_of_other_sizes() -> Outcome {
    for (size, places) in [(16, 16), (48, 36), (64, 16), (224, 49)] {
        let captioner = model("transformer_captioner", &json!({}), size)?;
        let expected = format!("-> memory.k0 f32[B, 4, {places}, 32]");
        assert!(signatures(&captioner).iter().any(|s| s.contains(&expected)), "{size}: {expected}");
        let generator = model("generator", &json!({}), size)?;
        let expected = format!("-> image f32[B, 3, {size}, {size}]");
        assert!(signatures(&generator)[0].contains(&expected), "{:?}", signatures(&generator));
        for name in ["lstm_captioner", "discriminator", "dual_encoder"] {
            model(name, &json!({}), size)?;
        }
    }
    let error = model("generator", &json!({}), 50).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("image_size: expected 4 to 7 times a power of two, found 50"), "{error}");
    let odd = json!({ "heads": 3 });
    let error = model("transformer_captioner", &odd, 32).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("heads: expected a divisor of dim = 128, found 3"), "{error}");
    Ok(())
}
