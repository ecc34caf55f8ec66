//! A report as people read it.

use super::analysis::{BatchNorm, Derivative, Fate, Layer, Report};
use crate::screen::table;
use ekphrasis_graph::FileFacts;
use ekphrasis_report::{Cell, Table};

/// Names that a line lists before it says how many more there are.
const LISTED: usize = 6;

/// Where the file comes from.
pub fn facts(file: &str, facts: &FileFacts) -> String {
    let opset = facts.opset.map_or("no opset".into(), |n| format!("opset {n}"));
    let by = match facts.producer.as_str() {
        "" => "written by an unknown program".into(),
        producer => format!("written by {producer} {}", facts.producer_version).trim_end().to_owned(),
    };
    let mut text = format!("{file}: {opset}, {by} (IR version {})\n", facts.ir_version);
    for (domain, version) in &facts.domains {
        text.push_str(&format!("  operators of domain {domain}, version {version}\n"));
    }
    if facts.functions > 0 {
        text.push_str(&format!("  {}, inlined\n", counted(facts.functions, "function of its own")));
    }
    if facts.external > 0 {
        text.push_str(&format!("  {} in other files\n", counted(facts.external, "tensor")));
    }
    text
}

/// Everything.
pub fn report(r: &Report) -> String {
    let mut text = facts(&r.file, &r.facts);
    for (what, ports) in [("input", &r.inputs), ("output", &r.outputs)] {
        for (name, kind) in ports {
            text.push_str(&format!("  {what} {name}: {kind}\n"));
        }
    }
    text.push_str(&format!("\n{}", table(&operators(r))));
    text.push_str(&format!("\n{}\n", table(&layers(r))));
    let sizes = if r.sizes_note.is_empty() { String::new() } else { format!(" for {}", r.sizes_note) };
    text.push_str(&format!("Multiply-adds are those of one forward pass{sizes}.\n\n"));
    for line in notes(r) {
        text.push_str(&format!("{line}\n"));
    }
    text
}

fn operators(r: &Report) -> Table {
    let mut table = Table::new(["operator", "nodes", "gradient"]);
    for o in &r.operators {
        let gradient = match o.gradient {
            Derivative::Rule => "rule",
            Derivative::Definition => "by definition",
            Derivative::NotNeeded => "not needed",
            Derivative::Missing => "MISSING",
        };
        table.row([Cell::from(o.op.as_str()), o.count.into(), gradient.into()]);
    }
    table
}

fn layers(r: &Report) -> Table {
    let mut table = Table::new(["layer", "parameters", "shapes", "multiply-adds", "share"]);
    let total: i64 = r.layers.iter().filter_map(|l| l.multiply_adds).fold(0, i64::saturating_add);
    for layer in &r.layers {
        let (cost, share) = match layer.multiply_adds {
            Some(0) => (Cell::Empty, Cell::Empty),
            Some(n) => (number(n), format!("{:.0} %", 100.0 * n as f64 / total as f64).into()),
            None => ("size unknown".into(), Cell::Empty),
        };
        table.row([layer.name.as_str().into(), layer.elements.into(), shapes(layer).into(), cost, share]);
    }
    let elements: usize = r.layers.iter().map(|l| l.elements).sum();
    table.row([Cell::from("total"), elements.into(), Cell::Empty, number(total), Cell::Empty]);
    table
}

fn number(n: i64) -> Cell {
    Cell::Number { value: n as f64, decimals: 0 }
}

fn shapes(layer: &Layer) -> String {
    listed(&layer.shapes, " ")
}

fn notes(r: &Report) -> Vec<String> {
    let mut lines = vec![];
    match &r.batch_norm {
        BatchNorm::None => {}
        BatchNorm::Present { nodes } => lines.push(format!(
            "Batch normalisation: {}. In training they use the statistics of the batch \
             (`mode = \"train\"`), and the running ones are kept up to date.",
            counted(*nodes, "node")
        )),
        BatchNorm::Folded { into } => lines.push(format!(
            "Batch normalisation: none is left, the exporter has folded it into {} ({}), so that the model trains without it.\n\
             hint: export with torch.onnx.export(..., dynamo=True, optimize=False), or with dynamo=False, \
             do_constant_folding=False; both with the model in eval()",
            counted(into.len(), "node"),
            listed(into, ", ")
        )),
    }
    if r.dropout > 0 {
        lines.push(format!(
            "Dropout: {}. They pass their input on as it is unless their `training_mode` is true.",
            counted(r.dropout, "node")
        ));
    }
    for p in r.parameters.iter().filter(|p| p.float && p.uses > 1) {
        lines.push(format!(
            "`{}` ({}) is shared by {} nodes; their gradients add up.",
            p.name, p.kind, p.uses
        ));
    }
    let others: Vec<String> = r.parameters.iter().filter(|p| !p.float).map(|p| p.name.clone()).collect();
    if !others.is_empty() {
        let what = counted(others.len(), "initializer");
        lines.push(format!("{what} hold no floats and stay as they are: {}.", listed(&others, ", ")));
    }
    for p in r.parameters.iter().filter(|p| p.float) {
        if let Fate::Frozen(why) = &p.fate {
            lines.push(format!("`{}` ({}) does not train: {why}.", p.name, p.kind));
        }
    }
    for (op, nodes) in &r.missing {
        lines.push(format!("No gradient rule for {op}: {}.", nodes.join(", ")));
    }
    if let Some(error) = &r.error {
        lines.push(error.clone());
    }
    let count = r.parameters.iter().filter(|p| p.fate == Fate::Trains).count();
    lines.push(match (r.trains, count) {
        (true, n) => format!(
            "It trains: a gradient reaches {} ({} added).",
            counted(n, "parameter"),
            counted(r.gradient_nodes, "node")
        ),
        (false, 0) if r.missing.is_empty() && r.error.is_none() => {
            "It does not train: no float initializer leads to a float output.".into()
        }
        (false, _) => "It does not train as it is, for what stands above.".into(),
    });
    lines
}

/// `3 nodes`
fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The first few, and how many more there are.
fn listed(all: &[String], separator: &str) -> String {
    let shown = all.iter().take(LISTED).cloned().collect::<Vec<_>>().join(separator);
    match all.len().checked_sub(LISTED) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
