//! Captions that are nearly right: the same words but for one attribute.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::grammar::article;
use super::meaning::{Relation, Statement, place, relation};
use super::scene::{Colour, PLACES, Scene, Shape, Size};
use crate::words;

/// Up to `count` captions that differ from `caption` in one attribute: a colour, a shape, a size or a place.
///
/// A relation ("above", "left of") counts as a place. Articles are put right. None equals the caption or
/// another one, and with a `scene` none is true of it. Fewer come back where the caption allows no more.
pub fn hard_distractors(
    caption: &str,
    scene: Option<&Scene>,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<String> {
    let words = words(caption);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let original = words.join(" ");
    let mut candidates: Vec<String> = (0..words.len())
        .flat_map(|at| {
            let (length, others) = alternatives(&words, at);
            others.into_iter().map(move |other| (at, length, other))
        })
        .map(|(at, length, other)| replaced(&words, at, length, &other))
        .filter(|candidate| *candidate != original)
        .filter(|candidate| match (scene, Statement::parse(candidate)) {
            (Some(scene), Some(statement)) => !statement.holds(scene),
            _ => true,
        })
        .collect();
    candidates.sort();
    candidates.dedup();
    candidates.shuffle(rng);
    candidates.truncate(count);
    candidates
}

/// What could stand at `at` instead: how many words go, and what may come.
fn alternatives(words: &[&str], at: usize) -> (usize, Vec<String>) {
    let Some((word, rest)) = words.get(at..).and_then(<[&str]>::split_first) else { return (0, Vec::new()) };
    let from_here = words.get(at..).unwrap_or_default();
    if Colour::from_word(word).is_some() {
        return (1, owned(Colour::ALL.map(Colour::word)));
    }
    if Size::from_word(word).is_some() {
        return (1, owned(Size::ALL.map(Size::word)));
    }
    if let Some(shape) = Shape::from_word(word) {
        let form = if shape.word() == *word { Shape::word } else { Shape::plural };
        return (1, owned(Shape::ALL.map(form)));
    }
    if let Some((_, after)) = relation(from_here) {
        return (from_here.len() - after.len(), owned(Relation::ALL.map(Relation::words)));
    }
    if *word == "the"
        && let Some((_, after)) = place(rest)
    {
        return (from_here.len() - after.len(), PLACES.map(|place| format!("the {place}")).to_vec());
    }
    (0, Vec::new())
}

fn owned<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn replaced(words: &[&str], at: usize, length: usize, other: &str) -> String {
    let (before, rest) = words.split_at(at);
    let after = rest.get(length..).unwrap_or_default();
    let mut changed: Vec<&str> =
        before.iter().copied().chain(other.split(' ')).chain(after.iter().copied()).collect();
    for index in 1..changed.len() {
        if matches!(changed[index - 1], "a" | "an") {
            changed[index - 1] = article(changed[index]);
        }
    }
    changed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::grammar::captions;
    use super::*;
    use crate::stream;

    #[test]
    fn distractors_are_false_distinct_and_of_the_grammar() {
        let mut full = 0;
        for index in 0..1000 {
            let mut rng = stream(4, "test", index);
            let scene = Scene::random(&mut rng, false);
            for caption in captions(&scene, 5, &mut rng) {
                let distractors = hard_distractors(&caption, Some(&scene), 9, &mut rng);
                full += usize::from(distractors.len() == 9);
                let distinct: std::collections::BTreeSet<_> = distractors.iter().collect();
                assert_eq!(distinct.len(), distractors.len());
                for distractor in &distractors {
                    assert_ne!(distractor, &caption);
                    let statement = Statement::parse(distractor);
                    assert!(!statement.as_ref().unwrap_or_else(|| panic!("{distractor}")).holds(&scene));
                    assert_eq!(differences(&Statement::parse(&caption).unwrap(), &statement.unwrap()), 1);
                    assert!(
                        !distractor.contains("a orange") && !distractor.contains("an red"),
                        "{distractor}"
                    );
                }
            }
        }
        assert_eq!(full, 5000, "every caption of the grammar has nine");
    }

    /// Number of attributes in which two statements of the same form differ.
    fn differences(a: &Statement, b: &Statement) -> usize {
        use Statement::{List, Place, Relation};
        let phrases = |statement: &Statement| match statement {
            List(phrases) => phrases.clone(),
            Place(phrase, _) => vec![*phrase],
            Relation(first, _, second) => vec![*first, *second],
        };
        let place = match (a, b) {
            (List(_), List(_)) => false,
            (Place(_, a), Place(_, b)) => a != b,
            (Relation(_, a, _), Relation(_, b, _)) => a != b,
            _ => panic!("{a:?} and {b:?}"),
        };
        let words = phrases(a).into_iter().zip(phrases(b)).map(|(a, b)| {
            assert_eq!(a.count, b.count);
            usize::from(a.size != b.size)
                + usize::from(a.colour != b.colour)
                + usize::from(a.shape != b.shape)
        });
        usize::from(place) + words.sum::<usize>()
    }

    #[test]
    fn articles_follow_and_places_are_whole() {
        let all = hard_distractors("the top left has a small red circle", None, 99, &mut stream(0, "t", 0));
        assert_eq!(all.len(), 8 + 1 + 7 + 5);
        assert!(all.contains(&"the bottom has a small red circle".to_owned()));
        let all = hard_distractors("an image with a red circle", None, 99, &mut stream(0, "t", 0));
        assert!(all.contains(&"an image with an orange circle".to_owned()));
        assert!(hard_distractors("an image with an oak", None, 9, &mut stream(0, "t", 0)).is_empty());
        let all = hard_distractors("a red ring left of a red ring", None, 99, &mut stream(0, "t", 0));
        assert!(all.contains(&"a red ring above a red ring".to_owned()));
    }
}
