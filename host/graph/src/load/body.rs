//! Graphs in attributes, read in the place of their node: branches once, bodies of loops once a pass.
//!
//! What a body names is known while it is read and forgotten afterwards; what it makes is named after
//! its node, and after the pass.

use super::{
    FILE_LIMIT, Import, Step,
    function::{self, Flat},
    order, scope,
};
use crate::{Origin, ValueId, proto};
use prost::Message;
use std::{collections::HashSet, sync::Arc};

/// Bodies may nest this deep, calls of functions between them included.
const DEPTH: usize = 32;

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Item {
    Tensor(ValueId),
    Sequence(Arc<[ValueId]>),
}

/// How an operator of control flow is read.
type Control<'a> = fn(&mut Import<'a>, Flat) -> Step<Vec<Item>>;

/// The operators of control flow.
pub(super) fn control<'a>(node: &proto::NodeProto) -> Option<Control<'a>> {
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("" | "ai.onnx", "If") => Some(Import::branch),
        ("" | "ai.onnx", "Loop") => Some(Import::repeat),
        ("" | "ai.onnx", "Scan") => Some(Import::scan),
        ("" | "ai.onnx", "SequenceMap") => Some(Import::map),
        _ => None,
    }
}

/// A graph in an attribute, ready to be read.
pub(super) struct Body {
    /// Name of the attribute.
    name: &'static str,
    /// Names of what it is fed.
    pub formals: Vec<String>,
    pub outputs: Vec<proto::ValueInfoProto>,
    /// In topological order, without literals.
    nodes: Vec<Flat>,
    /// Bytes that a pass copies.
    bytes: u64,
}

impl Import<'_> {
    /// Hands the graph in the attribute `name` of a node to `read`, which may pass through it.
    pub(super) fn with_body<T>(
        &mut self,
        flat: &mut Flat,
        name: &'static str,
        read: impl FnOnce(&mut Self, &Body) -> Step<T>,
    ) -> Step<T> {
        let body = flat.node.attribute.iter_mut().find(|a| a.name == name).and_then(|a| a.g.take());
        let body = body.ok_or_else(|| format!("expected a graph as `{name}`, found none"))?;
        if self.depth >= DEPTH {
            return Err(format!("expected branches and loops that nest at most {DEPTH} deep"));
        }
        let around: Vec<_> = scope::own(&body)
            .into_iter()
            .map(|n| (n.to_owned(), self.values.remove(n), self.sequences.remove(n)))
            .collect();
        self.depth += 1;
        let body = self.body(body, name, flat.opset)?;
        let result = read(self, &body)?;
        self.depth -= 1;
        for (name, value, sequence) in around {
            self.values.remove(&name);
            self.sequences.remove(&name);
            self.values.extend(value.map(|v| (name.clone(), v)));
            self.sequences.restore(name, sequence);
        }
        Ok(result)
    }

    fn body(&mut self, mut body: proto::GraphProto, name: &'static str, opset: i64) -> Step<Body> {
        // What does not change from pass to pass is read once.
        for tensor in std::mem::take(&mut body.initializer) {
            self.inner_initializer(tensor)?;
        }
        let flat = function::flatten(std::mem::take(&mut body.node), self.functions, opset, &mut self.calls)?;
        let literal =
            |f: &Flat| f.node.op_type == "Constant" && matches!(f.node.domain.as_str(), "" | "ai.onnx");
        let (literals, nodes): (Vec<Flat>, Vec<Flat>) = flat.into_iter().partition(literal);
        let mut given: HashSet<String> = body.input.iter().map(|p| p.name.clone()).collect();
        for flat in order::sort(literals, &given.iter().map(String::as_str).collect())? {
            given.extend(flat.node.output.iter().cloned());
            self.node(flat)?;
        }
        let made: HashSet<&str> = nodes.iter().flat_map(|f| &f.node.output).map(String::as_str).collect();
        let mut known = |name: &str| {
            if !made.contains(name) && self.lookup(name).is_some() {
                given.insert(name.to_owned());
            }
        };
        for flat in &nodes {
            flat.node.input.iter().for_each(|name| known(name));
            scope::captured_by_node(&flat.node, &mut known);
        }
        let nodes = order::sort(nodes, &given.iter().map(String::as_str).collect())?;
        let bytes = nodes.iter().map(|f| f.node.encoded_len() as u64).sum();
        let formals = body.input.into_iter().map(|p| p.name).collect();
        Ok(Body { name, formals, outputs: body.output, nodes, bytes })
    }

    /// A parameter that several passes or branches hold under one name is one parameter.
    fn inner_initializer(&mut self, mut source: proto::TensorProto) -> Step<()> {
        let name = std::mem::take(&mut source.name);
        let tensor = self.external.tensor(source).map_err(|e| format!("initializer `{name}`: {e}"))?;
        let same = |id: &ValueId| match &self.graph.value(*id).origin {
            Origin::Initializer(known) => **known == tensor,
            _ => false,
        };
        let id = match self.graph.find(&name).filter(same) {
            Some(id) => id,
            None => {
                let free = self.graph.fresh_name(&name);
                self.graph.initializer(&free, Arc::new(tensor)).map_err(|e| e.to_string())?
            }
        };
        self.values.insert(name, id);
        Ok(())
    }

    /// Reads a body once, fed with these; `place` begins the names of what it makes.
    pub(super) fn pass(&mut self, body: &Body, place: &str, fed: &[Item]) -> Step<Vec<Item>> {
        let Body { name, formals, outputs, nodes, bytes } = body;
        if fed.len() != formals.len() {
            return Err(format!("expected {} inputs of `{name}`, found {}", fed.len(), formals.len()));
        }
        // A pass costs something even if nothing is in it.
        let cost = nodes.len() + formals.len() + outputs.len() + 1;
        (self.left, self.copies) = self.left.checked_sub(cost).zip(self.copies.checked_sub(*bytes)).ok_or_else(|| {
            format!(
                "expected branches and loops that expand to at most {} nodes and {FILE_LIMIT} bytes, found more\nhint: export the model with fewer or shorter loops",
                function::NODES
            )
        })?;
        for (formal, item) in formals.iter().zip(fed) {
            self.bind(formal, item.clone())?;
        }
        let around = self.place.clone();
        self.place = format!("{around}{place}/");
        for flat in nodes.iter() {
            self.node(flat.clone())?;
        }
        self.place = around;
        let made = outputs.iter().map(|port| {
            self.lookup(&port.name)
                .ok_or_else(|| format!("output `{}` of `{name}` is made by no node", port.name))
        });
        made.collect()
    }

    /// What a name stands for here.
    pub(super) fn lookup(&self, name: &str) -> Option<Item> {
        let tensor = self.values.get(name).copied().map(Item::Tensor);
        tensor.or_else(|| self.sequences.get(name).map(Item::Sequence))
    }

    /// Lets a name stand for something; nothing if it is empty.
    pub(super) fn bind(&mut self, name: &str, item: Item) -> Step<()> {
        self.values.remove(name);
        self.sequences.remove(name);
        match item {
            _ if name.is_empty() => {}
            Item::Tensor(id) => {
                self.values.insert(name.to_owned(), id);
            }
            Item::Sequence(elements) => self.sequences.insert(name, elements)?,
        }
        Ok(())
    }

    /// Gives the outputs of a node their names.
    pub(super) fn give(&mut self, names: &[String], given: Vec<Item>) -> Step<()> {
        if names.len() > given.len() {
            return Err(format!("expected at most {} outputs, found {}", given.len(), names.len()));
        }
        names.iter().zip(given).try_for_each(|(name, item)| self.bind(name, item))
    }

    /// What a node takes as input `at`; `None` if it is left out.
    pub(super) fn input_of(&self, node: &proto::NodeProto, at: usize) -> Step<Option<Item>> {
        match node.input.get(at).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => self.lookup(name).map(Some).ok_or_else(|| format!("nothing is called `{name}`")),
        }
    }
}
