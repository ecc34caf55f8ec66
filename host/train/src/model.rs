//! Model plugins: a folder with `model.toml` and graphs, from ONNX files or built by `model.lua`.

use crate::{EncoderForm, Result, Role, Sizes, TrainError, error::suggestion, role};
use ekphrasis_data::Vocabulary;
use ekphrasis_grad::running_statistics;
use ekphrasis_graph::{DType, Graph, Tensor};
use ekphrasis_script::{Engine, Kind};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What `model.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    name: String,
    role: Role,
    doc: String,
    /// `lua = "model.lua"`, or for each graph its ONNX file.
    pub graphs: BTreeMap<String, String>,
    /// How its `image` wants pictures where it is used as an encoder of picture files.
    #[serde(default)]
    pub encoder: EncoderForm,
    /// Patterns of the initializers that train.
    #[serde(default = "all")]
    train: Vec<String>,
    /// Prefixes of initializers that are those of another role, frozen here.
    #[serde(default)]
    inherit: BTreeMap<String, Role>,
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

impl Manifest {
    /// Reads `model.toml`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        toml::from_str(&text).map_err(|e| TrainError::Config {
            file: Some(path.to_owned()),
            field: String::new(),
            message: e.to_string(),
        })
    }
}

/// What happens to an initializer in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// An optimiser updates it.
    Trainable,
    /// A running statistic of batch normalisation.
    State,
    /// It belongs to another role.
    Inherited(Role),
    /// It stays as it is.
    Frozen,
}

/// A model, checked against the contract of its role.
pub struct Model {
    /// Folder name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What it is, in a line.
    pub doc: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The files that it was made from.
    pub files: Vec<PathBuf>,
    /// Its graphs in inference form; initializers hold initial values.
    pub graphs: BTreeMap<String, Graph>,
    /// Initial values of what trains, by name.
    pub trainable: BTreeMap<String, Arc<Tensor>>,
    /// Initial values of running statistics, by name.
    pub states: BTreeMap<String, Arc<Tensor>>,
    inherit: BTreeMap<String, Role>,
}

impl Model {
    /// The file that holds a graph: one of its own, or the script that makes all of them.
    pub(crate) fn file_of(&self, graph: &str) -> &Path {
        let own = self.graphs.keys().position(|g| g == graph).filter(|_| self.files.len() > 2);
        self.files.get(own.unwrap_or(0) + 1).unwrap_or(&self.folder)
    }

    /// Loads the plugin in `folder` for `role`.
    ///
    /// # Errors
    /// When a file is missing or not what it says, or when a graph breaks the contract of the role.
    pub fn load(
        engine: &Engine,
        folder: &Path,
        role: Role,
        params: &serde_json::Map<String, serde_json::Value>,
        sizes: Sizes,
        seed: u64,
    ) -> Result<Self> {
        let path = folder.join("model.toml");
        let manifest = Manifest::read(&path)?;
        let name = folder.file_name().map_or(manifest.name.clone(), |n| n.to_string_lossy().into_owned());
        if manifest.role != role {
            return Err(TrainError::model(
                &name,
                format!("expected a {role}, found a {} ({})", manifest.role, path.display()),
            ));
        }
        let mut files = vec![path];
        let graphs = match manifest.graphs.get("lua") {
            Some(file) => {
                let path = inside(&name, folder, file)?;
                let script = engine.load(Kind::Model, &path)?;
                files.push(path);
                let facts = [
                    ("vocabulary", sizes.vocabulary),
                    ("image_size", sizes.image),
                    ("max_length", sizes.max_length),
                    ("pad", Vocabulary::PAD as usize),
                    ("bos", Vocabulary::BOS as usize),
                    ("eos", Vocabulary::EOS as usize),
                ];
                let facts = facts.into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
                let params = serde_json::Value::Object(params.clone());
                ekphrasis_script::build_model(engine, &script, &params, &facts, seed)?.graphs
            }
            None => {
                if let Some(key) = params.keys().next() {
                    let message =
                        format!("parameter `{key}`: its graphs are ONNX files, which have no parameters");
                    return Err(TrainError::model(&name, message));
                }
                let mut graphs = BTreeMap::new();
                for (graph, file) in &manifest.graphs {
                    let path = inside(&name, folder, file)?;
                    let mut loaded = Graph::load(&path)?;
                    loaded.name = graph.clone();
                    graphs.insert(graph.clone(), loaded);
                    files.push(path);
                }
                graphs
            }
        };
        role::check(&name, role, &graphs, sizes)?;
        let mut model = Self {
            name,
            role,
            doc: manifest.doc,
            folder: folder.to_owned(),
            files,
            graphs,
            trainable: BTreeMap::new(),
            states: BTreeMap::new(),
            inherit: manifest.inherit,
        };
        model.sort_initializers(&manifest.train)?;
        Ok(model)
    }

    fn sort_initializers(&mut self, patterns: &[String]) -> Result<()> {
        let mut statistics = BTreeSet::new();
        let mut all: BTreeMap<String, Arc<Tensor>> = BTreeMap::new();
        for (graph_name, graph) in &self.graphs {
            statistics.extend(running_statistics(graph).into_iter().map(|id| graph.value(id).name.clone()));
            for (name, (_, tensor)) in graph.initializers() {
                if let Some(other) = all.insert(name.to_owned(), tensor.clone())
                    && other != *tensor
                {
                    let message = format!(
                        "initializer `{name}` is {}{:?} in graph `{graph_name}` and {}{:?} with other values in another; \
                         expected one parameter under one name",
                        tensor.dtype(),
                        tensor.dims(),
                        other.dtype(),
                        other.dims()
                    );
                    return Err(TrainError::model(&self.name, message));
                }
            }
        }
        for (name, tensor) in all {
            let float = tensor.dtype() == DType::F32;
            if self.inherited(&name).is_some() {
                continue;
            } else if float && statistics.contains(&name) {
                self.states.insert(name, tensor);
            } else if float && patterns.iter().any(|p| matches(p, &name)) {
                self.trainable.insert(name, tensor);
            }
        }
        if self.trainable.is_empty() {
            let hint = "hint: `train` in model.toml lists patterns of initializer names";
            return Err(TrainError::model(&self.name, format!("none of its initializers train\n{hint}")));
        }
        Ok(())
    }

    fn inherited(&self, name: &str) -> Option<Role> {
        self.inherit.iter().find(|(prefix, _)| name.starts_with(prefix.as_str())).map(|(_, role)| *role)
    }

    /// Where the value of an initializer lives in training.
    pub fn kept(&self, name: &str) -> Kept {
        match self.inherited(name) {
            Some(role) => Kept::Inherited(role),
            None if self.trainable.contains_key(name) => Kept::Trainable,
            None if self.states.contains_key(name) => Kept::State,
            None => Kept::Frozen,
        }
    }

    /// The roles whose parameters it uses.
    pub fn inherits(&self) -> impl Iterator<Item = (&str, Role)> {
        self.inherit.iter().map(|(prefix, role)| (prefix.as_str(), *role))
    }

    /// One of its graphs; an error that names the ones there are.
    pub fn graph(&self, name: &str) -> Result<&Graph> {
        self.graphs.get(name).ok_or_else(|| {
            let known = self.graphs.keys().map(String::as_str);
            TrainError::model(&self.name, format!("it has no graph `{name}`\n{}", suggestion(name, known)))
        })
    }

    /// A graph with the given values in the place of its initializers.
    pub fn graph_with(&self, name: &str, values: &BTreeMap<String, Arc<Tensor>>) -> Result<Graph> {
        let source = self.graph(name)?;
        let mut graph = Graph::new(name);
        let mut feed = std::collections::HashMap::new();
        for input in source.inputs() {
            let value = source.value(*input);
            feed.insert(value.name.clone(), graph.input(&value.name, value.dtype, value.shape.clone())?);
        }
        let outs = graph.inline::<TrainError>(source, &feed, |g, name, tensor| {
            Ok(g.initializer(name, values.get(name).unwrap_or(tensor).clone())?)
        })?;
        for ((name, _), value) in source.outputs().iter().zip(outs) {
            graph.output(name, value)?;
        }
        Ok(graph)
    }
}

/// A file in the model's own folder.
pub(crate) fn inside(model: &str, folder: &Path, file: &str) -> Result<PathBuf> {
    let plain = Path::new(file).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if !plain {
        return Err(TrainError::model(
            model,
            format!("graph file `{file}`: expected a file in the model's own folder"),
        ));
    }
    Ok(folder.join(file))
}

/// Whether `name` fits a pattern in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|i| tail.is_char_boundary(i) && matches(rest, &tail[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("*", "a.b"));
        assert!(matches("block.*.weight", "block.0.q.weight"));
        assert!(!matches("block.*.weight", "block.0.bias"));
        assert!(matches("a*b*c", "a1b2c") && !matches("a*b*c", "a1c2b"));
    }
}
