//! Tables for the terminal and for Markdown.

use unicode_width::UnicodeWidthStr;

/// A table with a heading for each column. Columns that hold a number are aligned to the right.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Words.
    Text(String),
    /// A number with so many decimals.
    Number {
        /// The number.
        value: f64,
        /// Digits after the point.
        decimals: usize,
    },
    /// A mean and its spread, shown as `3.84 ± 0.04`.
    Spread {
        /// The mean.
        mean: f64,
        /// The standard deviation, or whatever the caption of the table says.
        deviation: f64,
        /// Digits after the points.
        decimals: usize,
    },
}

/// How a table looks as plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Spaces between columns and hyphens below the headings: for files and pipes.
    Plain,
    /// Box-drawing lines: for terminals.
    Boxed,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Cell {
        Cell::Number { value: count as f64, decimals: 0 }
    }
}

/// A cell as text: what stands before and, for a spread, from the plus-minus sign on.
struct Shown {
    text: String,
    spread: String,
    number: bool,
}

/// Widths of a column in terminal cells.
#[derive(Clone, Copy, Default)]
struct Widths {
    text: usize,
    spread: usize,
    heading: usize,
    right: bool,
}

impl Widths {
    fn total(self) -> usize {
        let body = self.text + if self.spread > 0 { 1 + self.spread } else { 0 };
        body.max(self.heading)
    }
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Table {
        Table { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row below the others. Missing cells are empty; cells beyond the last heading get an empty
    /// heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Table {
        self.rows.push(cells.into_iter().collect());
        self
    }

    /// The table as text, each line ended.
    pub fn to_text(&self, style: Style) -> String {
        let (headings, rows, widths) = self.laid_out();
        let line = |left: &str, between: &str, right: &str, fill: &str| {
            let columns: Vec<String> = widths.iter().map(|width| fill.repeat(width.total())).collect();
            format!("{left}{}{right}\n", columns.join(between))
        };
        let content = |cells: Vec<String>| match style {
            Style::Plain => format!("{}\n", cells.join("  ").trim_end()),
            Style::Boxed => format!("│ {} │\n", cells.join(" │ ")),
        };
        let heading = content(
            headings.iter().zip(&widths).map(|(text, width)| pad(text, width.total(), width.right)).collect(),
        );
        let body: String = rows
            .iter()
            .map(|row| content(row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect()))
            .collect();
        match style {
            Style::Plain => format!("{heading}{}{body}", line("", "  ", "", "-")),
            Style::Boxed => format!(
                "{}{heading}{}{body}{}",
                line("┌─", "─┬─", "─┐", "─"),
                line("├─", "─┼─", "─┤", "─"),
                line("└─", "─┴─", "─┘", "─")
            ),
        }
    }

    /// The table in GitHub's Markdown, its columns aligned in the source too.
    pub fn to_markdown(&self) -> String {
        let escaped = Table {
            columns: self.columns.iter().map(|heading| escape(heading)).collect(),
            rows: self
                .rows
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|cell| match cell {
                            Cell::Text(text) => Cell::Text(escape(text)),
                            other => other.clone(),
                        })
                        .collect()
                })
                .collect(),
        };
        let (headings, rows, mut widths) = escaped.laid_out();
        // A rule of two hyphens would not be one.
        widths.iter_mut().for_each(|width| width.heading = width.heading.max(3));
        let content = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = content(
            headings.iter().zip(&widths).map(|(text, width)| pad(text, width.total(), width.right)).collect(),
        );
        text += &content(
            widths
                .iter()
                .map(|width| match width.right {
                    true => format!("{}:", "-".repeat(width.total() - 1)),
                    false => "-".repeat(width.total()),
                })
                .collect(),
        );
        for row in &rows {
            text += &content(row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect());
        }
        text
    }

    /// Headings, rows (all of one length) and the widths of the columns.
    fn laid_out(&self) -> (Vec<String>, Vec<Vec<Shown>>, Vec<Widths>) {
        let count = self.rows.iter().map(Vec::len).fold(self.columns.len(), usize::max);
        let headings: Vec<String> =
            (0..count).map(|n| self.columns.get(n).map_or(String::new(), |text| printable(text))).collect();
        let rows: Vec<Vec<Shown>> = self
            .rows
            .iter()
            .map(|row| (0..count).map(|n| show(row.get(n).unwrap_or(&Cell::Empty))).collect())
            .collect();
        let mut widths: Vec<Widths> =
            headings.iter().map(|text| Widths { heading: text.width(), ..Widths::default() }).collect();
        for row in &rows {
            for (cell, width) in row.iter().zip(&mut widths) {
                width.right |= cell.number;
                width.spread = width.spread.max(cell.spread.width());
            }
        }
        for row in &rows {
            for (cell, width) in row.iter().zip(&mut widths) {
                // Words beside spreads may take the room of both parts.
                let room = if cell.number || width.spread == 0 { 0 } else { width.spread + 1 };
                width.text = width.text.max(cell.text.width().saturating_sub(room));
            }
        }
        (headings, rows, widths)
    }
}

fn show(cell: &Cell) -> Shown {
    let plain = |text: String, number| Shown { text, spread: String::new(), number };
    match cell {
        Cell::Empty => plain(String::new(), false),
        Cell::Text(text) => plain(printable(text), false),
        Cell::Number { value, decimals } => plain(format!("{value:.decimals$}"), true),
        Cell::Spread { mean, deviation, decimals } => Shown {
            text: format!("{mean:.decimals$}"),
            spread: format!("± {deviation:.decimals$}"),
            number: true,
        },
    }
}

/// A cell as wide as its column, plus-minus signs below one another.
fn padded(cell: &Shown, width: Widths) -> String {
    if !cell.number || width.spread == 0 {
        return pad(&cell.text, width.total(), width.right);
    }
    let both = format!("{} {}", cell.text, pad(&cell.spread, width.spread, true));
    pad(&both, width.total(), true)
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// Without line breaks and the control characters by which a text could command a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["reward", "CIDEr-D", "n"]);
        table.row([
            "cider_d".into(),
            Cell::Spread { mean: 3.9149, deviation: 0.04, decimals: 2 },
            Cell::from(3),
        ]);
        table.row(["naïve|mix".into(), Cell::Number { value: 10.5, decimals: 2 }]);
        table.row(["none\x1b\n".into(), "failed".into(), Cell::from(12)]);
        table
    }

    #[test]
    fn plain_text_is_aligned() {
        let expected = "\
reward          CIDEr-D   n
---------  ------------  --
cider_d     3.91 ± 0.04   3
naïve|mix  10.50
none             failed  12
";
        assert_eq!(table().to_text(Style::Plain), expected);
    }

    #[test]
    fn boxes_close() {
        let expected = "\
┌───────────┬──────────────┬────┐
│ reward    │      CIDEr-D │  n │
├───────────┼──────────────┼────┤
│ cider_d   │  3.91 ± 0.04 │  3 │
│ naïve|mix │ 10.50        │    │
│ none      │       failed │ 12 │
└───────────┴──────────────┴────┘
";
        assert_eq!(table().to_text(Style::Boxed), expected);
        let mut wide = Table::new(["caption"]);
        wide.row(["一隻狗".into()]).row(["a dog".into()]);
        let text = wide.to_text(Style::Boxed);
        assert!(text.lines().all(|line| line.width() == 11), "{text}");
    }

    #[test]
    fn markdown_escapes_and_aligns() {
        let expected = "\
| reward     |      CIDEr-D |   n |
| ---------- | -----------: | --: |
| cider_d    |  3.91 ± 0.04 |   3 |
| naïve\\|mix | 10.50        |     |
| none       |       failed |  12 |
";
        assert_eq!(table().to_markdown(), expected);
    }

    #[test]
    fn odd_tables_are_tables() {
        assert_eq!(Table::new(Vec::<String>::new()).to_text(Style::Plain), "\n\n");
        let mut more = Table::new(["a"]);
        more.row([Cell::Empty, Cell::Number { value: f64::NAN, decimals: 3 }]);
        assert_eq!(more.to_text(Style::Plain), "a\n-  ---\n   NaN\n");
    }
}
