//! Graphs as text, for people.

use crate::{Attr, Graph, Node, Origin, Tensor, ValueId};
use std::fmt::{self, Write};

/// Literals of up to this many elements are shown by their values.
const SHOWN: usize = 8;

impl Graph {
    /// The graph as readable text: ports, parameters with their sizes, and one line for each node
    /// with operator, inputs, attributes, outputs and shapes.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write_description(&mut out);
        out
    }

    fn write_description(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "graph {} (opset {})", self.name, crate::OPSET)?;
        writeln!(out, "inputs")?;
        for id in self.inputs() {
            let value = self.value(*id);
            writeln!(out, "  {}: {}", value.name, value.describe())?;
        }
        writeln!(out, "outputs")?;
        for (name, id) in self.outputs() {
            let value = self.value(*id);
            let of =
                if *name == value.name { String::new() } else { format!(" = {}", self.operand(Some(*id))) };
            writeln!(out, "  {name}: {}{of}", value.describe())?;
        }
        let parameters = self.initializers();
        let (mut elements, mut bytes) = (0usize, 0usize);
        for (_, tensor) in parameters.values() {
            elements = elements.saturating_add(tensor.len());
            bytes = bytes.saturating_add(tensor.bytes().len());
        }
        writeln!(
            out,
            "parameters: {} tensors, {} elements, {} bytes",
            parameters.len(),
            grouped(elements),
            grouped(bytes)
        )?;
        for (name, (id, _)) in parameters {
            writeln!(out, "  {name}: {}", self.value(id).describe())?;
        }
        writeln!(out, "nodes: {}", self.nodes().len())?;
        for (_, node) in self.nodes() {
            self.write_node(out, node)?;
        }
        Ok(())
    }

    fn write_node(&self, out: &mut String, node: &Node) -> fmt::Result {
        let inputs: Vec<_> = node.inputs.iter().map(|i| self.operand(*i)).collect();
        let outputs: Vec<_> = node
            .outputs
            .iter()
            .map(|o| {
                o.map_or("-".into(), |o| format!("{}: {}", self.value(o).name, self.value(o).describe()))
            })
            .collect();
        write!(out, "  {} = {}({}", outputs.join(", "), node.op, inputs.join(", "))?;
        for (name, attr) in &node.attrs {
            write!(out, "; {name}={}", show_attr(attr))?;
        }
        // The name says something only where it is not the first output's.
        let first = node.outputs.first().copied().flatten();
        match first.is_some_and(|o| self.value(o).name == node.name) {
            true => writeln!(out, ")"),
            false => writeln!(out, ")  # {}", node.name),
        }
    }

    fn operand(&self, id: Option<ValueId>) -> String {
        let Some(id) = id else { return "-".into() };
        let value = self.value(id);
        match &value.origin {
            Origin::Constant(t) => show_tensor(t),
            _ => value.name.clone(),
        }
    }
}

fn show_attr(attr: &Attr) -> String {
    match attr {
        Attr::Int(v) => v.to_string(),
        Attr::Float(v) => v.to_string(),
        Attr::Text(v) => format!("{v:?}"),
        Attr::Ints(v) => format!("{v:?}"),
        Attr::Floats(v) => format!("{v:?}"),
        Attr::Texts(v) => format!("{v:?}"),
        Attr::Tensor(t) => show_tensor(t),
    }
}

/// The values of a small tensor, the type and shape of a large one.
fn show_tensor(t: &Tensor) -> String {
    if let Some(v) = t.as_scalar().filter(|_| t.dims().is_empty()) {
        return v.to_string();
    }
    let ints = t.as_ints().map(|v| format!("{v:?}"));
    let values = ints.or_else(|| t.to_f32().map(|v| format!("{v:?}")));
    match values.filter(|_| t.len() <= SHOWN && t.dims().len() == 1) {
        Some(values) => values,
        None => format!("{}{:?}", t.dtype(), t.dims()),
    }
}

/// `12,345,678`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
