//! Samples of PyTorch's operators: gradients, and gradients of gradients, as autograd has them.

use crate::{
    backward::refusal,
    data::{Case, Tolerance, agree, floats, tensor},
    forward::{is_random, unsupported},
    function::{Feeds, Function},
    tally::Outcome,
    widen::{self, widen},
};
use ekphrasis_grad::gradients;
use ekphrasis_graph::{DType, Dim, Graph, Tensor, ValueId};
use std::fs;

/// Samples that are known not to agree, and why.
const KNOWN: [(&str, &str); 3] = [
    ("nn_functional_conv_transpose1d-2", "onnxruntime's optimiser loses an input of a Pad"),
    ("prod-18", "ReduceProd where a factor is zero"),
    ("prod-27", "ReduceProd where a factor is zero"),
];

/// Compares outputs, gradients and gradients of gradients; in f64 where ONNX Runtime has the kernels.
pub fn sample(case: &Case) -> Outcome {
    let outcome = match Graph::load(&case.model) {
        Ok(graph) if is_random(&graph) => Outcome::Refused("its outputs are drawn at random".into()),
        Ok(graph) => {
            let wide = [DType::F64, DType::F32].map(|dtype| Derived::new(case, &graph, dtype));
            let mut last = String::new();
            let tried = wide.into_iter().find_map(|d| d.map_err(|e| last = e).ok());
            tried.map_or_else(|| Outcome::Failed(last), Derived::outcome)
        }
        Err(e) => unsupported(&e.to_string()),
    };
    if let (Outcome::Failed(_), Some((_, why))) =
        (&outcome, KNOWN.iter().find(|(name, _)| *name == case.name))
    {
        return Outcome::Refused(format!("known not to agree: {why}"));
    }
    match (outcome, original(case)) {
        // What ONNX Runtime does not take as it was exported is no valid graph.
        (Outcome::Failed(_), Err(_)) => {
            Outcome::Refused("the exported graph does not run in onnxruntime".into())
        }
        (outcome, _) => outcome,
    }
}

/// What the file gives as it is, past our import, by output.
fn original(case: &Case) -> Result<Vec<(String, Tensor)>, String> {
    let bytes = fs::read(&case.model).map_err(|e| e.to_string())?;
    let function = Function::of_model(&bytes)?;
    Ok(function.outputs().into_iter().zip(function.run(&case.group("in"))?).collect())
}

/// A sample's graph in wide floats, to which derivatives are added.
struct Derived<'a> {
    case: &'a Case,
    graph: Graph,
    feeds: Feeds,
    values: Vec<ValueId>,
    dtype: DType,
}

impl<'a> Derived<'a> {
    fn new(case: &'a Case, graph: &Graph, dtype: DType) -> Result<Self, String> {
        let given = case.group("in");
        let graph = widen(graph, &given, dtype).map_err(|e| e.to_string())?;
        let wide = |t: &Tensor| widen::tensor(t, dtype).map_err(|e| e.to_string());
        let feeds =
            given.iter().map(|(n, t)| Ok((n.clone(), wide(t)?))).collect::<Result<Feeds, String>>()?;
        let values: Vec<ValueId> = graph.outputs().iter().map(|(_, v)| *v).collect();
        Function::to(&graph, &values)?.run(&feeds)?;
        Ok(Self { case, graph, feeds, values, dtype })
    }

    fn outcome(mut self) -> Outcome {
        match self.compare() {
            Ok(outcome) => outcome,
            Err(e) => Outcome::Failed(format!("{e} (in {})", self.dtype)),
        }
    }

    /// How close floats must be: literals are f32 in either precision.
    fn tolerance(&self) -> Tolerance {
        match self.dtype {
            DType::F64 => Tolerance { relative: 1e-5, absolute: 1e-6 },
            _ => Tolerance { relative: 1e-3, absolute: 1e-4 },
        }
    }

    fn compare(&mut self) -> Result<Outcome, String> {
        let names: Vec<String> = self.graph.outputs().iter().map(|(n, _)| n.clone()).collect();
        let found = Function::to(&self.graph, &self.values)?.run(&self.feeds)?;
        for (name, found) in names.iter().zip(&found) {
            let expected = self.wide(&format!("out/{name}"))?.ok_or_else(|| format!("no output `{name}`"))?;
            if let Err(e) = agree(found, &expected, self.tolerance()) {
                return self.blame(&found.clone(), name, e);
            }
        }
        let inputs: Vec<ValueId> = self.graph.inputs().to_vec();
        let inputs: Vec<(usize, ValueId)> =
            inputs.into_iter().filter_map(|v| Some((self.place(v)?, v))).collect();
        let outputs: Vec<(usize, ValueId)> = self.values.iter().copied().enumerate().collect();
        let first = match self.order("seed", "first", &outputs, &inputs)? {
            Ok(first) => first,
            Err(refused) => return Ok(refused),
        };
        if self.case.group("again").is_empty() {
            return Ok(Outcome::Passed);
        }
        Ok(match self.order("again", "second", &first, &inputs)? {
            Ok(_) => Outcome::Passed,
            Err(refused) => refused,
        })
    }

    /// The number of an input, by which the case knows it.
    fn place(&self, v: ValueId) -> Option<usize> {
        self.graph.value(v).name.strip_prefix("input_")?.parse().ok()
    }

    /// A tensor of the case, in the precision of the graph.
    fn wide(&self, name: &str) -> Result<Option<Tensor>, String> {
        let found = self.case.tensors.get(name);
        found.map(|t| widen::tensor(t, self.dtype).map_err(|e| e.to_string())).transpose()
    }

    /// Adds vector-Jacobian products of `of` with the vectors `vectors`, and compares them with `expected`.
    #[allow(clippy::type_complexity)]
    fn order(
        &mut self,
        vectors: &str,
        expected: &str,
        of: &[(usize, ValueId)],
        inputs: &[(usize, ValueId)],
    ) -> Result<Result<Vec<(usize, ValueId)>, Outcome>, String> {
        let mut pairs = vec![];
        for (i, y) in of {
            let name = format!("{vectors}/{i}");
            let vector = self.wide(&name)?.ok_or_else(|| format!("no vector `{name}`"))?;
            let shape: Vec<Dim> = vector.dims().iter().map(|d| Dim::from(*d)).collect();
            let id = self.graph.input(&name, self.dtype, shape).map_err(|e| e.to_string())?;
            self.feeds.insert(name, vector);
            pairs.push((*y, Some(id)));
        }
        let wrt: Vec<ValueId> = inputs.iter().map(|(_, v)| *v).collect();
        let found = match gradients(&mut self.graph, &pairs, &wrt) {
            Ok(found) => found,
            Err(e) => return refusal(e).map(Err),
        };
        let present: Vec<(usize, ValueId)> =
            inputs.iter().zip(found).filter_map(|((i, _), g)| Some((*i, g?))).collect();
        let values: Vec<ValueId> = present.iter().map(|(_, v)| *v).collect();
        let results = match values.is_empty() {
            true => vec![],
            false => Function::to(&self.graph, &values)?.run(&self.feeds)?,
        };
        for (i, v) in inputs {
            let dims = self.feeds[&self.graph.value(*v).name].dims().to_vec();
            let zeros = || tensor(self.dtype, &dims, &vec![0.0; dims.iter().product()]);
            // No gradient, here or there, says that it is zero.
            let wanted = self.wide(&format!("{expected}/{i}"))?.map_or_else(zeros, Ok)?;
            let found = present.iter().position(|(j, _)| j == i).map(|at| results[at].clone());
            let found = found.map_or_else(zeros, Ok)?;
            let largest = floats(&wanted)?.iter().fold(1f64, |a, b| a.max(b.abs()));
            let Tolerance { relative, absolute } = self.tolerance();
            let tolerance = Tolerance { relative, absolute: absolute * largest };
            agree(&found, &wanted, tolerance).map_err(|e| format!("{expected} of input {i}: {e}"))?;
        }
        Ok(Ok(present))
    }

    /// Other outputs than PyTorch's: the exporter's doing, if the exported file gives them too.
    fn blame(&self, found: &Tensor, name: &str, error: String) -> Result<Outcome, String> {
        let theirs = original(self.case)?;
        let (_, theirs) = theirs.iter().find(|(n, _)| n == name).ok_or("the original lacks the output")?;
        let theirs = widen::tensor(theirs, self.dtype).map_err(|e| e.to_string())?;
        match agree(found, &theirs, Tolerance { relative: 1e-3, absolute: 1e-4 }) {
            Ok(()) => Ok(Outcome::Refused("the exported graph gives other values than PyTorch".into())),
            Err(_) => Err(format!("`{name}`: {error}")),
        }
    }
}
