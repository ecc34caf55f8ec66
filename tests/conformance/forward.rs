//! Import and forward pass of ONNX's node tests.

use crate::{
    data::{Case, Tolerance, agree},
    function::Function,
    tally::Outcome,
};
use ekphrasis_grad::gradient;
use ekphrasis_graph::{Attr, Graph, Node, Tensor, ValueId};
use std::{collections::HashMap, fs};

/// Operators whose outputs are drawn at random; of these, types and shapes are compared.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Imports the model of a case and runs it; the graph, when it may go on to be differentiated.
pub fn forward(case: &Case) -> (Outcome, Option<Graph>) {
    let mut graph = match Graph::load(&case.model) {
        Ok(graph) => graph,
        Err(e) => return (unsupported(&e.to_string()), None),
    };
    if let Err(e) = expand_gradients(&mut graph) {
        return (Outcome::Failed(e), None);
    }
    match compare(case, &graph) {
        Ok(()) => (Outcome::Passed, Some(graph)),
        Err(e) => (blame(case, &graph, e), None),
    }
}

/// Why a model is not imported: a class of what is not supported, or a fault.
pub fn unsupported(error: &str) -> Outcome {
    let between = |start: &str, end: &str| {
        let rest = &error[error.find(start)? + start.len()..];
        rest.get(..rest.find(end)?)
    };
    let has = |parts: &[&str]| parts.iter().any(|p| error.contains(p));
    let op = between("` (", "):").unwrap_or("?");
    let class = if has(&["is a sequence", "is an optional", "optionals and text", "is a map"]) {
        "sequences, optionals and maps".into()
    } else if has(&["expected literal numbers as input"]) {
        "sequences whose length comes with the data".into()
    } else if has(&["expected a literal", "expected literal"]) {
        format!("{op}: an axis that comes with the data")
    } else if has(&["is not known before the model runs"]) {
        "control flow that only the data decide".into()
    } else if has(&["subgraphs are not supported"]) {
        format!("{op}: subgraphs")
    } else if has(&["of text", "(text)"]) {
        "text".into()
    } else if let Some(kind) = error.split("element type ").nth(1).and_then(|t| t.split(['(', ')']).nth(1)) {
        format!("element type: {kind}")
    } else if has(&["expected an opset from"]) {
        "opset before 11".into()
    } else if has(&["no form in opset 18", "form of opset", "not supported", "expected 4 dimensions"]) {
        let what = error.rsplit("): ").next().unwrap_or(error).lines().next().unwrap_or_default();
        let what = what.split([';', ',']).next().unwrap_or_default();
        format!("{op}: {}", what.replace(|c: char| c.is_ascii_digit(), "N"))
    } else if has(&["cannot be brought to opset 18"]) {
        format!("newer than opset 18: {op}")
    } else {
        return Outcome::Failed(error.into());
    };
    Outcome::Refused(class)
}

fn outputs(case: &Case, function: &Function) -> Result<Vec<(String, Tensor)>, String> {
    Ok(function.outputs().into_iter().zip(function.run(&case.group("in"))?).collect())
}

fn tolerance(case: &Case) -> Result<Tolerance, String> {
    Ok(Tolerance { relative: case.number("rtol")?, absolute: case.number("atol")? })
}

/// Compares outputs with what the case expects.
fn check(case: &Case, found: &[(String, Tensor)], random: bool) -> Result<(), String> {
    let expected = case.group("out");
    if found.len() != expected.len() {
        return Err(format!("expected {} outputs, found {}", expected.len(), found.len()));
    }
    for (name, tensor) in found {
        let wanted = expected.get(name).ok_or_else(|| format!("no output `{name}` was expected"))?;
        let shape = |t: &Tensor| (t.dtype(), t.dims().to_vec());
        if !random || shape(tensor) != shape(wanted) {
            agree(tensor, wanted, tolerance(case)?).map_err(|e| format!("`{name}`: {e}"))?;
        }
    }
    Ok(())
}

/// Whether some output is drawn at random.
pub fn is_random(graph: &Graph) -> bool {
    let dropout = |op: &str, inputs: usize| op == "Dropout" && inputs > 2;
    graph.nodes().any(|(_, n)| RANDOM.contains(&n.op.as_str()) || dropout(&n.op, n.inputs.len()))
}

fn compare(case: &Case, graph: &Graph) -> Result<(), String> {
    check(case, &outputs(case, &Function::of(graph)?)?, is_random(graph))
}

/// Whose fault it is that a case does not pass: ONNX Runtime's, if it does no better with the original.
fn blame(case: &Case, graph: &Graph, error: String) -> Outcome {
    let original = fs::read(&case.model).map_err(|e| e.to_string()).and_then(|b| Function::of_model(&b));
    let theirs = original.and_then(|f| outputs(case, &f));
    let ours = Function::of(graph).and_then(|f| outputs(case, &f));
    match (ours, theirs) {
        (Err(e), _) if e.contains("ai.onnx.ml") => {
            Outcome::Refused("a later version of the domain ai.onnx.ml".into())
        }
        (Err(e), Err(_)) => Outcome::Refused(no_kernel(&e)),
        (Ok(ours), Ok(theirs)) if check(case, &theirs, false).is_err() && same(case, &ours, &theirs) => {
            Outcome::Refused("onnxruntime gives other values than expected, for the original too".into())
        }
        _ => Outcome::Failed(error),
    }
}

fn same(case: &Case, ours: &[(String, Tensor)], theirs: &[(String, Tensor)]) -> bool {
    let close = |a: &Tensor, b: &Tensor| tolerance(case).and_then(|t| agree(a, b, t)).is_ok();
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|((_, a), (_, b))| close(a, b))
}

fn no_kernel(error: &str) -> String {
    let classes = [
        ("NOT_IMPLEMENTED", "onnxruntime has no kernel"),
        ("Could not find an implementation", "onnxruntime has no kernel"),
        ("is under development", "onnxruntime does not know the opset"),
        ("is not a registered function/op", "onnxruntime does not know the operator"),
        ("invalid model. Type Error", "onnxruntime does not take the type"),
        ("found Tensor<String>", "text"),
        ("No Op registered for", "onnxruntime does not know the operator"),
        ("layout_ == 0", "onnxruntime has no kernel"),
    ];
    let known = classes.iter().find(|(part, _)| error.contains(part)).map(|(_, class)| (*class).to_owned());
    known
        .unwrap_or_else(|| format!("onnxruntime cannot run it: {}", error.lines().next().unwrap_or_default()))
}

const GRADIENT: &str = "ai.onnx.preview.training::Gradient";

/// Puts our gradients in the place of outputs that `Gradient` nodes make: of the value `y` by the values `xs`.
fn expand_gradients(graph: &mut Graph) -> Result<(), String> {
    let nodes: Vec<Node> = graph.nodes().map(|(_, n)| n.clone()).filter(|n| n.op == GRADIENT).collect();
    let mut made: HashMap<ValueId, ValueId> = HashMap::new();
    for node in &nodes {
        let value = |name: &str| graph.find(name).ok_or_else(|| format!("Gradient: no value `{name}`"));
        let (Some(Attr::Texts(xs)), Some(Attr::Text(y))) = (node.attrs.get("xs"), node.attrs.get("y")) else {
            return Err("Gradient: expected `xs` and `y`".into());
        };
        let (y, xs) = (value(y)?, xs.iter().map(|x| value(x)).collect::<Result<Vec<_>, _>>()?);
        let total = graph.reduce_sum(y, &[], false).map_err(|e| e.to_string())?;
        let found = gradient(graph, total, None, &xs).map_err(|e| e.to_string())?;
        let pairs = node.outputs.iter().zip(found);
        made.extend(pairs.filter_map(|(output, found)| Some(((*output)?, found?))));
    }
    let ports = graph.outputs().to_vec();
    graph.clear_outputs();
    for (name, value) in ports {
        let value = made.get(&value).copied().unwrap_or(value);
        graph.output(&name, value).map_err(|e| e.to_string())?;
    }
    Ok(())
}
