//! The runtime: finds ONNX Runtime (or fetches it once), starts it with the providers that the user
//! wants, and runs graphs on it with tensors that stay where the provider computes.
//!
//! ```no_run
//! use ekphrasis_graph::{DType, Graph};
//! use ekphrasis_runtime::{Config, DeviceTensor, Runtime, SessionOptions};
//! let mut graph = Graph::new("double");
//! let x = graph.input("x", DType::F32, vec!["N".into()])?;
//! let y = graph.add(x, x)?;
//! graph.output("y", y)?;
//! let runtime = Runtime::start(&Config::default(), &|line| eprintln!("{line}"))?;
//! let session = runtime.session(&graph, &SessionOptions::default())?;
//! let x = DeviceTensor::from_f32(&[2], vec![1.0, 2.0])?;
//! assert_eq!(session.run(&[("x", &x)])?[0].to_f32()?, [2.0, 4.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arena;
mod binding;
mod config;
mod cuda;
mod element;
mod error;
mod fetch;
mod fused;
mod locate;
mod memory;
mod narrow;
mod port;
mod products;
mod provider;
mod runtime;
mod session;
mod system;
mod tensor;

pub use arena::{Arena, Slot};
pub use binding::Binding;
pub use config::{Config, Provider, cores};
pub use error::{Result, RuntimeError};
pub use fetch::VERSION;
pub use locate::{Found, locate};
pub use port::Port;
pub use runtime::Runtime;
pub use session::{Session, SessionOptions};
pub use system::{Doctor, peak_memory_bytes};
pub use tensor::DeviceTensor;
