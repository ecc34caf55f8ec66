//! The Lua side: scripts by kind under limits, tensors that are traced into ONNX graphs or computed at
//! once, the builder of models, and the stubs for editors.
//!
//! ```
//! use ekphrasis_script::{Engine, Kind, Limits};
//! let engine = Engine::new(Limits::default(), None)?;
//! let script = engine.load_text(
//!     Kind::Reward,
//!     "short.lua",
//!     "return { api = 1, doc = 'Short is good.', params = { weight = 1.0 },
//!         score = function(batch, p) return { -p.weight * #batch[1] } end }",
//! )?;
//! let p = engine.value(&script.params(&serde_json::json!({ "weight": 2.0 }))?)?;
//! let scores = engine.call(&script, "score", (vec!["a red circle"], p))?;
//! let scores = ekphrasis_script::check_scores(&scores[0], 1)?;
//! assert_eq!(scores, [-24.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod class;
mod eager;
mod engine;
mod error;
mod handle;
mod host;
mod init;
mod json;
mod kind;
mod layers;
mod model;
pub mod ops;
mod params;
mod pattern;
mod results;
mod sandbox;
mod signature;
mod strings;
pub mod stubs;
mod tensor;
mod tensor_class;

pub use class::{Class, ClassDoc, FieldDoc, Form, FunctionDoc, Module};
pub use engine::{Engine, Script, Update};
pub use error::{Fault, Report, ScriptError, nearest};
pub use handle::{ModelCalls, ModelHandle};
pub use host::{Limits, uncounted};
pub use json::{from_lua, to_lua};
pub use kind::{Key, Kind};
pub use mlua;
pub use model::{BuiltModel, build_model};
pub use params::merge as merge_params;
pub use results::{Component, check_loss, check_reward, check_scores};
pub use signature::{Parameter, Signature};
pub use tensor::{Tensor, Trace};
