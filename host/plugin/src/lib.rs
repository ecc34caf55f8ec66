//! Finds, builds and loads plugin libraries, and calls them safely.
//!
//! [`find`] looks for a plugin by name in `plugins` folders, [`PluginFolder::library_path`] gives its library
//! (building it when it has a `Cargo.toml`), [`Library::open`] loads that after a check of the ABI versions,
//! and [`RewardPlugin`] is one configured reward of it. [`list`] tells what there is.
//!
//! ```no_run
//! # use std::collections::BTreeMap;
//! # use ekphrasis_plugin::{Kind, Library, PluginError, Profile, RewardPlugin, find};
//! # fn main() -> Result<(), PluginError> {
//! let folder = find("repetition_native", Kind::Reward, &["plugins".into()])?;
//! let library = Library::open(&folder.library_path(Profile::Release)?)?;
//! let reward = RewardPlugin::create(&library, "repetition_native", &BTreeMap::new())?;
//! # drop(reward); Ok(())
//! # }
//! ```

mod build;
mod error;
mod find;
mod library;
mod list;
mod reward;

pub use build::{Profile, build};
pub use ekphrasis_abi::AbiVersion;
pub use ekphrasis_abi::reward::SpecialTokens;
pub use error::PluginError;
pub use find::{Kind, PluginFolder, find};
pub use library::Library;
pub use list::{PluginInfo, PluginState, list};
pub use reward::{ParameterDescription, RewardBatchView, RewardDescription, RewardPlugin};
