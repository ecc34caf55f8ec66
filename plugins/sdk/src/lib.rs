//! What a plugin in Rust depends on: implement [`Reward`] and name it in [`export_plugin!`].
//!
//! ```
//! use ekphrasis_sdk::{Batch, Parameter, Params, Reward, export_plugin};
//!
//! /// Rewards captions that are near a wanted number of words.
//! struct Length {
//!     words: f64,
//! }
//!
//! impl Reward for Length {
//!     const DOC: &'static str = "Minus the distance from the wanted number of words.";
//!     const PARAMS: &'static [Parameter] = &[Parameter::new("words", 10.0, "wanted number of words")];
//!
//!     fn new(params: &Params<'_>) -> Result<Self, String> {
//!         Ok(Length { words: params.get("words") })
//!     }
//!
//!     fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String> {
//!         Ok((0..batch.len()).map(|i| -(batch.words(i).len() as f64 - self.words).abs()).collect())
//!     }
//! }
//!
//! export_plugin! { rewards { "length" => Length } }
//! # fn main() {}
//! ```
//!
//! The plugin's `Cargo.toml` says `crate-type = ["cdylib"]`. A panic is caught and becomes an error with its
//! message; that needs the default `panic = "unwind"`.

pub use ekphrasis_abi::export::Params;
pub use ekphrasis_abi::reward::{Parameter, SpecialTokens};
pub use ekphrasis_abi::view::Batch;

/// A reward: one number for each sampled caption, higher is better.
///
/// An instance serves one run. It may move between threads, but is called from one at a time.
pub trait Reward: Send + Sized + 'static {
    /// What it rewards, for listings.
    const DOC: &'static str;
    /// The parameters that a config may set.
    const PARAMS: &'static [Parameter];

    /// Makes an instance; `params` has a value for each of [`Reward::PARAMS`]. An error is shown to the user,
    /// after the name of the plugin.
    fn new(params: &Params<'_>) -> Result<Self, String>;

    /// One finite score for each caption of `batch`. An error is shown to the user, after the name of the
    /// plugin and the training step.
    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String>;
}

/// Exports the library's plugins: `export_plugin! { rewards { "name" => Type, ... } }`, once a library.
///
/// The name is the one by which a config chooses the reward.
#[macro_export]
macro_rules! export_plugin {
    (rewards { $($name:literal => $reward:ty),+ $(,)? }) => {
        const _: () = {
            struct Rewards;

            impl $crate::macro_support::RewardTable for Rewards {
                const DESCRIPTIONS: &'static [$crate::macro_support::RewardDescription] =
                    &[$($crate::macro_support::describe::<$reward>($name)),+];
                const CREATE: &'static [$crate::macro_support::Create] =
                    &[$($crate::macro_support::create::<$reward>),+];
            }

            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static ekphrasis_plugin: $crate::macro_support::PluginEntry =
                $crate::macro_support::plugin_entry::<Rewards>();
        };
    };
}

/// What [`export_plugin!`] expands to; not for direct use.
#[doc(hidden)]
pub mod macro_support {
    pub use ekphrasis_abi::PluginEntry;
    pub use ekphrasis_abi::export::{Create, RewardTable, plugin_entry};
    pub use ekphrasis_abi::reward::RewardDescription;

    use crate::{Batch, Params, Reward};
    use ekphrasis_abi::export::Score;

    struct Instance<R>(R);

    impl<R: Reward> Score for Instance<R> {
        fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String> {
            self.0.score(batch)
        }
    }

    pub const fn describe<R: Reward>(name: &'static str) -> RewardDescription {
        RewardDescription::new(name, R::DOC, R::PARAMS)
    }

    pub fn create<R: Reward>(params: &Params<'_>) -> Result<Box<dyn Score>, String> {
        Ok(Box::new(Instance(R::new(params)?)))
    }
}
