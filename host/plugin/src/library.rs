//! Loading a library and checking what it says about itself.

use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};

use ekphrasis_abi::reward::{self, RewardFactory};
use ekphrasis_abi::{ABI, AbiVersion, PluginEntry, SYMBOL, Str};

use crate::PluginError;
use crate::reward::{ParameterDescription, RewardCalls, RewardDescription};

/// More than any library offers; a larger number is a sign of memory that is not what it should be.
const MANY: usize = 10_000;

/// A loaded plugin library. It stays loaded until the process ends.
#[derive(Clone, Debug)]
pub struct Library {
    path: PathBuf,
    abi: AbiVersion,
    rewards: Vec<RewardDescription>,
    pub(crate) reward_calls: Option<RewardCalls>,
}

impl Library {
    /// Loads the library at `path`, checks its ABI version and reads what it offers.
    ///
    /// Loading runs the library's static initialisers, so it is to be trusted as the host itself is. A file
    /// that changed after it was loaded is not loaded again in the same process.
    pub fn open(path: &Path) -> Result<Self, PluginError> {
        // Without a separator in it, the system's loader would search its own folders instead.
        let path = path.canonicalize().map_err(|e| PluginError::Load {
            path: path.to_owned(),
            message: e.to_string(),
            hint: "check the path, and build the plugin first",
        })?;
        if !path.is_file() {
            return Err(PluginError::Load {
                path,
                message: "expected a file, found something else".to_owned(),
                hint: "name the library itself, not its folder",
            });
        }
        // SAFETY: running the initialisers of a library that the user chose is what loading a plugin means.
        let library = unsafe { libloading::Library::new(&path) }.map_err(|e| PluginError::Load {
            path: path.clone(),
            message: e.to_string(),
            hint: "it must be a shared library for this system and processor, with all that it depends on",
        })?;
        // Never unloaded: factories, descriptions and thread-local destructors live in it.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: the symbol's address is read as a pointer to the static that the ABI says it is.
        let entry = unsafe { library.get::<*const PluginEntry>(SYMBOL) };
        let entry: *const PluginEntry = match entry {
            Ok(symbol) => *symbol,
            Err(_) => return Err(PluginError::NoSymbol { path }),
        };
        // SAFETY: the two numbers have their place in every version of the ABI; nothing else is read before.
        let abi = unsafe { AbiVersion { major: (*entry).abi_major, minor: (*entry).abi_minor } };
        if !ABI.accepts(abi) {
            return Err(PluginError::Abi { path, plugin: abi });
        }
        // SAFETY: its version is one that this host knows, so the whole entry is there, as long as the library.
        let entry: &'static PluginEntry = unsafe { &*entry };
        let reward_calls = reward_calls(&path, entry)?;
        let rewards = reward_calls.map_or(Ok(Vec::new()), |calls| describe_rewards(&path, calls))?;
        Ok(Library { path, abi, rewards, reward_calls })
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// ABI version that the library was built for.
    pub fn abi(&self) -> AbiVersion {
        self.abi
    }

    /// The rewards that it offers; none when it has no factory for rewards.
    pub fn rewards(&self) -> &[RewardDescription] {
        &self.rewards
    }
}

fn factory(path: &Path, entry: &PluginEntry, id: &CStr) -> Result<*const c_void, PluginError> {
    let get_factory = entry
        .get_factory
        .ok_or_else(|| PluginError::broken(path, "`get_factory`: expected a function, found NULL"))?;
    // SAFETY: `id` is zero-terminated and outlives the call.
    Ok(unsafe { get_factory(id.as_ptr()) })
}

/// The functions of the library's factory for rewards, if it has one.
fn reward_calls(path: &Path, entry: &PluginEntry) -> Result<Option<RewardCalls>, PluginError> {
    let factory = factory(path, entry, reward::FACTORY_ID)?;
    // SAFETY: the ABI says that a factory of this id has this type and lives as long as the library.
    let Some(factory) = (unsafe { factory.cast::<RewardFactory>().as_ref() }) else {
        return Ok(None);
    };
    let missing = |name: &str| {
        PluginError::broken(path, format!("`{name}` of the reward factory: expected a function, found NULL"))
    };
    Ok(Some(RewardCalls {
        count: factory.count.ok_or_else(|| missing("count"))?,
        describe: factory.describe.ok_or_else(|| missing("describe"))?,
        create: factory.create.ok_or_else(|| missing("create"))?,
        score: factory.score.ok_or_else(|| missing("score"))?,
        destroy: factory.destroy.ok_or_else(|| missing("destroy"))?,
    }))
}

fn describe_rewards(path: &Path, calls: RewardCalls) -> Result<Vec<RewardDescription>, PluginError> {
    // SAFETY: the function takes nothing and may be called at any time.
    let count = unsafe { (calls.count)() };
    if count > MANY {
        return Err(PluginError::broken(
            path,
            format!("`count`: expected at most {MANY} rewards, found {count}"),
        ));
    }
    let mut rewards: Vec<RewardDescription> = Vec::with_capacity(count);
    for index in 0..count {
        let reward = describe_reward(calls, index)
            .map_err(|message| PluginError::broken(path, format!("`describe({index})`: {message}")))?;
        if rewards.iter().any(|other| other.name == reward.name) {
            let message = format!("`describe({index})`: a second reward is called `{}`", reward.name);
            return Err(PluginError::broken(path, message));
        }
        rewards.push(reward);
    }
    Ok(rewards)
}

fn describe_reward(calls: RewardCalls, index: usize) -> Result<RewardDescription, String> {
    // SAFETY: `index` is below `count`; what comes back lives as long as the library.
    let raw = unsafe { (calls.describe)(index).as_ref() }.ok_or("expected a description, found NULL")?;
    let name = text("name", raw.name)?;
    if name.is_empty() {
        return Err("name: expected a name, found an empty text".to_owned());
    }
    let count = raw.parameter_count;
    if count > MANY || (count > 0 && raw.parameters.is_null()) {
        return Err(format!("expected at most {MANY} parameters and a pointer to them, found {count}"));
    }
    let mut parameters: Vec<ParameterDescription> = Vec::with_capacity(count);
    for i in 0..count {
        // SAFETY: not null, and the ABI says that there are `count` of them.
        let parameter = unsafe { &*raw.parameters.add(i) };
        let name = text(&format!("parameters[{i}].name"), parameter.name)?;
        if name.is_empty() || parameters.iter().any(|other| other.name == name) {
            return Err(format!("parameters[{i}].name: expected a name of its own, found `{name}`"));
        }
        let default = parameter.default_value;
        if !default.is_finite() {
            return Err(format!("parameter `{name}`: expected a finite default, found {default}"));
        }
        let doc = text(&format!("parameters[{i}].doc"), parameter.doc)?;
        parameters.push(ParameterDescription { name, default, doc });
    }
    Ok(RewardDescription { name, doc: text("doc", raw.doc)?, parameters })
}

fn text(field: &str, raw: Str) -> Result<String, String> {
    // SAFETY: the ABI says that the texts of a description live as long as the library.
    unsafe { raw.get() }.map(str::to_owned).map_err(|e| format!("{field}: {e}"))
}
