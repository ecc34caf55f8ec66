//! Reverse-mode differentiation of ONNX graphs, graph in, graph out, in standard operators of opset
//! 18 only: the result runs on any provider and can be differentiated again.
//!
//! ```
//! use ekphrasis_grad::gradient;
//! use ekphrasis_graph::{DType, Graph};
//! let mut g = Graph::new("square");
//! let x = g.input("x", DType::F32, vec!["N".into()])?;
//! let square = g.mul(x, x)?;
//! let loss = g.reduce_sum(square, &[], false)?;
//! let grads = gradient(&mut g, loss, None, &[x])?;
//! let dx = grads[0].expect("the loss depends on x");
//! assert_eq!(g.value(dx).describe(), "f32[N]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`rules`] is the table: one row an operator, mathematics only. The driver ([`gradient`]) owns
//! un-broadcasting, accumulation and the error for what has no rule. [`optimizer`] turns a gradient into
//! new weights, and [`batch_norm_training`] a graph for inference into one for training.

mod broadcast;
pub mod case;
mod context;
mod driver;
mod error;
pub mod optimizer;
mod precision;
mod ranges;
mod recompute;
pub mod rules;
mod train_mode;
mod training;

pub use case::{Case, Operand};
pub use context::{Ctx, Grads};
pub use driver::{gradient, gradients, missing_rules, nodes_between, stop_gradient};
pub use error::{GradError, Missing, Result};
pub use optimizer::{OptimizerInputs, OptimizerKind, OptimizerOutputs, OptimizerSpec, flatten_gradients};
pub use precision::{IN_HALF, products_in};
pub use ranges::Ranges;
pub use recompute::{Recompute, recompute};
pub use rules::weight_gradient::{ConvShape, Form, conv_dw_form};
pub use train_mode::{RunningStatistic, batch_norm_training, running_statistics};
pub use training::training_step;
