//! `ekphrasis graph grad`

use crate::{
    error::{CliError, Result, suggestion},
    screen::print,
};
use ekphrasis_grad::gradient;
use ekphrasis_graph::{Graph, ValueId};
use std::path::PathBuf;

/// Arguments of `graph grad`.
#[derive(clap::Args)]
pub struct Args {
    /// The .onnx file
    model: PathBuf,
    /// The output to differentiate
    #[arg(long, value_name = "OUTPUT")]
    of: String,
    /// Inputs or initializers to differentiate by [default: all float ones that the output depends on]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    wrt: Vec<String>,
    /// The .onnx file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes a gradient graph.
pub fn run(args: Args) -> Result<()> {
    let graph = Graph::load(&args.model)?;
    let place = args.model.display().to_string();
    let graph = differentiated(graph, &place, &args.of, &args.wrt)?;
    graph.save(&args.out)?;
    print(&format!("{}\n", args.out.display()))
}

/// The graph that takes the inputs of `graph` and `grad_<of>`, the gradient of that output, and gives
/// `grad_<name>` for each of `wrt`.
fn differentiated(mut graph: Graph, place: &str, of: &str, wrt: &[String]) -> Result<Graph> {
    let wrong = |message: String| CliError::Message(format!("{place}: {message}"));
    let y = graph.output_named(of).ok_or_else(|| {
        let known = graph.outputs().iter().map(|(name, _)| name.as_str());
        wrong(format!("there is no output `{of}`\n{}", suggestion(of, known)))
    })?;
    let value = graph.value(y).clone();
    if !value.dtype.is_float() {
        return Err(wrong(format!("output `{of}`: expected floats, found {}", value.describe())));
    }
    let leaves = |graph: &Graph| -> Vec<(String, ValueId)> {
        let inputs = graph.inputs().iter().map(|id| (graph.value(*id).name.clone(), *id));
        let initializers = graph.initializers().into_iter().map(|(name, (id, _))| (name.to_owned(), id));
        let all: Vec<_> = inputs.chain(initializers).collect();
        all.into_iter().filter(|(_, id)| graph.value(*id).dtype.is_float()).collect()
    };
    let known = leaves(&graph);
    let chosen: Vec<(String, ValueId)> = match wrt.is_empty() {
        true => known,
        false => {
            let find = |name: &String| {
                known.iter().find(|(known, _)| known == name).cloned().ok_or_else(|| {
                    let hint = suggestion(name, known.iter().map(|(name, _)| name.as_str()));
                    wrong(format!("there is no float input or initializer `{name}`\n{hint}"))
                })
            };
            wrt.iter().map(find).collect::<Result<_>>()?
        }
    };
    let seed = graph.input(&format!("grad_{of}"), value.dtype, value.shape)?;
    let ids: Vec<ValueId> = chosen.iter().map(|(_, id)| *id).collect();
    let gradients = gradient(&mut graph, y, Some(seed), &ids)?;
    graph.clear_outputs();
    let mut any = false;
    for ((name, _), found) in chosen.iter().zip(gradients) {
        match found {
            Some(id) => {
                graph.output(&format!("grad_{name}"), id)?;
                any = true;
            }
            None if wrt.is_empty() => {}
            None => return Err(wrong(format!("output `{of}` does not depend on `{name}`"))),
        }
    }
    match any {
        true => Ok(graph),
        false => Err(wrong(format!("output `{of}` depends on no float input or initializer"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::{DType, Tensor};
    use std::sync::Arc;

    fn affine() -> Graph {
        let mut g = Graph::new("affine");
        let x = g.input("x", DType::F32, vec!["B".into(), 3.into()]).unwrap();
        g.input("idle", DType::F32, vec!["B".into()]).unwrap();
        let w = g.initializer("w", Arc::new(Tensor::from_f32(&[3, 2], &[0.5; 6]).unwrap())).unwrap();
        let y = g.matmul(x, w).unwrap();
        g.output("y", y).unwrap();
        g
    }

    #[test]
    fn ports_are_the_inputs_the_seed_and_the_gradients() {
        let graph = differentiated(affine(), "m.onnx", "y", &[]).unwrap();
        let graph = Graph::from_bytes(&graph.to_bytes().unwrap(), "m.onnx".as_ref(), None).unwrap();
        let inputs: Vec<_> = graph.inputs().iter().map(|id| graph.value(*id).name.as_str()).collect();
        assert_eq!(inputs, ["x", "idle", "grad_y"]);
        let outputs: Vec<_> = graph
            .outputs()
            .iter()
            .map(|(name, id)| format!("{name}: {}", graph.value(*id).describe()))
            .collect();
        assert_eq!(outputs, ["grad_x: f32[B, 3]", "grad_w: f32[3, 2]"]);
    }

    #[test]
    fn wrong_names_are_explained() {
        let error = |of: &str, wrt: &[&str]| {
            let wrt: Vec<String> = wrt.iter().map(|s| (*s).to_owned()).collect();
            differentiated(affine(), "m.onnx", of, &wrt).unwrap_err().to_string()
        };
        assert_eq!(error("yy", &[]), "m.onnx: there is no output `yy`\nhint: did you mean `y`?");
        assert!(error("y", &["v"]).contains("no float input or initializer `v`"));
        assert_eq!(error("y", &["idle"]), "m.onnx: output `y` does not depend on `idle`");
    }
}
