//! What the models compute.

use super::{LENGTH, Outcome, VOCABULARY, model, runtime};
use ekphrasis_graph::Graph;
use ekphrasis_runtime::{DeviceTensor, Runtime, SessionOptions};
use serde_json::json;
use std::{collections::BTreeMap, error::Error};

/// Numbers that look random, from -1 to 1.
fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 * 12.9898).sin() * 43758.547).fract()).collect()
}

fn f32s(dims: &[usize]) -> Result<DeviceTensor, Box<dyn Error>> {
    Ok(DeviceTensor::from_f32(dims, noise(dims.iter().product()))?)
}

fn i64s(dims: &[usize], values: &[i64]) -> Result<DeviceTensor, Box<dyn Error>> {
    Ok(DeviceTensor::from_i64(dims, values.to_vec())?)
}

/// Rows of captions: words that differ, `end` after `words` of them, then padding up to `width`.
fn captions(words: &[usize], width: usize) -> Result<DeviceTensor, Box<dyn Error>> {
    let mut rows = vec![0; words.len() * width];
    for (i, (n, row)) in words.iter().zip(rows.chunks_mut(width)).enumerate() {
        for (t, token) in row.iter_mut().take(*n).enumerate() {
            *token = 4 + ((7 * i + 5 * t) % (VOCABULARY - 4)) as i64;
        }
        if let Some(end) = row.get_mut(*n) {
            *end = 2;
        }
    }
    i64s(&[words.len(), width], &rows)
}

/// Outputs by name.
fn run(
    runtime: &Runtime,
    graph: &Graph,
    feeds: &[(&str, &DeviceTensor)],
) -> Result<BTreeMap<String, DeviceTensor>, Box<dyn Error>> {
    let session = runtime.session(graph, &SessionOptions::default())?;
    let names = session.outputs().iter().map(|p| p.name.clone());
    Ok(names.zip(session.run(feeds)?).collect())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Word by word with the state passed on, a captioner says what it says of the whole caption.
fn steps_equal_decode(name: &str, states: &[(&str, &[usize])]) -> Outcome {
    let runtime = runtime()?;
    let built = model(name, &json!({}), 32)?;
    let (n, image) = (3, f32s(&[3, 3, 32, 32])?);
    let memory = run(&runtime, &built.graphs["encode"], &[("image", &image)])?;
    let tokens = captions(&[19, 6, 0], LENGTH)?;
    let mut feeds: Vec<(&str, &DeviceTensor)> = memory.iter().map(|(k, v)| (k.as_str(), v)).collect();
    feeds.push(("tokens", &tokens));
    let whole = run(&runtime, &built.graphs["decode"], &feeds)?["logits"].to_f32()?;
    assert!(whole.iter().all(|x| x.is_finite()));
    // Another first word changes what follows, so that equality below says something.
    let mut other = tokens.to_i64()?;
    other[0] += 1;
    let other = i64s(&[n, LENGTH], &other)?;
    let last = feeds.len() - 1;
    feeds[last] = ("tokens", &other);
    let changed = run(&runtime, &built.graphs["decode"], &feeds)?["logits"].to_f32()?;
    let v = VOCABULARY;
    assert_eq!(whole[..v], changed[..v], "a word sees itself");
    assert!(largest_difference(&whole[v..2 * v], &changed[v..2 * v]) > 1e-4);

    let session = runtime.session(&built.graphs["step"], &SessionOptions::default())?;
    let mut state: BTreeMap<String, DeviceTensor> = BTreeMap::new();
    for (port, dims) in states {
        let dims: Vec<usize> = std::iter::once(n).chain(dims.iter().copied()).collect();
        state.insert((*port).into(), DeviceTensor::zeros(ekphrasis_graph::DType::F32, &dims)?);
    }
    let ids = tokens.to_i64()?;
    let mut before = vec![1; n];
    for t in 0..LENGTH {
        let token = i64s(&[n], &before)?;
        let held: Vec<(String, &DeviceTensor)> =
            state.iter().map(|(k, v)| (format!("state.{k}"), v)).collect();
        let mut feeds: Vec<(&str, &DeviceTensor)> = memory.iter().map(|(k, v)| (k.as_str(), v)).collect();
        feeds.extend(held.iter().map(|(k, v)| (k.as_str(), *v)));
        feeds.push(("token", &token));
        let names = session.outputs().iter().map(|p| p.name.clone());
        let mut outputs: BTreeMap<String, DeviceTensor> = names.zip(session.run(&feeds)?).collect();
        let logits = outputs.remove("logits").ok_or("no logits")?.to_f32()?;
        for row in 0..n {
            let expected = &whole[(row * LENGTH + t) * v..][..v];
            let difference = largest_difference(&logits[row * v..][..v], expected);
            assert!(difference < 1e-4, "row {row}, position {t}: {difference}");
        }
        state =
            outputs.into_iter().filter_map(|(k, x)| Some((k.strip_prefix("next.")?.to_owned(), x))).collect();
        before = ids.chunks(LENGTH).map(|row| row[t]).collect();
    }
    Ok(())
}

#[test]
fn transformer_steps_equal_decode() -> Outcome {
    let none: &[usize] = &[4, 0, 32];
    steps_equal_decode("transformer_captioner", &[("k0", none), ("v0", none), ("k1", none), ("v1", none)])
}

#[test]
fn lstm_steps_equal_decode() -> Outcome {
    steps_equal_decode("lstm_captioner", &[("h", &[256]), ("c", &[256])])
}

#[test]
fn embeddings_do_not_see_padding_and_have_length_one() -> Outcome {
    let runtime = runtime()?;
    let built = model("dual_encoder", &json!({}), 32)?;
    let text = |words: &[usize], width| -> Result<Vec<f32>, Box<dyn Error>> {
        let tokens = captions(words, width)?;
        Ok(run(&runtime, &built.graphs["text"], &[("tokens", &tokens)])?["embedding"].to_f32()?)
    };
    let narrow = text(&[5, 3], 6)?;
    assert!(largest_difference(&narrow, &text(&[5, 3], LENGTH)?) < 1e-6);
    assert!(largest_difference(&narrow[..128], &narrow[128..]) > 1e-3);
    assert!(text(&[5, 4], 4)?.iter().all(|x| x.is_finite()), "captions cut before their end");
    // The order of words counts.
    let order = |ids: &[i64]| -> Result<Vec<f32>, Box<dyn Error>> {
        let tokens = i64s(&[1, 4], ids)?;
        Ok(run(&runtime, &built.graphs["text"], &[("tokens", &tokens)])?["embedding"].to_f32()?)
    };
    assert!(largest_difference(&order(&[9, 5, 7, 2])?, &order(&[7, 5, 9, 2])?) > 1e-3);

    let image = run(&runtime, &built.graphs["image"], &[("image", &f32s(&[2, 3, 32, 32])?)])?;
    for row in image["embedding"].to_f32()?.chunks(128).chain(narrow.chunks(128)) {
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let scale = run(&runtime, &built.graphs["scale"], &[])?["scale"].to_f32()?;
    assert!((scale[0] - 2.7f32.exp()).abs() < 1e-4, "{scale:?}");
    Ok(())
}

#[test]
fn pictures_and_scores_depend_on_captions() -> Outcome {
    let runtime = runtime()?;
    let generator = model("generator", &json!({}), 32)?;
    let discriminator = model("discriminator", &json!({}), 32)?;
    let (noise, tokens) = (f32s(&[2, 32])?, captions(&[5, 3], 8)?);
    let swapped = {
        let ids = tokens.to_i64()?;
        i64s(&[2, 8], &[&ids[8..], &ids[..8]].concat())?
    };
    let paint = |noise: &DeviceTensor, tokens: &DeviceTensor| -> Result<Vec<f32>, Box<dyn Error>> {
        let feeds = [("noise", noise), ("tokens", tokens)];
        Ok(run(&runtime, &generator.graphs["generate"], &feeds)?["image"].to_f32()?)
    };
    let image = paint(&noise, &tokens)?;
    assert!(image.iter().all(|x| (-1.0..=1.0).contains(x)));
    assert!(largest_difference(&image, &paint(&noise, &swapped)?) > 1e-4);
    assert!(
        largest_difference(&image, &paint(&DeviceTensor::from_f32(&[2, 32], vec![0.0; 64])?, &tokens)?)
            > 1e-4
    );

    let image = f32s(&[2, 3, 32, 32])?;
    let judge = |tokens: &DeviceTensor| -> Result<Vec<f32>, Box<dyn Error>> {
        let feeds = [("image", &image), ("tokens", tokens)];
        Ok(run(&runtime, &discriminator.graphs["judge"], &feeds)?["score"].to_f32()?)
    };
    let scores = judge(&tokens)?;
    assert!(scores.len() == 2 && scores.iter().all(|x| x.is_finite()));
    assert!(largest_difference(&scores, &judge(&swapped)?) > 1e-4);
    Ok(())
}
