//! Sessions whose weights are bound once and stay bound.

use crate::{Kept, Model, Result, Role, TrainError, weights::AllWeights};
use ekphrasis_graph::{Graph, Tensor, ValueId};
use ekphrasis_runtime::{Binding, Runtime, Session, SessionOptions};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The graph input that stands for an initializer of a role: `captioner/cnn.0.weight`.
///
/// Frozen initializers stay in the graph. The same name gives the same input, so that two graphs of
/// a role, or two roles that share parameters, share them here as well.
pub fn parameter(graph: &mut Graph, model: &Model, name: &str, tensor: &Arc<Tensor>) -> Result<ValueId> {
    let owner = match model.kept(name) {
        Kept::Inherited(role) => role,
        _ => model.role,
    };
    let port = format!("{owner}/{name}");
    if let Some(id) = graph.find(&port) {
        return Ok(id);
    }
    if model.kept(name) == Kept::Frozen {
        return Ok(graph.initializer(&port, tensor.clone())?);
    }
    let shape: ekphrasis_graph::Shape = tensor.dims().iter().map(|d| (*d).into()).collect();
    Ok(graph.input(&port, tensor.dtype(), shape)?)
}

/// A session, which of its inputs are weights, and a binding for each state of the double buffers.
pub struct Bound {
    session: Session,
    weights: Vec<(String, Role, String)>,
    roles: BTreeSet<Role>,
    averaged: bool,
    bindings: HashMap<Vec<u8>, Binding>,
}

impl Bound {
    /// Makes a session of `graph`, whose inputs `ROLE/NAME` are weights.
    pub fn new(runtime: &Runtime, graph: &Graph, averaged: bool, options: &SessionOptions) -> Result<Self> {
        let session = runtime.session(graph, options)?;
        let mut weights = vec![];
        for port in session.inputs() {
            if let Some((role, name)) = port.name.split_once('/')
                && let Some(role) = Role::from_name(role)
            {
                weights.push((port.name.clone(), role, name.to_owned()));
            }
        }
        let roles = weights.iter().map(|(_, role, _)| *role).collect();
        Ok(Self { session, weights, roles, averaged, bindings: HashMap::new() })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The binding for the current state of the weights; `prepare` binds what else stays when it is new,
    /// and `extra` tells apart what `prepare` binds.
    pub fn binding(
        &mut self,
        all: &AllWeights,
        extra: &[u8],
        prepare: impl FnOnce(&mut Binding) -> Result<()>,
    ) -> Result<&mut Binding> {
        let mut key = extra.to_vec();
        for role in &self.roles {
            key.extend(all.get(role).map_or([9, 9], |w| w.parity(self.averaged)));
        }
        if !self.bindings.contains_key(&key) {
            let mut binding = self.session.bind()?;
            for (port, role, name) in &self.weights {
                let view = all.get(role).and_then(|w| w.view(name, self.averaged)).ok_or_else(|| {
                    TrainError::config(
                        format!("models.{role}"),
                        format!("parameter `{name}` is needed by another model and is not there"),
                    )
                })?;
                binding.input(port, view)?;
            }
            prepare(&mut binding)?;
            self.bindings.insert(key.clone(), binding);
        }
        self.bindings.get_mut(&key).ok_or_else(|| TrainError::config("", "a binding vanished"))
    }

    /// Forgets the bindings, as when buffers were replaced.
    pub fn unbind(&mut self) {
        self.bindings.clear();
    }
}

/// The models of a run by role.
pub type Models = BTreeMap<Role, Model>;
