//! A profile as people read it.

use super::Report;
use crate::screen::table;
use ekphrasis_report::{Cell, Table};

/// Rows of a table before the rest is summed.
const ROWS: usize = 20;

/// Width of the longest bar.
const BAR: usize = 24;

/// Everything.
pub fn report(r: &Report) -> String {
    let sizes = if r.sizes_note.is_empty() { String::new() } else { format!(", {}", r.sizes_note) };
    let mut text = format!(
        "{}: {:.3} ms a run (median of {}) on {} with {} threads{sizes}\n",
        r.file, r.milliseconds, r.runs, r.provider, r.threads
    );
    match r.gflops {
        Some(gflops) => text.push_str(&format!(
            "{gflops:.2} GFLOP/s, where a plain matrix product reaches {:.1}: {:.1} %\n",
            r.matrix_gflops,
            100.0 * gflops / r.matrix_gflops
        )),
        None => text.push_str(&format!("A plain matrix product reaches {:.1} GFLOP/s.\n", r.matrix_gflops)),
    }
    text.push_str(&format!("\n{}\n{}", table(&operators(r)), table(&layers(r))));
    text
}

/// A bar and the share that it stands for.
fn bar(part: f64, whole: f64, longest: f64) -> [Cell; 2] {
    let length = (BAR as f64 * part / longest.max(f64::MIN_POSITIVE)).round() as usize;
    let share = 100.0 * part / whole.max(f64::MIN_POSITIVE);
    [Cell::Number { value: share, decimals: 1 }, "█".repeat(length.min(BAR)).into()]
}

fn number(value: f64, decimals: usize) -> Cell {
    Cell::Number { value, decimals }
}

fn operators(r: &Report) -> Table {
    let mut table = Table::new(["operator", "calls", "ms", "%", ""]);
    let whole: f64 = r.operators.iter().map(|o| o.milliseconds).sum();
    let longest = r.operators.first().map_or(0.0, |o| o.milliseconds);
    for o in r.operators.iter().take(ROWS) {
        let [share, bar] = bar(o.milliseconds, whole, longest);
        table.row([o.op.as_str().into(), number(o.calls, 0), number(o.milliseconds, 3), share, bar]);
    }
    let rest: f64 = r.operators.iter().skip(ROWS).map(|o| o.milliseconds).sum();
    if rest > 0.0 {
        let [share, bar] = bar(rest, whole, longest);
        table.row(["others".into(), Cell::Empty, number(rest, 3), share, bar]);
    }
    table
}

fn layers(r: &Report) -> Table {
    let mut table = Table::new(["layer", "forward ms", "backward ms", "GFLOP/s", "%", ""]);
    let time = |l: &super::LayerShare| l.forward_milliseconds + l.backward_milliseconds;
    let whole: f64 = r.layers.iter().map(time).sum();
    let longest = r.layers.first().map_or(0.0, time);
    for l in r.layers.iter().take(ROWS) {
        let [share, bar] = bar(time(l), whole, longest);
        let gflops = match l.multiply_adds {
            n if n > 0 && time(l) > 0.0 => number(2.0 * n as f64 / time(l) / 1e6, 2),
            _ => Cell::Empty,
        };
        let backward = match l.backward_milliseconds {
            t if t > 0.0 => number(t, 3),
            _ => Cell::Empty,
        };
        table.row([l.layer.as_str().into(), number(l.forward_milliseconds, 3), backward, gflops, share, bar]);
    }
    let rest: f64 = r.layers.iter().skip(ROWS).map(time).sum();
    if rest > 0.0 {
        let [share, bar] = bar(rest, whole, longest);
        table.row(["others".into(), number(rest, 3), Cell::Empty, Cell::Empty, share, bar]);
    }
    table
}
