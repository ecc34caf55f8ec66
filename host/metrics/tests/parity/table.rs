//! The table of differences.

/// Rows of `metric, set, difference of the corpus score, largest difference of one image, tolerance`.
#[derive(Default)]
pub struct Table {
    rows: Vec<String>,
    excesses: Vec<String>,
}

impl Table {
    /// Differences of scores.
    pub fn scores(&mut self, metric: &str, set: &str, corpus: Option<f64>, each: f64, tolerance: f64) {
        let whole = corpus.map_or("-".into(), |d| format!("{d:.1e}"));
        let row = format!("{metric:<28} {set:<12} {whole:>9} {each:>9.1e} {tolerance:>9.0e}");
        // A comparison with NaN fails too.
        if !(corpus.unwrap_or(0.0) <= tolerance && each <= tolerance) {
            self.excesses.push(row.clone());
        }
        self.rows.push(row);
    }

    /// Captions whose tokens differ, each with what was expected and found.
    pub fn tokens(&mut self, what: &str, set: &str, compared: usize, differences: &[String]) {
        let share = format!("{} of {compared} differ", differences.len());
        self.rows.push(format!("{what:<28} {set:<12} {share:>19} {:>9}", 0));
        self.excesses.extend_from_slice(differences);
    }

    /// Prints it all; panics with what is too far off.
    pub fn finish(self) {
        println!("{:<28} {:<12} {:>9} {:>9} {:>9}", "metric", "set", "corpus", "image", "tolerance");
        self.rows.iter().for_each(|row| println!("{row}"));
        assert!(self.rows.len() > 50, "only {} comparisons", self.rows.len());
        assert!(self.excesses.is_empty(), "differences:\n{}", self.excesses.join("\n"));
    }
}

#[test]
fn an_excess_is_seen() {
    let exceeds = |difference: f64| {
        let mut table = Table::default();
        table.scores("BLEU", "set", Some(0.0), difference, 1e-9);
        !table.excesses.is_empty()
    };
    assert!(!exceeds(1e-10) && exceeds(1e-8) && exceeds(f64::NAN));
}
