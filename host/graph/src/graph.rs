//! The typed graph: values in single assignment, nodes in topological order.

use crate::{Attrs, DType, Dim, GraphError, Result, Shape, Target, Tensor, dim, infer};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

/// A node of a graph; nodes stand in topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Position in the topological order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A port that the caller feeds.
    Input,
    /// A named tensor: a parameter, a running statistic, a table.
    Initializer(Arc<Tensor>),
    /// A literal of the graph itself, which never trains.
    Constant(Arc<Tensor>),
    /// An output of a node.
    Node(NodeId),
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Name, unique in its graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` when even the rank is unknown.
    pub shape: Option<Shape>,
    /// For a small integer tensor of rank 0 or 1: its elements, as far as they follow from shapes.
    pub ints: Option<Vec<Dim>>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Value {
    /// The tensor, if it is a constant or an initializer.
    pub fn tensor(&self) -> Option<&Arc<Tensor>> {
        match &self.origin {
            Origin::Constant(t) | Origin::Initializer(t) => Some(t),
            _ => None,
        }
    }

    /// `f32[B, T]`, as errors print it.
    pub fn describe(&self) -> String {
        let shape = self.shape.as_deref().map_or("[?]".into(), dim::show);
        format!("{}{shape}", self.dtype)
    }
}

/// One application of an operator.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name, for errors and profiles.
    pub name: String,
    /// Operator of the default ONNX domain, or `domain::Op`.
    pub op: String,
    /// Inputs; `None` is an optional input left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs; `None` is an optional output left out.
    pub outputs: Vec<Option<ValueId>>,
    /// Attributes.
    pub attrs: Attrs,
}

/// A graph under construction or loaded: opset 18, shapes inferred as nodes are added.
///
/// Adding a node that is already there (same operator, inputs and attributes) returns the values of
/// the first, so common subexpressions never arise.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Name, for errors.
    pub name: String,
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    inputs: Vec<ValueId>,
    outputs: Vec<(String, ValueId)>,
    names: HashMap<String, ValueId>,
    pub(crate) seen: HashMap<String, Vec<Option<ValueId>>>,
    pub(crate) node_names: HashSet<String>,
    /// Prefix of the names of nodes added from here on, as `captioner/decode/`.
    pub scope: String,
    /// What it is meant for.
    pub target: Target,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            values: vec![],
            nodes: vec![],
            inputs: vec![],
            outputs: vec![],
            names: HashMap::new(),
            seen: HashMap::new(),
            node_names: HashSet::new(),
            scope: String::new(),
            target: Target::default(),
        }
    }

    /// An error about this graph.
    pub fn error(&self, message: impl Into<String>) -> GraphError {
        GraphError::Graph { graph: self.name.clone(), message: message.into() }
    }

    /// What is known of a value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// All nodes in topological order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        self.values.iter().enumerate().map(|(i, v)| (ValueId(i as u32), v))
    }

    /// Input ports in order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Output ports in order: name and value.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// A value by name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// An output port by name.
    pub fn output_named(&self, name: &str) -> Option<ValueId> {
        self.outputs.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// Initializers by name.
    pub fn initializers(&self) -> BTreeMap<&str, (ValueId, &Arc<Tensor>)> {
        self.values()
            .filter_map(|(id, v)| match &v.origin {
                Origin::Initializer(t) => Some((v.name.as_str(), (id, t))),
                _ => None,
            })
            .collect()
    }

    fn push(&mut self, value: Value) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.names.insert(value.name.clone(), id);
        self.values.push(value);
        id
    }

    /// A name that no value has yet, close to `wanted`.
    pub(crate) fn fresh_name(&self, wanted: &str) -> String {
        if !wanted.is_empty() && !self.names.contains_key(wanted) {
            return wanted.into();
        }
        let mut i = self.values.len();
        loop {
            let name = format!("{wanted}_{i}");
            if !self.names.contains_key(&name) {
                return name;
            }
            i += 1;
        }
    }

    fn named(&mut self, name: &str, dtype: DType, shape: Option<Shape>, origin: Origin) -> Result<ValueId> {
        if self.names.contains_key(name) {
            return Err(self.error(format!("two values are called `{name}`; expected unique names")));
        }
        Ok(self.push(Value { name: name.into(), dtype, shape, ints: None, origin }))
    }

    /// Adds an input port.
    pub fn input(&mut self, name: &str, dtype: DType, shape: impl Into<Option<Shape>>) -> Result<ValueId> {
        let id = self.named(name, dtype, shape.into(), Origin::Input)?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds a named tensor.
    pub fn initializer(&mut self, name: &str, tensor: Arc<Tensor>) -> Result<ValueId> {
        let shape = tensor.dims().iter().map(|d| Dim::from(*d)).collect();
        let ints = known_ints(&tensor);
        let id = self.named(name, tensor.dtype(), Some(shape), Origin::Initializer(tensor))?;
        self.values[id.0 as usize].ints = ints;
        Ok(id)
    }

    /// Adds a literal; equal small literals are one value.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        let key = (tensor.len() <= 64)
            .then(|| format!("constant {:?} {:?} {:?}", tensor.dtype(), tensor.dims(), tensor.bytes()));
        if let Some(Some(Some(id))) = key.as_ref().map(|k| self.seen.get(k).and_then(|v| v.first().copied()))
        {
            return id;
        }
        let name = self.fresh_name("constant");
        let shape = tensor.dims().iter().map(|d| Dim::from(*d)).collect();
        let (dtype, ints) = (tensor.dtype(), known_ints(&tensor));
        let origin = Origin::Constant(Arc::new(tensor));
        let id = self.push(Value { name, dtype, shape: Some(shape), ints, origin });
        if let Some(key) = key {
            self.seen.insert(key, vec![Some(id)]);
        }
        id
    }

    /// Declares an output port.
    pub fn output(&mut self, name: &str, value: ValueId) -> Result<()> {
        if self.output_named(name).is_some() {
            return Err(self.error(format!("two outputs are called `{name}`; expected unique names")));
        }
        self.outputs.push((name.into(), value));
        Ok(())
    }

    /// Forgets the output ports, so that others can be declared.
    pub fn clear_outputs(&mut self) {
        self.outputs.clear();
    }

    /// Sets what is known of an input's shape from outside, where inference could not tell.
    pub fn assume_shape(&mut self, id: ValueId, shape: Shape) {
        self.values[id.0 as usize].shape = Some(shape);
    }

    /// Gives a value a name from outside; a value that only happens to be called so makes way.
    pub(crate) fn take_name(&mut self, id: ValueId, name: &str) -> Result<()> {
        match self.names.get(name) {
            Some(other) if *other == id => return Ok(()),
            Some(other) if matches!(self.value(*other).origin, Origin::Input | Origin::Initializer(_)) => {
                return Err(self.error(format!("two values are called `{name}`; expected unique names")));
            }
            Some(other) => {
                let (other, free) = (*other, self.fresh_name(name));
                self.values[other.0 as usize].name = free.clone();
                self.names.insert(free, other);
            }
            None => {}
        }
        let old = std::mem::replace(&mut self.values[id.0 as usize].name, name.into());
        self.names.remove(&old);
        self.names.insert(name.into(), id);
        Ok(())
    }

    /// Adds a node with any number of outputs; types and shapes of its outputs are inferred.
    ///
    /// # Errors
    /// When the inputs do not fit the operator; the error names graph, node and operator.
    pub fn add_node(
        &mut self,
        op: &str,
        inputs: &[Option<ValueId>],
        attrs: Attrs,
        outputs: usize,
    ) -> Result<Vec<ValueId>> {
        let wanted = vec![true; outputs];
        let values = self.add_node_named("", op, inputs, attrs, &wanted)?;
        Ok(values.into_iter().flatten().collect())
    }

    /// Like [`add_node`](Self::add_node), with a name and with optional outputs left out.
    pub fn add_node_named(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[Option<ValueId>],
        attrs: Attrs,
        wanted: &[bool],
    ) -> Result<Vec<Option<ValueId>>> {
        let key = node_key(op, inputs, &attrs, wanted);
        if let Some(values) = key.as_ref().and_then(|k| self.seen.get(k)) {
            return Ok(values.clone());
        }
        let id = NodeId(self.nodes.len() as u32);
        // Names of nodes must be unique in a file.
        let mut name = if name.is_empty() { format!("{}{op}_{}", self.scope, id.0) } else { name.to_owned() };
        while self.node_names.contains(&name) {
            name = format!("{name}_{}", id.0);
        }
        let views: Vec<Option<&Value>> = inputs.iter().map(|i| i.map(|i| self.value(i))).collect();
        let infos = infer::infer(op, &views, &attrs, wanted.len()).map_err(|message| GraphError::Node {
            graph: self.name.clone(),
            node: name.clone(),
            op: op.into(),
            message,
        })?;
        if let Some(literal) = self.literal_of(op, inputs, &attrs, &infos)? {
            return Ok(vec![Some(self.constant(literal))]);
        }
        let mut values = vec![];
        for (i, info) in infos.into_iter().enumerate() {
            values.push(wanted[i].then(|| {
                let suffix = if i == 0 { String::new() } else { format!("_out{i}") };
                let name = self.fresh_name(&format!("{name}{suffix}"));
                let origin = Origin::Node(id);
                self.push(Value { name, dtype: info.dtype, shape: info.shape, ints: info.ints, origin })
            }));
        }
        self.node_names.insert(name.clone());
        self.nodes.push(Node {
            name,
            op: op.into(),
            inputs: inputs.to_vec(),
            outputs: values.clone(),
            attrs,
        });
        if let Some(key) = key {
            self.seen.insert(key, values.clone());
        }
        Ok(values)
    }

    /// Adds a node with one output.
    pub fn op(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, crate::Attr)]) -> Result<ValueId> {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        let attrs = attrs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.add_node(op, &inputs, attrs, 1)?
            .first()
            .copied()
            .ok_or_else(|| self.error(format!("`{op}` has no output")))
    }

    /// The node that makes a value.
    pub fn producer(&self, id: ValueId) -> Option<(NodeId, &Node)> {
        match self.value(id).origin {
            Origin::Node(n) => Some((n, self.node(n))),
            _ => None,
        }
    }
}

fn known_ints(tensor: &Tensor) -> Option<Vec<Dim>> {
    let small = tensor.dims().len() <= 1 && tensor.len() <= 64;
    let ints = matches!(tensor.dtype(), DType::I64 | DType::I32 | DType::Bool)
        .then(|| tensor.as_ints())
        .flatten()?;
    small.then(|| ints.into_iter().map(Dim::Known).collect())
}

/// Whether an operator may draw random numbers, so that two of its nodes never are the same.
pub fn is_random(op: &str) -> bool {
    op.starts_with("Random") || matches!(op, "Multinomial" | "Bernoulli" | "Dropout")
}

/// What makes two nodes the same; `None` for nodes that draw random numbers.
pub(crate) fn node_key(
    op: &str,
    inputs: &[Option<ValueId>],
    attrs: &Attrs,
    wanted: &[bool],
) -> Option<String> {
    if is_random(op) {
        return None;
    }
    let mut key = format!("{op} {inputs:?} {wanted:?}");
    for (name, attr) in attrs {
        key.push_str(name);
        attr.key(&mut key);
    }
    Some(key)
}
