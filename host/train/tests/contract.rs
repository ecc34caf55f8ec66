//! A model whose graphs are not those of its role is refused, with the graph, the port and both shapes.

use ekphrasis_graph::{DType, Graph, Result as Built, Tensor};
use ekphrasis_train::{Role, Sizes, check_contract};
use std::collections::BTreeMap;

const SIZES: Sizes = Sizes { image: 16, vocabulary: 7, max_length: 9 };

/// A discriminator that can be wrong in one way or another.
struct Judge {
    name: &'static str,
    side: i64,
    tokens: DType,
    length: Option<i64>,
    score: &'static str,
    keepdims: bool,
    extra: bool,
}

impl Default for Judge {
    fn default() -> Self {
        let (name, score) = ("judge", "score");
        Self { name, side: 16, tokens: DType::I64, length: None, score, keepdims: false, extra: false }
    }
}

impl Judge {
    fn build(self) -> Built<BTreeMap<String, Graph>> {
        let mut g = Graph::new(self.name);
        let image =
            g.input("image", DType::F32, vec!["B".into(), 3.into(), self.side.into(), self.side.into()])?;
        let length = self.length.map_or("T".into(), Into::into);
        g.input("tokens", self.tokens, vec!["B".into(), length])?;
        if self.extra {
            g.input("mood", DType::F32, vec!["B".into()])?;
        }
        let score = g.reduce_mean(image, &[1, 2, 3], self.keepdims)?;
        g.output(self.score, score)?;
        Ok(BTreeMap::from([(self.name.to_owned(), g)]))
    }
}

#[track_caller]
fn refused(role: Role, graphs: Built<BTreeMap<String, Graph>>, parts: &[&str]) {
    let result = check_contract("mine", role, &graphs.unwrap(), SIZES);
    let error = result.err().map(|e| e.to_string()).unwrap_or_default();
    for part in parts.iter().chain(&["model `mine`: "]) {
        assert!(error.contains(part), "expected {part:?} in:\n{error}");
    }
}

#[test]
fn ports_have_their_names_types_and_shapes() {
    let role = Role::Discriminator;
    check_contract("mine", role, &Judge::default().build().unwrap(), SIZES).unwrap();
    refused(
        role,
        Judge { keepdims: true, ..Judge::default() }.build(),
        &["graph `judge`, output `score`: expected [B], found [B, 1, 1, 1]"],
    );
    refused(
        role,
        Judge { side: 8, ..Judge::default() }.build(),
        &["graph `judge`, input `image`: expected [B, 3, 16, 16], found [B, 3, 8, 8]", "hint: S = 16"],
    );
    refused(
        role,
        Judge { tokens: DType::I32, ..Judge::default() }.build(),
        &["graph `judge`, input `tokens`: expected i64, found i32"],
    );
    refused(
        role,
        Judge { score: "points", ..Judge::default() }.build(),
        &["graph `judge`, output `points`: expected only score"],
    );
    refused(
        role,
        Judge { extra: true, ..Judge::default() }.build(),
        &["graph `judge`, input `mood`: expected only image, tokens"],
    );
    refused(
        role,
        Judge { name: "paint", ..Judge::default() }.build(),
        &["expected a graph `judge` for a discriminator, found paint"],
    );
    // A length that is fixed must be that of the longest caption.
    check_contract("mine", role, &Judge { length: Some(9), ..Judge::default() }.build().unwrap(), SIZES)
        .unwrap();
    refused(
        role,
        Judge { length: Some(8), ..Judge::default() }.build(),
        &["graph `judge`, input `tokens`: expected [B, T], found [B, 8]", "T = 9"],
    );
}

#[test]
fn an_output_that_is_missing_is_asked_for() {
    let mut g = Graph::new("judge");
    g.input("image", DType::F32, vec!["B".into(), 3.into(), 16.into(), 16.into()]).unwrap();
    g.input("tokens", DType::I64, vec!["B".into(), "T".into()]).unwrap();
    refused(
        Role::Discriminator,
        Ok(BTreeMap::from([("judge".to_owned(), g)])),
        &["graph `judge`: expected an output `score`"],
    );
}

/// A captioner that takes memories `takes`, gives the state `next`, and knows `words` words.
fn captioner(takes: &str, next: &str, words: usize) -> Built<BTreeMap<String, Graph>> {
    let logits = |g: &mut Graph, tokens, axis| -> Built<()> {
        let zeros = g.constant(Tensor::from_f32(&[words], &vec![0.0; words])?);
        let tokens = g.cast(tokens, DType::F32)?;
        let tokens = g.unsqueeze(tokens, &[axis])?;
        let logits = g.add(tokens, zeros)?;
        g.output("logits", logits)
    };
    let memory = |g: &mut Graph| g.input(&format!("memory.{takes}"), DType::F32, vec!["B".into(), 3.into()]);

    let mut encode = Graph::new("encode");
    let image = encode.input("image", DType::F32, vec!["B".into(), 3.into(), 16.into(), 16.into()])?;
    let seen = encode.reduce_mean(image, &[2, 3], false)?;
    encode.output("memory.seen", seen)?;

    let mut decode = Graph::new("decode");
    let tokens = decode.input("tokens", DType::I64, vec!["B".into(), "T".into()])?;
    memory(&mut decode)?;
    logits(&mut decode, tokens, 2)?;

    let mut step = Graph::new("step");
    let token = step.input("token", DType::I64, vec!["B".into()])?;
    let state = step.input("state.h", DType::F32, vec!["B".into(), 2.into()])?;
    memory(&mut step)?;
    logits(&mut step, token, 1)?;
    let state = step.neg(state)?;
    step.output(next, state)?;
    Ok([encode, decode, step].into_iter().map(|g| (g.name.clone(), g)).collect())
}

#[test]
fn what_a_captioner_passes_on_goes_around() {
    let role = Role::Captioner;
    check_contract("mine", role, &captioner("seen", "next.h", 7).unwrap(), SIZES).unwrap();
    refused(
        role,
        captioner("heard", "next.h", 7),
        &["graph `decode`, input `memory.heard`: expected an output of that name in `encode`, found seen"],
    );
    refused(role, captioner("seen", "next.c", 7), &["graph `step`", "inputs [\"h\"] and outputs [\"c\"]"]);
    refused(
        role,
        captioner("seen", "next.h", 8),
        &["graph `decode`, output `logits`: expected [B, T, 7], found [B, T, 8]", "V = 7 (vocabulary)"],
    );
}
