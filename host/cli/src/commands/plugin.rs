//! `ekphrasis plugin`

use crate::{
    Context,
    commands::graph::Manifest,
    error::Result,
    opened,
    screen::{self, print},
};
use ekphrasis_plugin::{PluginInfo, PluginState, RewardDescription};
use ekphrasis_report::Table;
use std::path::Path;

/// Commands about plugins.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List models and compiled plugins, and whether each can be used
    #[command(long_about = include_str!("../help/plugin_list.txt"))]
    List,
}

impl Command {
    /// Does what was asked.
    pub fn run(self, _: &Context) -> Result<()> {
        match self {
            Self::List => list(),
        }
    }
}

fn list() -> Result<()> {
    let plugins = opened::layout(None)?.root.join("plugins");
    let mut table = Table::new(["kind", "name", "state", "what it is"]);
    let mut problems = vec![];
    for (name, manifest) in models(&plugins.join("models")) {
        match manifest {
            Ok(m) => {
                let state = if m.graphs.contains_key("lua") { "Lua" } else { "ONNX" };
                table.row([m.role.name().into(), name.into(), state.into(), m.doc.into()]);
            }
            Err(error) => {
                table.row(["model".into(), name.clone().into(), "unusable".into()]);
                problems.push(format!("{name}: {error}"));
            }
        }
    }
    for PluginInfo { kind, name, doc, state, .. } in ekphrasis_plugin::list(&[plugins]) {
        let (state, doc) = match state {
            PluginState::Ready { abi, rewards, .. } => {
                (format!("ready, ABI {abi}"), doc + &parameters(&rewards))
            }
            PluginState::NotBuilt => ("built when first used".into(), doc),
            PluginState::Unusable(error) => {
                problems.push(format!("{name}: {error}"));
                ("unusable".into(), doc)
            }
        };
        table.row([kind.name().into(), name.into(), state.into(), doc.into()]);
    }
    let problems: String = problems.iter().map(|problem| format!("\n{problem}\n")).collect();
    print(&(screen::table(&table) + &problems))
}

/// Folders with a `model.toml`, by name, and what it says.
fn models(folder: &Path) -> Vec<(String, Result<Manifest>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).filter(|path| path.join("model.toml").is_file());
    let mut found: Vec<_> = folders
        .map(|path| {
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), Manifest::read(&path))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// ` (n = 3, weight = 1)`.
fn parameters(rewards: &[RewardDescription]) -> String {
    let all = rewards.iter().flat_map(|reward| &reward.parameters);
    let all: Vec<String> = all.map(|p| format!("{} = {}", p.name, p.default)).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}
