//! The two streams: results on standard output; notes, errors and bars on standard error.

use crate::error::{CliError, Result};
use clap::builder::styling::{AnsiColor, Style};
use ekphrasis_report::{Style as TableStyle, Table};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Where a command writes. Clones write to the same place, from any thread.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    live: bool,
}

impl Screen {
    /// Looks at what the streams are.
    pub fn new() -> Self {
        Self { bars: MultiProgress::new(), live: io::stderr().is_terminal() }
    }

    /// Whether somebody sees bars move.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A line on standard error, above the bars.
    pub fn say(&self, text: &str) {
        // There is nobody left to tell when standard error is closed.
        self.bars.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// An error with its hints.
    pub fn error(&self, error: &CliError) {
        let coloured = self.live && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let text = error.to_string();
        // Errors in scripts are labelled already, as they show lines of the script too.
        let text = if text.starts_with("error: ") { text } else { format!("error: {text}") };
        self.say(&labelled(&text, coloured));
    }

    /// A bar for so many things.
    pub fn bar(&self, total: u64, name: &str) -> ProgressBar {
        let template = "{prefix:<16} {bar:28.green} {pos}/{len} {per_sec} {eta} left {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style =
            style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1}/s", state.per_sec());
            });
        let bar = self.bars.add(ProgressBar::new(total));
        bar.set_style(style.progress_chars("━╸ "));
        bar.set_prefix(name.to_owned());
        bar
    }
}

/// Colours the labels that begin lines.
fn labelled(text: &str, coloured: bool) -> String {
    if !coloured {
        return text.to_owned();
    }
    let paint = |line: &str, label: &str, colour: AnsiColor| {
        let style = Style::new().bold().fg_color(Some(colour.into()));
        line.strip_prefix(label).map(|rest| format!("{style}{label}{style:#}{rest}"))
    };
    let lines = text.lines().map(|line| {
        paint(line, "error:", AnsiColor::Red)
            .or_else(|| paint(line, "hint:", AnsiColor::Cyan))
            .unwrap_or_else(|| line.to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Message(format!("write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// A value as JSON that people can read, ended by a line break.
pub fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| CliError::Message(e.to_string()))?;
    Ok(text + "\n")
}

/// A table as it suits standard output.
pub fn table(table: &Table) -> String {
    table.to_text(if io::stdout().is_terminal() { TableStyle::Boxed } else { TableStyle::Plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_keep_their_lines() {
        let text = "error: no key `stpes`\nhint: did you mean `steps`?";
        assert_eq!(labelled(text, false), text);
        let coloured = labelled(text, true);
        assert!(coloured.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no key"), "{coloured:?}");
        assert!(coloured.contains("\n\u{1b}[1m\u{1b}[36mhint:\u{1b}[0m did you"), "{coloured:?}");
    }
}
