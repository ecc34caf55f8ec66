//! `model.toml`, as far as these commands need it.

use crate::error::{CliError, Result, suggestion};
use ekphrasis_train::Role;
use std::{collections::BTreeMap, path::Path};

/// What `model.toml` says.
pub struct Manifest {
    /// What the model is for.
    pub role: Role,
    /// What it is, in a line.
    pub doc: String,
    /// `lua`, or graphs by name, with their files.
    pub graphs: BTreeMap<String, String>,
    /// Everything in it.
    pub table: toml::Table,
}

impl Manifest {
    /// Reads `model.toml` in a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("model.toml");
        let text = std::fs::read_to_string(&path).map_err(CliError::io("read", &path))?;
        Self::parse(&text).map_err(|message| CliError::Message(format!("{}: {message}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        let text = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.ok_or_else(|| format!("{key}: expected a string, found {}", found(table.get(key))))
        };
        let role = text("role")?;
        let role = Role::from_name(role).ok_or_else(|| {
            format!("role: unknown name `{role}`\n{}", suggestion(role, Role::ALL.map(Role::name)))
        })?;
        let graphs = table.get("graphs").and_then(toml::Value::as_table);
        let graphs = graphs
            .ok_or_else(|| format!("graphs: expected a table, found {}", found(table.get("graphs"))))?
            .iter()
            .map(|(name, file)| {
                let file =
                    file.as_str().ok_or_else(|| format!("graphs.{name}: expected the name of a file"))?;
                Ok((name.clone(), file.to_owned()))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { role, doc: text("doc")?.to_owned(), graphs, table })
    }

    /// The `model.toml` of a folder called `name` in which each of these graphs is an ONNX file.
    pub fn exported<'a>(&self, name: &str, graphs: impl Iterator<Item = &'a str>) -> Result<String> {
        let mut table = self.table.clone();
        let files = graphs.map(|graph| (graph.to_owned(), toml::Value::from(file(graph))));
        table.insert("graphs".into(), toml::Value::Table(files.collect()));
        table.insert("name".into(), name.into());
        toml::to_string(&table).map_err(|e| CliError::Message(e.to_string()))
    }
}

/// The file of a graph in an exported folder.
pub fn file(graph: &str) -> String {
    format!("{graph}.onnx")
}

fn found(value: Option<&toml::Value>) -> String {
    value.map_or("nothing".into(), |value| format!("{} `{value}`", value.type_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_become_files_and_the_rest_stays() {
        let text = "name = \"a\"\nrole = \"scorer\"\ndoc = \"d\"\ngraphs = { lua = \"model.lua\" }\ntrain = [\"x.*\"]\n";
        let manifest = Manifest::parse(text).unwrap();
        let again = Manifest::parse(&manifest.exported("b", ["image", "text"].into_iter()).unwrap()).unwrap();
        assert_eq!((again.role, again.doc.as_str()), (Role::Scorer, "d"));
        let files: Vec<_> = again.graphs.iter().map(|(name, file)| format!("{name} {file}")).collect();
        assert_eq!(files, ["image image.onnx", "text text.onnx"]);
        assert_eq!(again.table["train"], manifest.table["train"]);
        assert_eq!(again.table["name"].as_str(), Some("b"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| Manifest::parse(text).err().unwrap();
        assert!(error("role = 3").starts_with("role: expected a string, found integer `3`"));
        assert!(error("role = \"scorre\"").ends_with("hint: did you mean `scorer`?"));
        assert!(error("role = \"scorer\"").starts_with("graphs: expected a table, found nothing"));
    }
}
