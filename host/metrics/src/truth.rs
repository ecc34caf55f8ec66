//! Whether captions of drawn scenes tell the truth: for pictures whose objects are known.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The words that state a (colour, shape) pair: a colour directly before the singular or plural of a shape.
#[derive(Debug, Clone, Default)]
pub struct PairWords {
    colours: BTreeSet<String>,
    /// From a shape's word, singular or plural, to the singular.
    shapes: BTreeMap<String, String>,
}

impl PairWords {
    /// The words for colours, and for each shape its singular and its plural.
    pub fn new(colours: &[&str], shapes: &[(&str, &str)]) -> Self {
        let forms = |&(one, many): &(&str, &str)| {
            [(one.to_string(), one.to_string()), (many.to_string(), one.to_string())]
        };
        Self {
            colours: colours.iter().map(|colour| colour.to_string()).collect(),
            shapes: shapes.iter().flat_map(forms).collect(),
        }
    }

    /// The distinct (colour, shape) pairs that a caption states, shapes in the singular.
    pub fn stated_pairs(&self, words: &[&str]) -> BTreeSet<(&str, &str)> {
        let pair = |adjacent: &[&str]| {
            let [first, second] = adjacent else { return None };
            Some((self.colours.get(*first)?.as_str(), self.shapes.get(*second)?.as_str()))
        };
        words.windows(2).filter_map(pair).collect()
    }
}

/// Counts of stated and depicted pairs over any number of captions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Pairs that captions state, each once for a caption.
    pub stated: usize,
    /// Pairs that are in the pictures, each once for a caption.
    pub depicted: usize,
    /// Pairs that are both.
    pub right: usize,
}

impl Truth {
    /// Counts one caption of one picture.
    pub fn add(&mut self, stated: &BTreeSet<(&str, &str)>, depicted: &BTreeSet<(&str, &str)>) {
        self.stated += stated.len();
        self.depicted += depicted.len();
        self.right += stated.intersection(depicted).count();
    }

    /// Share of the stated pairs that are in the picture; 0 if none is stated.
    pub fn precision(&self) -> f64 {
        self.right as f64 / self.stated.max(1) as f64
    }

    /// Share of the pairs in the picture that are stated; 0 if there is none.
    pub fn recall(&self) -> f64 {
        self.right as f64 / self.depicted.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated<'a>(words: &'a PairWords, caption: &str) -> BTreeSet<(&'a str, &'a str)> {
        words.stated_pairs(&caption.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn a_colour_before_a_shape_is_a_pair() {
        let words = PairWords::new(&["red", "blue"], &[("circle", "circles"), ("cross", "crosses")]);
        let found = stated(&words, "two red crosses and a small blue circle left of a red cross");
        assert_eq!(found, BTreeSet::from([("red", "cross"), ("blue", "circle")]));
        assert!(stated(&words, "a red small circle and a blue").is_empty());
        assert!(stated(&words, "a green circle").is_empty());
        assert!(words.stated_pairs(&[]).is_empty());
    }

    #[test]
    fn shares_by_hand() {
        let words = PairWords::new(&["red", "blue"], &[("circle", "circles"), ("cross", "crosses")]);
        let mut truth = Truth::default();
        assert_eq!((truth.precision(), truth.recall()), (0.0, 0.0));
        let depicted = BTreeSet::from([("red", "cross"), ("red", "circle"), ("blue", "cross")]);
        truth.add(&stated(&words, "a red cross and a blue circle"), &depicted);
        truth.add(&stated(&words, "a picture"), &BTreeSet::from([("red", "cross")]));
        assert_eq!(truth, Truth { stated: 2, depicted: 4, right: 1 });
        assert_eq!((truth.precision(), truth.recall()), (0.5, 0.25));
    }
}
