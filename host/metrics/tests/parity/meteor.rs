//! METEOR and its forms with fewer matchers against the reference's jar.

use crate::reference::{Captions, deviation, floats};
use crate::table::Table;
use ekphrasis_metrics::{MeteorData, MeteorModules};
use serde_json::Value;

/// Absolute, as METEOR's scores are printed.
const TOLERANCE: f64 = 1e-6;

/// METEOR's data; the first run fetches it into the user's cache folder (104 MB).
pub fn open() -> MeteorData {
    let cache = ekphrasis_fetch::default_cache();
    MeteorData::open(&cache, false, &|line| eprintln!("{line}")).unwrap_or_else(|e| panic!("{e}"))
}

pub fn compare(set: &str, data: &MeteorData, captions: &Captions, corpus: &Value, table: &mut Table) {
    use MeteorModules::{All, Exact, ExactStem, ExactStemSynonym};
    for modules in [All, Exact, ExactStem, ExactStemSynonym] {
        let meteor = data.meteor().limited_to(modules);
        assert_eq!(meteor.modules(), modules, "the reference's paraphrase table is needed");
        let scores = meteor.evaluate(&captions.hypotheses, &captions.references).unwrap();
        let metric = scores.name;
        let whole = deviation(&[scores.corpus], &[corpus[metric].as_f64().unwrap()], |_| 1.0);
        let each = deviation(&scores.per_image, &floats(&captions.expected[metric]), |_| 1.0);
        table.scores(metric, set, Some(whole), each, TOLERANCE);
    }
}
