//! What became of the cases of a suite.

use std::collections::BTreeMap;

/// What became of one case.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All of it agrees.
    Passed,
    /// It is outside of what is supported; the class says why.
    Refused(String),
    /// It should work and does not.
    Failed(String),
}

/// The least that a suite must find and pass, so that it cannot shrink unseen.
pub struct Expected {
    /// Cases in all.
    pub found: usize,
    /// Cases that pass.
    pub passed: usize,
}

/// The outcomes of a suite.
pub struct Tally {
    suite: &'static str,
    passed: usize,
    refused: BTreeMap<String, Vec<String>>,
    failed: Vec<String>,
}

impl Tally {
    pub fn new(suite: &'static str) -> Self {
        Self { suite, passed: 0, refused: BTreeMap::new(), failed: vec![] }
    }

    pub fn add(&mut self, case: &str, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Refused(class) => self.refused.entry(class).or_default().push(case.into()),
            Outcome::Failed(message) => self.failed.push(format!("{case}: {message}")),
        }
    }

    /// Prints the counts.
    ///
    /// # Errors
    /// When something failed, or when less was found or passed than expected.
    pub fn finish(self, expected: &Expected) -> Result<(), String> {
        let (text, result) = self.close(expected);
        println!("{text}");
        result
    }

    /// The counts, and whether they are as they should be.
    fn close(self, expected: &Expected) -> (String, Result<(), String>) {
        let Self { suite, passed, refused, failed } = self;
        let refusals: usize = refused.values().map(Vec::len).sum();
        let found = passed + refusals + failed.len();
        let mut text = format!(
            "\n{suite}: {found} cases found, {passed} passed, {refusals} refused, {} failed\n",
            failed.len()
        );
        let mut classes: Vec<_> = refused.iter().collect();
        classes.sort_by_key(|(class, cases)| (std::cmp::Reverse(cases.len()), class.as_str()));
        for (class, cases) in classes {
            let few: Vec<&str> = cases.iter().take(3).map(String::as_str).collect();
            let more = if cases.len() > few.len() { ", ..." } else { "" };
            text += &format!("  {:5} {class} ({}{more})\n", cases.len(), few.join(", "));
        }
        for message in &failed {
            text += &format!("  failed: {message}\n");
        }
        let Expected { found: least, passed: least_passed } = expected;
        let result = if !failed.is_empty() {
            Err(format!("{suite}: {} failed", failed.len()))
        } else if found < *least || passed < *least_passed {
            Err(format!(
                "{suite}: expected at least {least} cases and {least_passed} that pass, found {found} and {passed}"
            ))
        } else {
            Ok(())
        };
        (text, result)
    }
}

#[test]
fn a_suite_that_shrinks_or_fails_is_an_error() {
    let outcomes = |list: &[Outcome]| {
        let mut tally = Tally::new("a suite");
        list.iter().for_each(|o| tally.add("case", o.clone()));
        tally.close(&Expected { found: 2, passed: 1 }).1
    };
    let (passed, refused) = (Outcome::Passed, Outcome::Refused("no rule".into()));
    assert_eq!(outcomes(&[passed.clone(), refused.clone()]), Ok(()));
    assert!(outcomes(std::slice::from_ref(&passed)).is_err());
    assert!(outcomes(&[refused.clone(), refused.clone()]).is_err());
    assert!(outcomes(&[passed.clone(), passed, Outcome::Failed("other values".into())]).is_err());
}
