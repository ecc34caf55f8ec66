//! Sampling captions: the decode step with a policy traced into it, run token by token.

use crate::{Captions, Choice, Result, Role, TrainError, World, bound::Bound, bound::parameter};
use ekphrasis_data::Vocabulary;
use ekphrasis_graph::{DType, Dim, Graph, Tensor as Constant, ValueId};
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use ekphrasis_script::{Fault, Kind, Script, Tensor, Trace};
use std::collections::HashMap;

/// How the next token is chosen.
enum Policy {
    /// Inside the step's graph.
    Traced,
    /// By calling the script with numbers, for policies that cannot be traced.
    Eager(Box<Script>, serde_json::Value),
}

/// Writes captions for pictures with one policy.
pub struct Rollout {
    encode: Bound,
    step: Bound,
    compact: Bound,
    policy: Policy,
    /// Ports `state.*` with their dimensions; the batch is `None`, a free symbol 0.
    states: Vec<(String, Vec<Option<usize>>)>,
    memories: Vec<String>,
    samples: usize,
    max_length: usize,
}

/// The share of rows still being written below which the finished ones are dropped.
const COMPACT_BELOW: f64 = 0.75;

/// Tokens that are never written: padding, begin, unknown.
const FORBIDDEN: [u32; 3] = [Vocabulary::PAD, Vocabulary::BOS, Vocabulary::UNK];

/// Adds -1e9 to the logits `[..., V]` of tokens that are never written.
pub fn legal(graph: &mut Graph, logits: ValueId, vocabulary: usize) -> Result<ValueId> {
    let mut mask = vec![0f32; vocabulary];
    for token in FORBIDDEN {
        if let Some(m) = mask.get_mut(token as usize) {
            *m = -1e9;
        }
    }
    let mask = graph.constant(Constant::from_f32(&[vocabulary], &mask)?);
    Ok(graph.add(logits, mask)?)
}

impl Rollout {
    /// Builds the sessions: `samples` captions for each picture, by the weights that train or by the
    /// `averaged` ones that evaluation uses.
    pub fn new(world: &World, choice: &Choice, samples: usize, averaged: bool) -> Result<Self> {
        let model = world.model(Role::Captioner)?;
        let script = world.script(Kind::Policy, &choice.script)?;
        let params = script.params(&serde_json::Value::Object(choice.params.clone()))?;
        let (mut states, mut memories) = (vec![], vec![]);
        let source = model.graph("step")?;
        for input in source.inputs() {
            let value = source.value(*input);
            if value.name.starts_with("state.") {
                let dims = value.shape.clone().unwrap_or_default();
                let dims = dims.iter().map(|d| match d.known() {
                    Some(n) => Some(n as usize),
                    None if *d == Dim::symbol("B") => None,
                    None => Some(0),
                });
                states.push((value.name.clone(), dims.collect()));
            } else if value.name.starts_with("memory.") {
                memories.push(value.name.clone());
            }
        }
        let options = SessionOptions::default();
        let bind = |graph: &Graph| Bound::new(&world.runtime, graph, averaged, &options);
        let (graph, policy) = match step_graph(world, Some((&script, &params))) {
            Ok(graph) => (graph, Policy::Traced),
            Err(traced) => {
                world.note(&format!(
                    "policy `{}` runs eagerly, as it cannot be traced: {traced}",
                    choice.script
                ));
                (step_graph(world, None)?, Policy::Eager(Box::new(script), params))
            }
        };
        Ok(Self {
            encode: bind(&encode_graph(world, samples)?)?,
            step: bind(&graph)?,
            compact: bind(&compact_graph(world)?)?,
            policy,
            states,
            memories,
            samples,
            max_length: world.sizes.max_length,
        })
    }

    /// Captions of each picture of `image` f32[B,3,S,S], picture by picture; `noise(t, n)` gives the
    /// n uniform numbers in [0, 1) that position t uses, one a row.
    pub fn run(
        &mut self,
        world: &World,
        image: &DeviceTensor,
        mut noise: impl FnMut(usize, usize) -> Vec<f32>,
    ) -> Result<Captions> {
        let weights = world.weights.borrow();
        let n = image.dims().first().copied().unwrap_or(0) * self.samples;
        let binding = self.encode.binding(&weights, &[], |_| Ok(()))?;
        binding.input("image", image)?;
        let mut memory: HashMap<String, DeviceTensor> = binding.run()?.into_iter().collect();
        let mut state: Vec<DeviceTensor> = vec![];
        for (_, dims) in &self.states {
            let dims: Vec<usize> = dims.iter().map(|d| d.unwrap_or(n)).collect();
            state.push(DeviceTensor::zeros(DType::F32, &dims)?);
        }
        let mut rows: Vec<usize> = (0..n).collect();
        let mut tokens = vec![i64::from(Vocabulary::BOS); n];
        let mut out: Vec<Vec<i64>> = vec![vec![]; n];
        for t in 0..self.max_length {
            let draws = noise(t, n);
            let draws: Vec<f32> = rows.iter().map(|r| draws.get(*r).copied().unwrap_or(0.0)).collect();
            let draws = DeviceTensor::from_f32(&[rows.len(), 1], draws)?;
            let token = DeviceTensor::from_i64(&[rows.len()], tokens.clone())?;
            let binding = self.step.binding(&weights, &[], |_| Ok(()))?;
            binding.input("token", &token)?;
            for name in &self.memories {
                if let Some(m) = memory.get(name) {
                    binding.input(name, m)?;
                }
            }
            for ((name, _), value) in self.states.iter().zip(&state) {
                binding.input(name, value)?;
            }
            if matches!(self.policy, Policy::Traced) {
                binding.input("noise", &draws)?;
            }
            let mut results: HashMap<String, DeviceTensor> = binding.run()?.into_iter().collect();
            tokens = match &self.policy {
                Policy::Traced => take(&mut results, "chosen")?.to_i64()?,
                Policy::Eager(script, params) => {
                    let logits = take(&mut results, "logits")?;
                    eager(world, script, params, &tokens, logits, draws, t)?
                }
            };
            for ((name, _), value) in self.states.iter().zip(&mut state) {
                *value = take(&mut results, &name.replacen("state.", "next.", 1))?;
            }
            let mut alive = vec![];
            for (i, (row, token)) in rows.iter().zip(&tokens).enumerate() {
                if *token != i64::from(Vocabulary::PAD) {
                    out[*row].push(*token);
                    if *token != i64::from(Vocabulary::EOS) {
                        alive.push(i);
                    }
                }
            }
            if alive.is_empty() {
                break;
            }
            if (alive.len() as f64) < COMPACT_BELOW * rows.len() as f64 && t + 1 < self.max_length {
                let index: Vec<i64> = alive.iter().map(|i| *i as i64).collect();
                let binding = self.compact.binding(&weights, &[], |_| Ok(()))?;
                binding.input("rows", &DeviceTensor::from_i64(&[index.len()], index)?)?;
                for ((name, _), value) in self.states.iter().zip(&state) {
                    binding.input(name, value)?;
                }
                for (name, value) in &memory {
                    binding.input(name, value)?;
                }
                let mut kept: HashMap<String, DeviceTensor> = binding.run()?.into_iter().collect();
                for ((name, _), value) in self.states.iter().zip(&mut state) {
                    *value = take(&mut kept, &format!("kept.{name}"))?;
                }
                for (name, value) in &mut memory {
                    *value = take(&mut kept, &format!("kept.{name}"))?;
                }
                rows = alive.iter().map(|i| rows[*i]).collect();
                tokens = alive.iter().map(|i| tokens[*i]).collect();
            }
        }
        Ok(Captions::new(out))
    }
}

fn take(results: &mut HashMap<String, DeviceTensor>, name: &str) -> Result<DeviceTensor> {
    results
        .remove(name)
        .ok_or_else(|| TrainError::config("models.captioner", format!("its step gave no `{name}`")))
}

/// The tensor that a policy returned.
fn returned(script: &Script, values: &mlua::MultiValue) -> Result<Tensor> {
    let first = values.front().and_then(Tensor::from_value);
    Ok(first.ok_or_else(|| {
        script.error(Fault::new("`sample`: expected it to return a tensor of tokens i64[B]"))
    })?)
}

/// The next tokens by calling the policy with numbers.
fn eager(
    world: &World,
    script: &Script,
    params: &serde_json::Value,
    before: &[i64],
    logits: DeviceTensor,
    noise: DeviceTensor,
    t: usize,
) -> Result<Vec<i64>> {
    let lua = world.engine.lua();
    let state = lua.create_table().map_err(TrainError::lua)?;
    state.set("step", t).map_err(TrainError::lua)?;
    let params = world.engine.value(params)?;
    let args = (Tensor::Eager(logits), state, Tensor::Eager(noise), params);
    let chosen = world.engine.call(script, "sample", args)?;
    let chosen = returned(script, &chosen)?;
    let chosen = chosen.eager("the policy").map_err(|f| script.error(f))?;
    let mut tokens = chosen.to_i64()?;
    let vocabulary = world.sizes.vocabulary as i64;
    if tokens.len() != before.len() || tokens.iter().any(|t| !(0..vocabulary).contains(t)) {
        let message = format!(
            "policy `{}`: expected {} token ids from 0 to {}, found {} values",
            script.name(),
            before.len(),
            vocabulary - 1,
            tokens.len()
        );
        return Err(TrainError::config("policy", message));
    }
    for (token, last) in tokens.iter_mut().zip(before) {
        if *last == i64::from(Vocabulary::EOS) || *last == i64::from(Vocabulary::PAD) {
            *token = i64::from(Vocabulary::PAD);
        }
    }
    Ok(tokens)
}

/// The encoder, with each memory repeated for the samples of its picture.
fn encode_graph(world: &World, samples: usize) -> Result<Graph> {
    let model = world.model(Role::Captioner)?;
    let source = model.graph("encode")?;
    let mut graph = Graph::new("rollout encode");
    let s = world.sizes.image;
    let image = graph.input("image", DType::F32, vec!["B".into(), 3usize.into(), s.into(), s.into()])?;
    let feed = HashMap::from([("image".to_owned(), image)]);
    let outs = graph.inline(source, &feed, |g, n, t| parameter(g, model, n, t))?;
    for ((name, _), mut value) in source.outputs().iter().zip(outs) {
        if samples > 1 {
            // [B, ...] -> [B, 1, ...] -> [B, K, ...] -> [B*K, ...]
            let dims = graph.dims(value)?.to_vec();
            let wide = graph.unsqueeze(value, &[1])?;
            let mut times = vec![1; dims.len() + 1];
            times[1] = samples as i64;
            let times = graph.int_list(&times);
            let wide = graph.expand_to(wide, times)?;
            let mut target: Vec<i64> = dims.iter().skip(1).map(|d| d.known().unwrap_or(0)).collect();
            target.insert(0, -1);
            let target = graph.int_list(&target);
            value = graph.reshape_to(wide, target)?;
        }
        graph.output(name, value)?;
    }
    Ok(graph)
}

/// Declares the ports of the captioner's step in `graph`.
fn step_ports(world: &World, graph: &mut Graph, which: &[&str]) -> Result<HashMap<String, ValueId>> {
    let source = world.model(Role::Captioner)?.graph("step")?;
    let mut feed = HashMap::new();
    for input in source.inputs() {
        let value = source.value(*input);
        if which.iter().any(|p| value.name.starts_with(p)) {
            feed.insert(value.name.clone(), graph.input(&value.name, value.dtype, value.shape.clone())?);
        }
    }
    Ok(feed)
}

/// One token: the captioner's step and, unless the policy runs eagerly, the choice of the next token.
fn step_graph(world: &World, policy: Option<(&Script, &serde_json::Value)>) -> Result<Graph> {
    let model = world.model(Role::Captioner)?;
    let source = model.graph("step")?;
    let mut graph = Graph::new("rollout step");
    let feed = step_ports(world, &mut graph, &["token", "state.", "memory."])?;
    let outs = graph.inline(source, &feed, |g, n, t| parameter(g, model, n, t))?;
    let mut next = vec![];
    let mut logits = None;
    for ((name, _), value) in source.outputs().iter().zip(outs) {
        match name.as_str() {
            "logits" => logits = Some(value),
            _ => next.push((name.clone(), value)),
        }
    }
    let logits = logits.ok_or_else(|| graph.error("the step has no output `logits`"))?;
    let logits = legal(&mut graph, logits, world.sizes.vocabulary)?;
    match policy {
        None => graph.output("logits", logits)?,
        Some((script, params)) => {
            let noise = graph.input("noise", DType::F32, vec!["B".into(), 1usize.into()])?;
            let trace = Trace::new(graph);
            let lua = world.engine.lua();
            let state = lua.create_table().map_err(TrainError::lua)?;
            let params = world.engine.value(params)?;
            let args = (trace.tensor(logits), state, trace.tensor(noise), params);
            let chosen = world.engine.call(script, "sample", args)?;
            let chosen = returned(script, &chosen)?.id_in(&trace).map_err(|f| script.error(f))?;
            graph = trace.graph();
            let value = graph.value(chosen).clone();
            let fits = value.dtype == DType::I64 && value.shape.as_ref().is_some_and(|s| s.len() == 1);
            if !fits {
                let message =
                    format!("policy `{}`: expected tokens i64[B], found {}", script.name(), value.describe());
                return Err(TrainError::config("policy", message));
            }
            // What follows an end is padding.
            let token = feed["token"];
            let eos = graph.constant(Constant::scalar_i64(i64::from(Vocabulary::EOS)));
            let pad = graph.constant(Constant::scalar_i64(i64::from(Vocabulary::PAD)));
            let (ended, empty) = (graph.equal(token, eos)?, graph.equal(token, pad)?);
            let done = graph.or(ended, empty)?;
            let token = graph.select(done, pad, chosen)?;
            graph.output("chosen", token)?;
        }
    }
    for (name, value) in next {
        graph.output(&name, value)?;
    }
    Ok(graph)
}

/// Keeps the given rows of states and memories.
fn compact_graph(world: &World) -> Result<Graph> {
    let mut graph = Graph::new("rollout compact");
    let ports = step_ports(world, &mut graph, &["state.", "memory."])?;
    let rows = graph.input("rows", DType::I64, vec!["R".into()])?;
    let mut names: Vec<_> = ports.into_iter().collect();
    names.sort();
    for (name, value) in names {
        let kept = graph.gather(value, rows, 0)?;
        graph.output(&format!("kept.{name}"), kept)?;
    }
    Ok(graph)
}
