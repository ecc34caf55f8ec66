//! Against the reference tools, on captions and scores that lie beside the workspace: equality and time.
//!
//! `cargo test --release -p ekphrasis-metrics --test parity -- --nocapture` prints the table.

mod adversarial;
mod meteor;
mod reference;
mod scst;
mod speed;
mod table;
mod text;

use reference::{Captions, coco_parity, json};
use table::Table;

/// One table over every metric and every set; fails on any excess.
#[test]
fn scores_equal_those_of_the_reference_tools() {
    let Some(folder) = coco_parity() else { return };
    let mut table = Table::default();
    adversarial::compare(&folder, &mut table);
    let meteor = meteor::open();
    let expected = json(folder.join("expected.json"));
    for (set, references_of) in [("fakecap", "fakecap"), ("mismatch", "fakecap"), ("human", "human")] {
        let captions = Captions::from_raw(&folder, set, references_of, &mut table);
        text::compare(set, &captions, &expected[set]["corpus"], &mut table);
        meteor::compare(set, &meteor, &captions, &expected[set]["corpus"], &mut table);
    }
    let captions = Captions::edge_cases(&folder);
    let corpus = &expected["edge_cases"]["corpus"];
    text::compare("edge_cases", &captions, corpus, &mut table);
    meteor::compare("edge_cases", &meteor, &captions, corpus, &mut table);
    scst::compare(&folder, &mut table);
    table.finish();
}
