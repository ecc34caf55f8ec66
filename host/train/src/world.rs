//! Everything that a run works with: data, models, weights, scripts, sessions.

use crate::{
    Choice, Config, Model, Observer, Result, Role, Sizes, TrainError,
    bound::Models,
    calls::Forward,
    error::suggestion,
    loss, reward, schedule,
    weights::{AllWeights, Weights},
};
use ekphrasis_data::{Dataset, Split};
use ekphrasis_grad::{GradError, RunningStatistic};
use ekphrasis_graph::Graph;
use ekphrasis_plugin::RewardPlugin;
use ekphrasis_runtime::{DeviceTensor, Runtime};
use ekphrasis_script::{Engine, Kind, Script};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

/// Where scripts and plugins are looked for.
#[derive(Clone, Debug)]
pub struct Layout {
    /// A folder that holds `scripts` and `plugins`.
    pub root: PathBuf,
    /// Folder for pictures and libraries that are made or fetched once.
    pub cache: PathBuf,
}

impl Layout {
    /// The nearest folder at or above `start` that holds `scripts` and `plugins`.
    pub fn find(start: &Path, cache: PathBuf) -> Result<Self> {
        let start = std::path::absolute(start).map_err(TrainError::io("read", start))?;
        let root = start.ancestors().find(|a| a.join("scripts").is_dir() && a.join("plugins").is_dir());
        let root = root.ok_or_else(|| {
            TrainError::folder(&start, "expected a folder at or above it that holds `scripts` and `plugins`, found none\nhint: run inside the project, or keep configs in it")
        })?;
        Ok(Self { root: root.to_owned(), cache })
    }

    fn scripts(&self, kind: Kind) -> PathBuf {
        let folder = match kind {
            Kind::Policy => "policies".to_owned(),
            Kind::Loss => "losses".to_owned(),
            Kind::Study => "studies".to_owned(),
            other => format!("{}s", other.name()),
        };
        self.root.join("scripts").join(folder)
    }

    /// The file of a script; an error names the nearest one there is.
    pub fn script(&self, kind: Kind, name: &str) -> Result<PathBuf> {
        let folder = self.scripts(kind);
        let path = folder.join(format!("{name}.lua"));
        if path.is_file() {
            return Ok(path);
        }
        let known = stems(&folder, "lua");
        let hint = suggestion(name, known.iter().map(String::as_str));
        Err(TrainError::config(
            kind.name(),
            format!("there is no {} `{name}` in {}\n{hint}", kind.name(), folder.display()),
        ))
    }

    /// The folder of a model plugin; an error names the nearest one there is.
    pub fn model(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("plugins/models");
        let path = folder.join(name);
        if path.join("model.toml").is_file() {
            return Ok(path);
        }
        let known = stems(&folder, "");
        let hint = suggestion(name, known.iter().map(String::as_str));
        Err(TrainError::config(
            "models",
            format!("there is no model `{name}` in {}\n{hint}", folder.display()),
        ))
    }
}

/// Names of files with an extension (or of folders) in a folder.
fn stems(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|e| {
            let path = e.path();
            let fits = match extension {
                "" => path.is_dir(),
                _ => path.extension().is_some_and(|x| x == extension),
            };
            fits.then(|| path.file_stem().map(|s| s.to_string_lossy().into_owned())).flatten()
        })
        .collect();
    names.sort();
    names
}

type Forwards = HashMap<(Role, String), Rc<RefCell<Forward>>>;
type TrainingGraph = Rc<(Graph, Vec<RunningStatistic>)>;

/// All that a run works with. Scripts hold it through [`Rc`], so what changes sits in cells.
pub struct World {
    /// The config.
    pub config: Config,
    /// Where scripts and plugins are.
    pub layout: Layout,
    /// ONNX Runtime.
    pub runtime: Runtime,
    /// Lua.
    pub engine: Engine,
    /// The data.
    pub data: Dataset,
    /// Sizes that models agree with.
    pub sizes: Sizes,
    models: Models,
    /// Weights of all roles.
    pub weights: RefCell<AllWeights>,
    forwards: RefCell<Forwards>,
    training: RefCell<HashMap<(Role, String), TrainingGraph>>,
    splits: RefCell<HashMap<String, Arc<Split>>>,
    chosen: RefCell<HashMap<String, (Script, serde_json::Value)>>,
    /// Compiled rewards, kept because making one loads a library.
    pub(crate) compiled: RefCell<HashMap<String, RewardPlugin>>,
    /// Document frequencies and prepared references.
    pub scoring: crate::scoring::Scoring,
    pub(crate) meteor: RefCell<Option<Rc<crate::meteor::MeteorScoring>>>,
    observer: RefCell<Box<dyn Observer>>,
    /// Set from outside to stop at the next step.
    pub stop: Arc<AtomicBool>,
}

impl World {
    /// Loads data and models and starts the scripts' engine.
    pub fn open(
        config: Config,
        layout: Layout,
        runtime: Runtime,
        mut observer: Box<dyn Observer>,
        progress: ekphrasis_data::Progress,
        stop: Arc<AtomicBool>,
    ) -> Result<Rc<Self>> {
        let data = ekphrasis_data::open(&config.data, &layout.cache, progress)?;
        for note in &data.notes {
            observer.note(note);
        }
        let sizes = Sizes {
            image: data.image_size,
            vocabulary: data.vocabulary.len(),
            max_length: config.max_length,
        };
        let limits = ekphrasis_script::Limits {
            wall: std::time::Duration::from_secs_f64(config.limits.seconds.clamp(0.01, 1e6)),
            memory: config.limits.memory_mib.saturating_mul(1 << 20),
        };
        let engine = Engine::new(limits, Some(runtime.clone()))?;
        classes(&engine)?;
        let mut models = Models::new();
        let mut weights = AllWeights::new();
        for (role, choice) in &config.models {
            let folder = layout.model(&choice.script)?;
            let model = Model::load(&engine, &folder, *role, &choice.params, sizes, config.seed)?;
            weights.insert(*role, Weights::new(&runtime, &model)?);
            models.insert(*role, model);
        }
        check_inherited(&models)?;
        let scoring = crate::scoring::Scoring::new(&data)?;
        Ok(Rc::new(Self {
            config,
            layout,
            runtime,
            engine,
            data,
            sizes,
            models,
            weights: RefCell::new(weights),
            forwards: RefCell::default(),
            training: RefCell::default(),
            splits: RefCell::default(),
            chosen: RefCell::default(),
            compiled: RefCell::default(),
            scoring,
            meteor: RefCell::default(),
            observer: RefCell::new(observer),
            stop,
        }))
    }

    /// Tells whoever watches.
    pub fn observe<R>(&self, f: impl FnOnce(&mut dyn Observer) -> R) -> R {
        f(self.observer.borrow_mut().as_mut())
    }

    /// A line for the user.
    pub fn note(&self, text: &str) {
        self.observe(|o| o.note(text));
    }

    /// The model of a role; an error says how to name one.
    pub fn model(&self, role: Role) -> Result<&Model> {
        self.models.get(&role).ok_or_else(|| {
            let message =
                format!("is needed here and not in the config\nhint: add `{role} = \"...\"` under [models]");
            TrainError::config(format!("models.{role}"), message)
        })
    }

    /// All models.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// What went wrong in differentiation, with the files that nodes without a rule come from.
    pub(crate) fn not_differentiable(&self, error: GradError) -> TrainError {
        let GradError::Missing { missing, .. } = &error else { return error.into() };
        let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for node in missing {
            // Their names begin with role and graph.
            let mut parts = node.node.split('/');
            let role = parts.next().and_then(|name| Role::ALL.into_iter().find(|r| r.name() == name));
            let Some(model) = role.and_then(|r| self.models.get(&r)) else { continue };
            let file = model.file_of(parts.next().unwrap_or_default()).display().to_string();
            let files = places.entry(&model.name).or_default();
            if !files.contains(&file) {
                files.push(file);
            }
        }
        match places.is_empty() {
            true => error.into(),
            false => {
                let models = places.keys().copied().collect::<Vec<_>>().join("`, `");
                let files = places.into_values().flatten().collect::<Vec<_>>().join(", ");
                TrainError::model(&models, format!("{files}: {error}"))
            }
        }
    }

    /// Loads a script by name.
    pub fn script(&self, kind: Kind, name: &str) -> Result<Script> {
        Ok(self.engine.load(kind, &self.layout.script(kind, name)?)?)
    }

    /// A script and its parameters.
    pub fn chosen(&self, kind: Kind, choice: &Choice) -> Result<(Script, serde_json::Value)> {
        let key = format!("{} {}", kind.name(), serde_json::to_string(choice).unwrap_or_default());
        if let Some(known) = self.chosen.borrow().get(&key) {
            return Ok(known.clone());
        }
        let script = self.script(kind, &choice.script)?;
        let params = script.params(&serde_json::Value::Object(choice.params.clone()))?;
        self.chosen.borrow_mut().insert(key, (script.clone(), params.clone()));
        Ok((script, params))
    }

    /// A split, shared with background threads.
    pub fn split(&self, name: &str) -> Result<Arc<Split>> {
        if let Some(split) = self.splits.borrow().get(name) {
            return Ok(split.clone());
        }
        let split = Arc::new(self.data.split(name)?.clone());
        self.splits.borrow_mut().insert(name.to_owned(), split.clone());
        Ok(split)
    }

    /// A graph of a role with batch normalisation in training form.
    pub(crate) fn training_graph(&self, role: Role, name: &str) -> Result<TrainingGraph> {
        let key = (role, name.to_owned());
        if let Some(graph) = self.training.borrow().get(&key) {
            return Ok(graph.clone());
        }
        let graph = Rc::new(ekphrasis_grad::batch_norm_training(self.model(role)?.graph(name)?)?);
        self.training.borrow_mut().insert(key, graph.clone());
        Ok(graph)
    }

    /// Runs a graph of a role with the weights that evaluation uses.
    pub fn forward(
        &self,
        role: Role,
        graph: &str,
        feed: &HashMap<String, DeviceTensor>,
    ) -> Result<Vec<DeviceTensor>> {
        let key = (role, graph.to_owned());
        let known = self.forwards.borrow().get(&key).cloned();
        let forward = match known {
            Some(forward) => forward,
            None => {
                let forward = Rc::new(RefCell::new(Forward::new(self, role, graph)?));
                self.forwards.borrow_mut().insert(key, forward.clone());
                forward
            }
        };
        let mut forward = forward.borrow_mut();
        forward.run(self, feed)
    }

    /// Starts a moving average of a role's weights.
    pub fn keep_average(&self, role: Role) -> Result<()> {
        if let Some(weights) = self.weights.borrow_mut().get_mut(&role) {
            weights.keep_average(&self.runtime)?;
        }
        for forward in self.forwards.borrow().values() {
            forward.borrow_mut().unbind();
        }
        Ok(())
    }

    /// Size of the generator's noise.
    pub fn noise_size(&self) -> Result<usize> {
        let model = self.model(Role::Generator)?;
        let graph = model.graph("generate")?;
        let noise = graph.find("noise").and_then(|id| graph.value(id).shape.as_ref()?.get(1)?.known());
        noise.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
            TrainError::model(
                &model.name,
                "graph `generate`, input `noise`: expected f32[B, Z] with Z a number",
            )
        })
    }

    /// Whether some model takes captions of one length only.
    pub fn fixed_length(&self) -> bool {
        let graphs = self.models.values().flat_map(|m| m.graphs.values());
        graphs.into_iter().any(|g| {
            let tokens = g.inputs().iter().find(|i| g.value(**i).name == "tokens");
            tokens.and_then(|i| g.value(*i).shape.as_ref()?.get(1)?.known()).is_some()
        })
    }
}

/// Registers what scripts can call.
pub fn classes(engine: &Engine) -> Result<()> {
    engine.register(loss::class())?;
    engine.register(crate::file_step::class())?;
    engine.register(reward::class())?;
    engine.register(schedule::class())?;
    Ok(())
}

/// Every inherited parameter must be there, with the same shape.
fn check_inherited(models: &BTreeMap<Role, Model>) -> Result<()> {
    for model in models.values() {
        for (prefix, owner) in model.inherits() {
            let Some(source) = models.get(&owner) else {
                let message = format!("it inherits `{prefix}*` from the {owner}, which is not in the config");
                return Err(TrainError::model(&model.name, message));
            };
            for graph in model.graphs.values() {
                for (name, (_, tensor)) in graph.initializers() {
                    if !name.starts_with(prefix) {
                        continue;
                    }
                    let found = source.trainable.get(name).or_else(|| source.states.get(name));
                    if found.is_none_or(|f| f.dims() != tensor.dims()) {
                        let found = found.map_or("none".into(), |f| format!("{:?}", f.dims()));
                        let message = format!(
                            "inherited parameter `{name}`: expected f32{:?} in {owner} `{}`, found {found}",
                            tensor.dims(),
                            source.name
                        );
                        return Err(TrainError::model(&model.name, message));
                    }
                }
            }
        }
    }
    Ok(())
}
