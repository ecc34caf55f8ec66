//! Graphs as people read them.

use ekphrasis_graph::{Attr, DType, Graph, Tensor};
use std::sync::Arc;

#[test]
fn a_description_shows_ports_parameters_and_nodes() -> Result<(), ekphrasis_graph::GraphError> {
    let mut g = Graph::new("tiny");
    let x = g.input("x", DType::F32, vec!["B".into(), 4.into()])?;
    let w = g.initializer("w", Arc::new(Tensor::from_f32(&[4, 300], &[0.0; 1200])?))?;
    g.scope = "body/".into();
    let y = g.matmul(x, w)?;
    let y = g.scale(y, 0.5)?;
    let y = g.op("LeakyRelu", &[y], &[("alpha", Attr::Float(0.2))])?;
    let y = g.slice(y, &[1], &[0], &[10], &[1])?;
    g.output("y", y)?;
    let expected = "\
graph tiny (opset 18)
inputs
  x: f32[B, 4]
outputs
  y: f32[B, 10] = body/Slice_3
parameters: 1 tensors, 1,200 elements, 4,800 bytes
  w: f32[4, 300]
nodes: 4
  body/MatMul_0: f32[B, 300] = MatMul(x, w)
  body/Mul_1: f32[B, 300] = Mul(body/MatMul_0, 0.5)
  body/LeakyRelu_2: f32[B, 300] = LeakyRelu(body/Mul_1; alpha=0.2)
  body/Slice_3: f32[B, 10] = Slice(body/LeakyRelu_2, [0], [10], [1], [1])
";
    assert_eq!(g.describe(), expected);
    Ok(())
}
