//! ONNX graphs: a typed intermediate form with a builder, shape inference over symbolic dimensions,
//! loading and saving. Everything is opset 18 once it is inside.
//!
//! ```
//! use ekphrasis_graph::{DType, Graph};
//! let mut g = Graph::new("affine");
//! let x = g.input("x", DType::F32, vec!["B".into(), 4.into()])?;
//! let w = g.input("w", DType::F32, vec![4.into(), 2.into()])?;
//! let y = g.matmul(x, w)?;
//! g.output("y", y)?;
//! assert_eq!(g.value(y).describe(), "f32[B, 2]");
//! # Ok::<(), ekphrasis_graph::GraphError>(())
//! ```

mod attr;
mod build;
mod cost;
mod dim;
mod dtype;
mod einsum;
mod error;
mod fold;
mod graph;
mod infer;
mod load;
mod proto;
mod rewrite;
mod save;
mod show;
mod target;
mod tensor;
mod upgrade;

pub use attr::{Attr, Attrs, AttrsExt};
pub use build::broadcast_shapes;
pub use cost::{multiplies, multiply_adds};
pub use dim::{Dim, Shape, product, show as show_shape};
pub use dtype::DType;
pub use einsum::Equation;
pub use error::{GraphError, Result};
pub use graph::{Graph, Node, NodeId, Origin, Value, ValueId, is_random};
pub use load::FileFacts;
pub use target::Target;
pub use tensor::Tensor;

/// The opset that graphs are normalised to at import and written in.
pub const OPSET: i64 = 18;
