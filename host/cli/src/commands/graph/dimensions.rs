//! `--set B=64`: sizes for the symbols in a graph's inputs.

use crate::error::{CliError, Result, suggestion};
use ekphrasis_graph::Graph;
use std::{collections::BTreeMap, path::Path};

/// Sizes by symbol.
pub struct Dimensions {
    /// All of them.
    pub sizes: BTreeMap<String, i64>,
    /// Those that nobody has set.
    pub assumed: Vec<String>,
}

impl Dimensions {
    /// Reads a model with sizes by `NAME=SIZE` settings, as [`read`](Self::read) does. They are set when the
    /// file is read: control flow and gradient rules may depend on them.
    pub fn load(path: &Path, settings: &[String]) -> Result<(Graph, Self)> {
        let symbolic = Graph::load(path).map_err(CliError::from);
        if settings.is_empty() {
            let graph = symbolic?;
            let dimensions = Self::read(&graph, &[])?;
            return Ok((graph, dimensions));
        }
        // What cannot be read without sizes still tells which names are wrong.
        let given = settings.iter().map(|s| setting(s)).collect::<Result<BTreeMap<_, _>>>()?;
        let known = symbolic.map(|graph| Self::read(&graph, settings)).ok().transpose()?;
        let graph = Graph::load_sized(path, &given)?;
        let dimensions = match known {
            Some(known) => known,
            None => {
                let mut rest = Self::read(&graph, &[])?;
                rest.sizes.extend(given);
                rest
            }
        };
        Ok((graph, dimensions))
    }

    /// Reads `NAME=SIZE` settings. A symbol without one is 1 where it counts the rows of inputs (their
    /// first dimension) alone, and 32 elsewhere.
    pub fn read(graph: &Graph, settings: &[String]) -> Result<Self> {
        let mut known: BTreeMap<String, i64> = BTreeMap::new();
        for id in graph.inputs() {
            for (at, dim) in graph.value(*id).shape.iter().flatten().enumerate() {
                for symbol in dim.symbols() {
                    let size = known.entry(symbol.to_string()).or_insert(1);
                    *size = if at == 0 { *size } else { 32 };
                }
            }
        }
        let mut sizes = known.clone();
        let mut assumed: Vec<String> = known.keys().cloned().collect();
        for text in settings {
            let (name, size) = setting(text)?;
            if !known.contains_key(&name) {
                let hint = match known.is_empty() {
                    true => "hint: all sizes of its inputs are fixed".into(),
                    false => suggestion(&name, known.keys().map(String::as_str)),
                };
                return Err(wrong(text, &format!("no input has a dimension `{name}`\n{hint}")));
            }
            assumed.retain(|other| *other != name);
            sizes.insert(name, size);
        }
        Ok(Self { sizes, assumed })
    }

    /// The graph with these sizes; as it is where they do not fit it, as assumed ones may not.
    ///
    /// # Errors
    /// When all sizes were set and do not fit.
    pub fn apply(&self, graph: &Graph) -> Result<Graph> {
        match graph.with_sizes(&self.sizes) {
            Ok(sized) => Ok(sized),
            Err(_) if !self.assumed.is_empty() => Ok(graph.clone()),
            Err(e) => Err(e.into()),
        }
    }

    /// `B = 64, T = 32 (assumed)`; empty where all sizes are fixed.
    pub fn describe(&self) -> String {
        let one = |(name, size): (&String, &i64)| match self.assumed.contains(name) {
            true => format!("{name} = {size} (assumed)"),
            false => format!("{name} = {size}"),
        };
        self.sizes.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn wrong(setting: &str, message: &str) -> CliError {
    CliError::Usage(format!("--set {setting}: {message}"))
}

/// A name and a size.
fn setting(text: &str) -> Result<(String, i64)> {
    let (name, size) =
        text.split_once('=').ok_or_else(|| wrong(text, "expected NAME=SIZE, as --set B=64"))?;
    let size = size.parse::<i64>().ok().filter(|n| (1..=i64::from(i32::MAX)).contains(n));
    Ok((name.into(), size.ok_or_else(|| wrong(text, "expected a size from 1 to 2147483647"))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::DType;

    #[test]
    fn sizes_are_set_or_assumed() {
        let mut g = Graph::new("g");
        g.input("x", DType::F32, vec!["B".into(), 3.into(), "H".into()]).unwrap();
        let set = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|s| (*s).into()).collect();
            Dimensions::read(&g, &settings).map(|d| d.describe()).map_err(|e| e.to_string())
        };
        assert_eq!(set(&[]).unwrap(), "B = 1 (assumed), H = 32 (assumed)");
        assert_eq!(set(&["B=64", "H=8"]).unwrap(), "B = 64, H = 8");
        assert!(set(&["b=64"]).unwrap_err().contains("no input has a dimension `b`\nhint: did you mean"));
        for bad in ["B", "B=", "B=0", "B=x", "B=99999999999"] {
            assert!(set(&[bad]).unwrap_err().starts_with(&format!("--set {bad}: expected")), "{bad}");
        }
    }

    #[test]
    fn sizes_are_set_before_loops_are_unrolled() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph/tests/models/loop.onnx");
        let load = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|s| (*s).into()).collect();
            let loaded = Dimensions::load(&file, &settings);
            loaded.map(|(g, d)| (g.nodes().filter(|(_, n)| n.op == "Tanh").count(), d.describe()))
        };
        assert_eq!(load(&["T=3"]).unwrap(), (3, "B = 1 (assumed), T = 3".into()));
        for (settings, expected) in [
            (vec![], "is not known before the model runs"),
            (vec!["B=2"], "is not known before the model runs"),
            (vec!["T=3", "S=2"], "no input has a dimension `S`"),
            (vec!["T=x"], "expected a size"),
        ] {
            let message = load(&settings).unwrap_err().to_string();
            assert!(message.contains(expected), "{settings:?}: {message}");
        }
    }
}
