//! Vector-Jacobian products of ONNX's node tests against finite differences.
//!
//! The tests' inputs were chosen for the forward pass: many lie on kinks and ties, where a gradient may be
//! anything between the slopes of both sides, and some on jumps, where there is none.

use crate::{
    data::{Case, floats, tensor},
    forward::is_random,
    function::{Feeds, Function},
    tally::Outcome,
    widen::{self, widen},
};
use ekphrasis_grad::{GradError, gradients};
use ekphrasis_graph::{DType, Dim, Graph, Tensor, ValueId};
use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Elements of an input that are varied, at most.
const ELEMENTS: usize = 48;

/// Differentiates the graph of a case that runs; `None` where nothing is to be differentiated.
pub fn backward(case: &Case, graph: &Graph) -> Option<Outcome> {
    let float = |v: &ValueId| graph.value(*v).dtype.is_float();
    let some = graph.inputs().iter().any(float) && graph.outputs().iter().any(|(_, v)| float(v));
    some.then(|| {
        let mut error = String::new();
        for dtype in [DType::F64, DType::F32] {
            match Probe::new(case, graph, dtype) {
                Ok(probe) => return probe.outcome(),
                Err(e) => error = e,
            }
        }
        Outcome::Refused(format!("does not run in f32: {}", error.lines().next().unwrap_or_default()))
    })
}

/// Why a graph is not differentiated: a class of what is not covered, or a fault.
pub fn refusal(error: GradError) -> Result<Outcome, String> {
    let text = error.to_string();
    let class = match error {
        GradError::Missing { missing, .. } => {
            let ops: BTreeSet<String> = missing.into_iter().map(|m| m.op).collect();
            format!("no gradient rule: {}", ops.into_iter().collect::<Vec<_>>().join(", "))
        }
        _ => match text.split_once("no gradient here: ") {
            Some((place, why)) => {
                let op = place.split("` (").nth(1).and_then(|t| t.split(')').next()).unwrap_or("?");
                format!("the rule does not cover it: {op}: {}", why.lines().next().unwrap_or_default())
            }
            None if text.contains("is not known") || text.contains("of known rank") => {
                "a rank is not known".into()
            }
            None => return Err(text),
        },
    };
    Ok(Outcome::Refused(class))
}

/// A graph in wide floats, and what it gives at the inputs of the case.
pub struct Probe {
    pub graph: Graph,
    function: Function,
    pub feeds: Feeds,
    /// Those outputs of type float that are finite.
    pub outputs: Vec<(ValueId, Tensor)>,
    dtype: DType,
}

/// What there is to say of one element of a gradient.
enum Element {
    Right,
    /// The function jumps there, or ends.
    Undefined,
    Wrong(String),
}

impl Probe {
    pub fn new(case: &Case, graph: &Graph, dtype: DType) -> Result<Self, String> {
        let given = case.group("in");
        let graph = widen(graph, &given, dtype).map_err(|e| e.to_string())?;
        let wide = |t: &Tensor| widen::tensor(t, dtype).map_err(|e| e.to_string());
        let feeds: Feeds =
            given.iter().map(|(n, t)| Ok((n.clone(), wide(t)?))).collect::<Result<_, String>>()?;
        let values = graph.outputs().iter().map(|(_, v)| *v).filter(|v| graph.value(*v).dtype.is_float());
        let mut outputs: Vec<(ValueId, Tensor)> = vec![];
        let values: Vec<ValueId> = values.collect();
        if let Some(other) = values.iter().map(|v| graph.value(*v)).find(|v| v.dtype != dtype) {
            return Err(format!("`{}` stays {} in a graph of {dtype}", other.name, other.dtype));
        }
        for (v, t) in values.iter().zip(Function::to(&graph, &values)?.run(&feeds)?) {
            // Of infinite scores, as masks leave them, there are no differences.
            if floats(&t)?.iter().all(|x| x.is_finite()) {
                outputs.push((*v, t));
            }
        }
        let kept: Vec<ValueId> = outputs.iter().map(|(v, _)| *v).collect();
        let function = Function::to(&graph, if kept.is_empty() { &values } else { &kept })?;
        Ok(Self { graph, function, feeds, outputs, dtype })
    }

    fn outcome(mut self) -> Outcome {
        match self.compare() {
            Ok(outcome) => outcome,
            Err(e) => Outcome::Failed(e),
        }
    }

    fn compare(&mut self) -> Result<Outcome, String> {
        let refused = |class: &str| Ok(Outcome::Refused(class.into()));
        if self.outputs.is_empty() {
            return refused("its outputs are not finite");
        }
        if is_random(&self.graph) {
            return refused("its outputs are drawn at random");
        }
        let wrt = self.graph.inputs().to_vec();
        if wrt.is_empty() {
            return refused("it takes no quantities");
        }
        let (seeds, weights) = self.add_seeds()?;
        let found = match gradients(&mut self.graph, &seeds, &wrt) {
            Ok(found) => found,
            Err(e) => return refusal(e),
        };
        let present: Vec<ValueId> = found.iter().flatten().copied().collect();
        let mut results = match present.is_empty() {
            true => vec![],
            false => Function::to(&self.graph, &present)?.run(&self.feeds)?,
        }
        .into_iter();
        let (mut right, mut undefined) = (0, 0);
        for (v, found) in wrt.iter().zip(&found) {
            let name = self.graph.value(*v).name.clone();
            let of = self.feeds.get(&name).ok_or_else(|| format!("no tensor for input `{name}`"))?;
            let found = match found {
                Some(_) => results.next().ok_or("a gradient is missing")?,
                // No gradient at all says that it is zero.
                None => tensor(self.dtype, of.dims(), &vec![0.0; of.len()])?,
            };
            if found.dims() != of.dims() {
                return Err(format!(
                    "gradient of `{name}`: expected {:?}, found {:?}",
                    of.dims(),
                    found.dims()
                ));
            }
            let found = floats(&found)?;
            let mut rng = ChaCha8Rng::seed_from_u64(11);
            for i in index::sample(&mut rng, found.len(), found.len().min(ELEMENTS)) {
                if found[i].is_nan() && self.has_nan()? {
                    return refused(
                        "values on the way are not a number (the softmax of a row that is masked whole)",
                    );
                }
                match self.element(&name, i, found[i], &weights)? {
                    Element::Right => right += 1,
                    Element::Undefined => undefined += 1,
                    Element::Wrong(e) => {
                        return Err(format!("gradient of `{name}` in {}, element {i}: {e}", self.dtype));
                    }
                }
            }
        }
        match (right, undefined) {
            (0, 0) => refused("its inputs are empty"),
            (0, _) => refused("it jumps wherever it was tried"),
            _ => Ok(Outcome::Passed),
        }
    }

    /// Whether a value of the forward pass is not a number, though the outputs are.
    fn has_nan(&self) -> Result<bool, String> {
        let roots: Vec<ValueId> = self.outputs.iter().map(|(v, _)| *v).collect();
        let mut needed: Vec<ValueId> = self.graph.ancestors(&roots).into_iter().collect();
        needed.retain(|v| self.graph.producer(*v).is_some() && self.graph.value(*v).dtype.is_float());
        let values = Function::to(&self.graph, &needed)?.run(&self.feeds)?;
        Ok(values.iter().any(|t| floats(t).is_ok_and(|v| v.iter().any(|x| x.is_nan()))))
    }

    /// A further input for each output, the vector of the product, with its numbers.
    #[allow(clippy::type_complexity)]
    pub fn add_seeds(&mut self) -> Result<(Vec<(ValueId, Option<ValueId>)>, Vec<Vec<f64>>), String> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut seeds, mut weights) = (vec![], vec![]);
        for (i, (y, value)) in self.outputs.iter().enumerate() {
            let numbers: Vec<f64> = (0..value.len()).map(|_| rng.random_range(-1.0..1.0)).collect();
            let seed = tensor(self.dtype, value.dims(), &numbers)?;
            let name = format!("seed_{i}");
            let shape = value.dims().iter().map(|d| Dim::from(*d)).collect::<Vec<_>>();
            let id = self.graph.input(&name, self.dtype, shape).map_err(|e| e.to_string())?;
            seeds.push((*y, Some(id)));
            weights.push(floats(&seed)?);
            self.feeds.insert(name, seed);
        }
        Ok((seeds, weights))
    }

    /// The sum of seed times output with one element of an input moved, and where it went.
    fn moved(&self, name: &str, i: usize, by: f64, weights: &[Vec<f64>]) -> Result<(f64, f64), String> {
        let mut feeds = self.feeds.clone();
        let of = &self.feeds[name];
        let mut values = floats(of)?;
        values[i] += by;
        let moved = tensor(self.dtype, of.dims(), &values)?;
        let at = floats(&moved)?[i];
        feeds.insert(name.into(), moved);
        let mut sum = 0.0;
        for (output, weights) in self.function.run(&feeds)?.iter().zip(weights) {
            sum += floats(output)?.iter().zip(weights).map(|(y, w)| y * w).sum::<f64>();
        }
        Ok((at, sum))
    }

    /// Compares one element with the slopes to its left and right.
    fn element(&self, name: &str, i: usize, found: f64, weights: &[Vec<f64>]) -> Result<Element, String> {
        let (relative, h, unit) = match self.dtype {
            DType::F64 => (1e-6, 1e-5, f64::EPSILON),
            _ => (5e-3, 1e-2, f64::from(f32::EPSILON)),
        };
        // What rounding of the outputs can do to a slope.
        let mut size = 0.0;
        for ((_, y), w) in self.outputs.iter().zip(weights) {
            size += floats(y)?.iter().zip(w).map(|(y, w)| (y * w).powi(2)).sum::<f64>();
        }
        let close = |a: f64, b: f64, h: f64| {
            (a - b).abs() <= relative * b.abs().max(1.0) + 8.0 * unit * size.sqrt() / h
        };
        let slopes = |h: f64| -> Result<(f64, f64, f64), String> {
            let (here, middle) = self.moved(name, i, 0.0, weights)?;
            let (left, below) = self.moved(name, i, -h, weights)?;
            let (right, above) = self.moved(name, i, h, weights)?;
            Ok((
                (middle - below) / (here - left),
                (above - middle) / (right - here),
                (above - below) / (right - left),
            ))
        };
        let (left, right, centre) = slopes(h)?;
        if close(found, centre, h) {
            return Ok(Element::Right);
        }
        if !(left.is_finite() && right.is_finite()) {
            return Ok(Element::Undefined);
        }
        let nearer = h / 8.0;
        let (l, r, c) = slopes(nearer)?;
        // What is left of the error at the smaller step, of a function that is smooth enough.
        if (found - c).abs() <= (c - centre).abs() / 7.0 || close(found, c, nearer) {
            return Ok(Element::Right);
        }
        let (gap, gap_nearer) = ((right - left).abs(), (r - l).abs());
        if (gap_nearer > 4.0 * gap || c.abs() > 4.0 * centre.abs()) && gap.max(centre.abs()) > relative {
            return Ok(Element::Undefined);
        }
        // A gap between the sides that stays is a kink.
        let between = found > l.min(r) || close(found, l.min(r), nearer);
        let between = between && (found < l.max(r) || close(found, l.max(r), nearer));
        Ok(match gap_nearer > 0.5 * gap && between {
            true => Element::Right,
            false => Element::Wrong(format!("expected {centre} (from {left} to {right}), found {found}")),
        })
    }
}
