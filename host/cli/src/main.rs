//! The `ekphrasis` command: reads the command line, wires the other crates together, owns the terminal.
//!
//! Results go to standard output; progress, notes and errors go to standard error.

mod commands;
mod error;
mod interrupt;
mod observer;
mod opened;
mod screen;
mod shown;

use clap::Parser;
use commands::Command;
use error::CliError;
use screen::Screen;
use std::process::ExitCode;

/// Trains, evaluates and compares image captioners, with GANs and reinforcement learning.
#[derive(Parser)]
#[command(name = "ekphrasis", version, long_about = include_str!("help/ekphrasis.txt"))]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(clap::Args)]
struct Common {
    /// Never fetch ONNX Runtime; it is an error if it is not on this machine
    #[arg(long, global = true)]
    offline: bool,
}

/// What every command works with.
struct Context {
    screen: Screen,
    offline: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context { screen: Screen::new(), offline: arguments.common.offline };
    // A trial does not outlive its study.
    let study = ekphrasis_study::end_with_parent().map_err(|e| CliError::Message(e.to_string()));
    match study.and_then(|()| arguments.command.run(&context)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.screen.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    /// Each page says what the command does and shows how it is called.
    #[test]
    fn every_command_has_a_page_with_examples() {
        fn visit(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                let page = sub.get_long_about().unwrap_or_else(|| panic!("{path}: no page")).to_string();
                assert!(page.contains("Examples:") && page.contains(&path), "{path}: no example");
                assert!(page.lines().all(|l| l.len() <= 80), "{path}: a line is too long");
                for argument in sub.get_arguments() {
                    assert!(argument.get_help().is_some(), "{path}: {} is not explained", argument.get_id());
                }
                visit(sub, &path);
            }
        }
        let mut command = Arguments::command();
        command.build();
        visit(&command, "ekphrasis");
    }
}
