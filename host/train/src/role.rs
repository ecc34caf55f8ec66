//! The roles of models and what each role's graphs must look like.

use crate::{Result, TrainError};
use ekphrasis_graph::{DType, Dim, Graph, show_shape};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes captions for pictures.
    Captioner,
    /// Paints pictures from captions.
    Generator,
    /// Tells real pictures with their captions from all others.
    Discriminator,
    /// Embeds pictures and captions in one space.
    Scorer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Captioner, Self::Generator, Self::Discriminator, Self::Scorer];

    /// The name, as configs and `model.toml` write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Captioner => "captioner",
            Self::Generator => "generator",
            Self::Discriminator => "discriminator",
            Self::Scorer => "scorer",
        }
    }

    /// The role called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }

    /// Its graphs: name, inputs, outputs. Ports after a trailing `*` row repeat under a prefix.
    fn contract(self) -> &'static [GraphContract] {
        match self {
            Self::Captioner => CAPTIONER,
            Self::Generator => GENERATOR,
            Self::Discriminator => DISCRIMINATOR,
            Self::Scorer => SCORER,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct GraphContract {
    name: &'static str,
    inputs: &'static [Port],
    outputs: &'static [Port],
    optional: bool,
}

/// A port: its name (or a prefix that ends in `.`, for any number of ports), type, and shape.
struct Port {
    name: &'static str,
    dtype: DType,
    /// `S` is the picture size, `V` the vocabulary, other letters are free; empty for any shape.
    shape: &'static [&'static str],
}

const fn port(name: &'static str, dtype: DType, shape: &'static [&'static str]) -> Port {
    Port { name, dtype, shape }
}

const IMAGE: Port = port("image", DType::F32, &["B", "3", "S", "S"]);
const TOKENS: Port = port("tokens", DType::I64, &["B", "T"]);
const MEMORY: Port = port("memory.", DType::F32, &[]);

const CAPTIONER: &[GraphContract] = &[
    GraphContract { name: "encode", inputs: &[IMAGE], outputs: &[MEMORY], optional: false },
    GraphContract {
        name: "decode",
        inputs: &[TOKENS, MEMORY],
        outputs: &[port("logits", DType::F32, &["B", "T", "V"])],
        optional: false,
    },
    GraphContract {
        name: "step",
        inputs: &[port("token", DType::I64, &["B"]), port("state.", DType::F32, &[]), MEMORY],
        outputs: &[port("logits", DType::F32, &["B", "V"]), port("next.", DType::F32, &[])],
        optional: false,
    },
];
const GENERATOR: &[GraphContract] = &[GraphContract {
    name: "generate",
    inputs: &[port("noise", DType::F32, &["B", "Z"]), TOKENS],
    outputs: &[IMAGE],
    optional: false,
}];
const DISCRIMINATOR: &[GraphContract] = &[GraphContract {
    name: "judge",
    inputs: &[IMAGE, TOKENS],
    outputs: &[port("score", DType::F32, &["B"])],
    optional: false,
}];
const EMBEDDING: Port = port("embedding", DType::F32, &["B", "D"]);
const SCORER: &[GraphContract] = &[
    GraphContract { name: "image", inputs: &[IMAGE], outputs: &[EMBEDDING], optional: false },
    GraphContract { name: "text", inputs: &[TOKENS], outputs: &[EMBEDDING], optional: false },
    GraphContract { name: "scale", inputs: &[], outputs: &[port("scale", DType::F32, &[])], optional: true },
];

/// The sizes that a model must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width and height of pictures.
    pub image: usize,
    /// Number of token ids.
    pub vocabulary: usize,
    /// Most tokens in a caption, its end included.
    pub max_length: usize,
}

/// Checks graphs against the contract of their role.
///
/// # Errors
/// Name the model, the graph, the port, the shape expected and the shape found.
pub fn check(model: &str, role: Role, graphs: &BTreeMap<String, Graph>, sizes: Sizes) -> Result<()> {
    for contract in role.contract() {
        let Some(graph) = graphs.get(contract.name) else {
            if contract.optional {
                continue;
            }
            let found: Vec<_> = graphs.keys().map(String::as_str).collect();
            return Err(TrainError::model(
                model,
                format!("expected a graph `{}` for a {role}, found {}", contract.name, found.join(", ")),
            ));
        };
        let inputs: Vec<_> = graph.inputs().iter().map(|i| (graph.value(*i).name.as_str(), *i)).collect();
        let outputs: Vec<_> = graph.outputs().iter().map(|(n, i)| (n.as_str(), *i)).collect();
        for (side, ports, found) in
            [("input", contract.inputs, inputs), ("output", contract.outputs, outputs)]
        {
            check_side(graph, contract.name, side, ports, &found, sizes)
                .map_err(|m| TrainError::model(model, m))?;
        }
    }
    if role == Role::Captioner {
        check_captioner(graphs).map_err(|m| TrainError::model(model, m))?;
    }
    Ok(())
}

fn check_side(
    graph: &Graph,
    name: &str,
    side: &str,
    ports: &[Port],
    found: &[(&str, ekphrasis_graph::ValueId)],
    sizes: Sizes,
) -> Result<(), String> {
    for (port_name, _) in found {
        let known = ports
            .iter()
            .any(|p| p.name == *port_name || (p.name.ends_with('.') && port_name.starts_with(p.name)));
        if !known {
            let expected: Vec<_> = ports.iter().map(|p| p.name).collect();
            return Err(format!(
                "graph `{name}`, {side} `{port_name}`: expected only {}, found one of another name",
                expected.join(", ")
            ));
        }
    }
    for port in ports {
        let matching: Vec<_> = found
            .iter()
            .filter(|(n, _)| *n == port.name || (port.name.ends_with('.') && n.starts_with(port.name)))
            .collect();
        if matching.is_empty() && !port.name.ends_with('.') {
            let names: Vec<_> = found.iter().map(|(n, _)| *n).collect();
            return Err(format!(
                "graph `{name}`: expected an {side} `{}`, found {}",
                port.name,
                names.join(", ")
            ));
        }
        for (port_name, id) in matching {
            let value = graph.value(*id);
            if value.dtype != port.dtype {
                return Err(format!(
                    "graph `{name}`, {side} `{port_name}`: expected {}, found {}",
                    port.dtype,
                    value.describe()
                ));
            }
            let Some(shape) = &value.shape else { continue };
            let expected: Vec<Dim> = port
                .shape
                .iter()
                .map(|s| match *s {
                    "S" => Dim::from(sizes.image),
                    "V" => Dim::from(sizes.vocabulary),
                    other => other.parse::<i64>().map_or_else(|_| Dim::symbol(other), Dim::Known),
                })
                .collect();
            // A fixed length must be the longest caption, so that every caption fits.
            let fits = |(e, f): (&Dim, &Dim)| match (e.known(), f.known()) {
                (Some(e), Some(f)) => e == f,
                (None, Some(f)) if *e == Dim::symbol("T") => f == sizes.max_length as i64,
                (None, Some(_)) => *e != Dim::symbol("B"),
                _ => true,
            };
            let free = port.shape.is_empty() && port.name != "scale";
            if !free && (shape.len() != expected.len() || !expected.iter().zip(shape).all(fits)) {
                return Err(format!(
                    "graph `{name}`, {side} `{port_name}`: expected {}, found {}\nhint: S = {} (picture size), \
                     V = {} (vocabulary), T = {} when fixed (max_length) come from the data",
                    show_shape(&expected),
                    show_shape(shape),
                    sizes.image,
                    sizes.vocabulary,
                    sizes.max_length
                ));
            }
        }
    }
    Ok(())
}

/// Memories and states must go around: what one graph gives, the other takes.
fn check_captioner(graphs: &BTreeMap<String, Graph>) -> Result<(), String> {
    let inputs = |graph: &str, prefix: &str| -> Vec<String> {
        let g = &graphs[graph];
        let names = g.inputs().iter().map(|i| g.value(*i).name.clone());
        names.filter_map(|n| n.strip_prefix(prefix).map(str::to_owned)).collect()
    };
    let outputs = |graph: &str, prefix: &str| -> Vec<String> {
        let names = graphs[graph].outputs().iter();
        names.filter_map(|(n, _)| n.strip_prefix(prefix).map(str::to_owned)).collect()
    };
    let given = outputs("encode", "memory.");
    for user in ["decode", "step"] {
        if let Some(missing) = inputs(user, "memory.").iter().find(|m| !given.contains(m)) {
            return Err(format!(
                "graph `{user}`, input `memory.{missing}`: expected an output of that name in `encode`, found {}",
                given.join(", ")
            ));
        }
    }
    let (states, next) = (inputs("step", "state."), outputs("step", "next."));
    if states != next {
        return Err(format!(
            "graph `step`: expected outputs next.* in the order of the inputs state.*, found inputs {states:?} and outputs {next:?}"
        ));
    }
    Ok(())
}
