//! Functions that a model brings along are inlined: what remains are operators.

use super::{Step, scope::rename_captured};
use crate::{proto, upgrade};
use std::collections::HashMap;

/// Functions may call functions this deep.
const DEPTH: usize = 32;

/// Functions may expand to this many nodes in all.
pub(super) const NODES: usize = 1_000_000;

/// A node with the opset that its operator is meant in.
#[derive(Clone)]
pub(super) struct Flat {
    pub node: proto::NodeProto,
    pub opset: i64,
    pub index: usize,
}

impl Flat {
    /// As errors name it.
    pub fn label(&self) -> String {
        let proto::NodeProto { name, op_type, .. } = &self.node;
        if name.is_empty() {
            format!("node number {} ({op_type})", self.index)
        } else {
            format!("node `{name}` ({op_type})")
        }
    }

    /// The name of the node, or one made up.
    pub fn place(&self) -> String {
        match self.node.name.as_str() {
            "" => format!("{}_{}", self.node.op_type, self.index),
            name => name.to_owned(),
        }
    }
}

/// The opset of the default domain.
pub(super) fn opset(imports: &[proto::OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version)
}

type Key = (String, String, String);

struct Expansion<'a> {
    functions: HashMap<Key, &'a proto::FunctionProto>,
    out: Vec<Flat>,
    calls: &'a mut usize,
}

/// All nodes, with calls of functions replaced by the functions' nodes; `calls` counts those of the model.
pub(super) fn flatten(
    nodes: Vec<proto::NodeProto>,
    functions: &[proto::FunctionProto],
    opset: i64,
    calls: &mut usize,
) -> Step<Vec<Flat>> {
    let key = |f: &proto::FunctionProto| (f.domain.clone(), f.name.clone(), f.overload.clone());
    let mut expansion = Expansion { functions: HashMap::new(), out: vec![], calls };
    for f in functions {
        if expansion.functions.insert(key(f), f).is_some() {
            return Err(format!("two functions are called `{}::{}`", f.domain, f.name));
        }
    }
    for node in nodes {
        expansion.add(node, opset, 0)?;
    }
    Ok(expansion.out)
}

impl Expansion<'_> {
    fn add(&mut self, node: proto::NodeProto, opset: i64, depth: usize) -> Step<()> {
        let key = (node.domain.clone(), node.op_type.clone(), node.overload.clone());
        let flat = Flat { node, opset, index: self.out.len() };
        let Some(function) = self.functions.get(&key).copied() else {
            if self.out.len() >= NODES {
                return Err(format!("expected at most {NODES} nodes, found more"));
            }
            self.out.push(flat);
            return Ok(());
        };
        if depth >= DEPTH || *self.calls >= NODES {
            return Err(format!(
                "{}: expected functions that nest at most {DEPTH} deep and expand to at most {NODES} nodes",
                flat.label()
            ));
        }
        *self.calls += 1;
        self.call(&flat, function, depth).map_err(|e| match depth {
            0 => format!("{}: {e}", flat.label()),
            _ => e,
        })
    }

    fn call(&mut self, caller: &Flat, function: &proto::FunctionProto, depth: usize) -> Step<()> {
        let node = &caller.node;
        let opset = opset(&function.opset_import).unwrap_or(caller.opset);
        upgrade::check_opset(opset)?;
        if node.input.len() > function.input.len() || node.output.len() > function.output.len() {
            return Err(format!(
                "function `{}` takes {} inputs and gives {} outputs, found {} and {}",
                function.name,
                function.input.len(),
                function.output.len(),
                node.input.len(),
                node.output.len()
            ));
        }
        // Names inside a call are unique by the call's number.
        let prefix = match node.name.as_str() {
            "" => format!("{}_{}/", function.name, *self.calls),
            name => format!("{name}/"),
        };
        let unique = *self.calls;
        let mut names: HashMap<&str, String> = HashMap::new();
        for (i, formal) in function.input.iter().enumerate() {
            names.insert(formal, node.input.get(i).cloned().unwrap_or_default());
        }
        for (i, formal) in function.output.iter().enumerate() {
            let actual = node.output.get(i).cloned().unwrap_or_default();
            if let (Some(input), false) = (names.get(formal.as_str()), actual.is_empty()) {
                // An output that is an input as it stands.
                let copy = proto::NodeProto {
                    name: format!("{prefix}{formal}"),
                    op_type: "Identity".into(),
                    input: vec![input.clone()],
                    output: vec![actual],
                    ..Default::default()
                };
                self.add(copy, opset, depth + 1)?;
            } else if !actual.is_empty() {
                names.insert(formal, actual);
            }
        }
        for inner in &function.node {
            let name = |n: &str| match n {
                "" => String::new(),
                n => match names.get(n) {
                    Some(actual) => actual.clone(),
                    None => format!("{prefix}{n}#{unique}"),
                },
            };
            let input = inner.input.iter().map(|n| name(n)).collect();
            let output = inner.output.iter().map(|n| name(n)).collect();
            let attribute = arguments(&inner.attribute, node, function, &|n| Some(name(n)));
            let named = proto::NodeProto {
                name: format!("{prefix}{}", if inner.name.is_empty() { &inner.op_type } else { &inner.name }),
                input,
                output,
                attribute,
                ..inner.clone()
            };
            self.add(named, opset, depth + 1)?;
        }
        Ok(())
    }
}

/// The attributes of a node inside a function, graphs among them with the names of the caller.
fn arguments(
    attributes: &[proto::AttributeProto],
    caller: &proto::NodeProto,
    function: &proto::FunctionProto,
    to: &dyn Fn(&str) -> Option<String>,
) -> Vec<proto::AttributeProto> {
    let mut all: Vec<_> = attributes.iter().filter_map(|a| argument(a, caller, function)).collect();
    for sub in all.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        refer(sub, caller, function);
        rename_captured(sub, to);
    }
    all
}

/// Puts the attributes that nodes of a branch take from the function into their place.
fn refer(graph: &mut proto::GraphProto, caller: &proto::NodeProto, function: &proto::FunctionProto) {
    for node in &mut graph.node {
        node.attribute = node.attribute.iter().filter_map(|a| argument(a, caller, function)).collect();
        for sub in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
            refer(sub, caller, function);
        }
    }
}

/// An attribute inside a function: its own, the caller's, the function's default, or none.
fn argument(
    a: &proto::AttributeProto,
    caller: &proto::NodeProto,
    function: &proto::FunctionProto,
) -> Option<proto::AttributeProto> {
    if a.ref_attr_name.is_empty() {
        return Some(a.clone());
    }
    let by_name = |b: &&proto::AttributeProto| b.name == a.ref_attr_name;
    let found =
        caller.attribute.iter().find(by_name).or_else(|| function.attribute_proto.iter().find(by_name));
    found.map(|b| proto::AttributeProto { name: a.name.clone(), ..b.clone() })
}
