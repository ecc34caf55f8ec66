//! What a caption of the grammar says, and whether it is true.

use super::scene::{Colour, Object, PLACES, Scene, Shape, Size};
use crate::words;

/// "two small red circles".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrase {
    /// How many are claimed.
    pub count: usize,
    /// Their size, if it is said.
    pub size: Option<Size>,
    /// Their colour.
    pub colour: Colour,
    /// Their shape.
    pub shape: Shape,
}

/// Where one object lies relative to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    Above,
    Below,
    LeftOf,
    RightOf,
}

impl Relation {
    /// All relations.
    pub const ALL: [Relation; 4] = [Relation::Above, Relation::Below, Relation::LeftOf, Relation::RightOf];

    /// As it stands in a caption.
    pub fn words(self) -> &'static str {
        match self {
            Relation::Above => "above",
            Relation::Below => "below",
            Relation::LeftOf => "left of",
            Relation::RightOf => "right of",
        }
    }

    fn holds(self, first: &Object, second: &Object) -> bool {
        let ((row, column), (other_row, other_column)) = (first.position(), second.position());
        match self {
            Relation::Above => row < other_row,
            Relation::Below => row > other_row,
            Relation::LeftOf => column < other_column,
            Relation::RightOf => column > other_column,
        }
    }
}

/// The meaning of a caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// These are in the picture.
    List(Vec<Phrase>),
    /// This is in the cell (0 to 8).
    Place(Phrase, u8),
    /// The first lies so relative to the second.
    Relation(Phrase, Relation, Phrase),
}

impl Statement {
    /// Reads a caption; `None` if the grammar does not make it. Articles are not checked.
    pub fn parse(caption: &str) -> Option<Statement> {
        let words = words(caption);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["the", rest @ ..] = words.as_slice() {
            let (cell, rest) = place(rest)?;
            let ["has", rest @ ..] = rest else { return None };
            let (phrase, rest) = phrase(rest)?;
            return rest.is_empty().then_some(Statement::Place(phrase, cell));
        }
        let body = match words.as_slice() {
            ["there", "is" | "are", rest @ ..] => rest,
            ["an", "image", "with", rest @ ..] | ["a", "picture", "of", rest @ ..] => rest,
            all => all,
        };
        let (first, mut rest) = phrase(body)?;
        if let ["in", "the", rest @ ..] = rest {
            let (cell, rest) = place(rest)?;
            return rest.is_empty().then_some(Statement::Place(first, cell));
        }
        if let Some((relation, rest)) = relation(rest) {
            let (second, rest) = phrase(rest)?;
            return rest.is_empty().then_some(Statement::Relation(first, relation, second));
        }
        let mut phrases = vec![first];
        while let ["and", after @ ..] = rest {
            let (next, after) = phrase(after)?;
            phrases.push(next);
            rest = after;
        }
        rest.is_empty().then_some(Statement::List(phrases))
    }

    /// Whether the statement is true of `scene`. Of a number, at least so many; the parts of a list are
    /// judged one by one.
    pub fn holds(&self, scene: &Scene) -> bool {
        let fits = |phrase: &Phrase, object: &Object| {
            object.shape == phrase.shape
                && object.colour == phrase.colour
                && phrase.size.is_none_or(|size| size == object.size)
        };
        let there_is = |phrase: &Phrase, extra: &dyn Fn(&Object) -> bool| {
            scene.objects.iter().filter(|object| fits(phrase, object) && extra(object)).count()
                >= phrase.count
        };
        match self {
            Statement::List(phrases) => phrases.iter().all(|phrase| there_is(phrase, &|_| true)),
            Statement::Place(phrase, cell) => there_is(phrase, &|object| object.cell == *cell),
            Statement::Relation(first, relation, second) => {
                there_is(first, &|a| there_is(second, &|b| relation.holds(a, b)))
            }
        }
    }
}

/// The (shape, colour) pairs that a caption names: each colour word with a shape word right after it.
///
/// This also reads captions that are not of the grammar, such as a model's.
pub fn stated_pairs(caption: &str) -> Vec<(Shape, Colour)> {
    let words = words(caption);
    let pair = |pair: &[String]| match pair {
        [colour, shape] => Some((Shape::from_word(shape)?, Colour::from_word(colour)?)),
        _ => None,
    };
    words.windows(2).filter_map(pair).collect()
}

fn phrase<'a, 'w>(words: &'a [&'w str]) -> Option<(Phrase, &'a [&'w str])> {
    let (number, rest) = words.split_first()?;
    let count = match *number {
        "a" | "an" => 1,
        "two" => 2,
        "three" => 3,
        _ => return None,
    };
    let size = rest.first().and_then(|word| Size::from_word(word));
    let rest = if size.is_some() { rest.get(1..)? } else { rest };
    let [colour, noun, rest @ ..] = rest else { return None };
    let (colour, shape) = (Colour::from_word(colour)?, Shape::from_word(noun)?);
    let plural = shape.plural() == *noun;
    (plural == (count > 1)).then_some((Phrase { count, size, colour, shape }, rest))
}

/// A place at the start of `words`, the longest that fits.
pub(super) fn place<'a, 'w>(words: &'a [&'w str]) -> Option<(u8, &'a [&'w str])> {
    (1..=2).rev().find_map(|length| {
        let name = words.get(..length)?.join(" ");
        let cell = PLACES.iter().position(|place| *place == name)?;
        Some((u8::try_from(cell).ok()?, words.get(length..)?))
    })
}

/// A relation at the start of `words`.
pub(super) fn relation<'a, 'w>(words: &'a [&'w str]) -> Option<(Relation, &'a [&'w str])> {
    match words {
        ["above", rest @ ..] => Some((Relation::Above, rest)),
        ["below", rest @ ..] => Some((Relation::Below, rest)),
        ["left", "of", rest @ ..] => Some((Relation::LeftOf, rest)),
        ["right", "of", rest @ ..] => Some((Relation::RightOf, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        let object = |shape, colour, size, cell| Object { shape, colour, size, cell };
        Scene {
            objects: vec![
                object(Shape::Circle, Colour::Blue, Size::Small, 0),
                object(Shape::Circle, Colour::Blue, Size::Large, 4),
                object(Shape::Star, Colour::Orange, Size::Small, 5),
            ],
            ground: 1,
        }
    }

    #[test]
    fn truth() {
        for (caption, expected) in [
            ("a blue circle", true),
            ("two blue circles and an orange star", true),
            ("two small blue circles", false),
            ("three blue circles", false),
            ("there is a small orange star in the right", true),
            ("the top right has an orange star", false),
            ("the top left has a blue circle", true),
            ("an orange star right of a large blue circle", true),
            ("an orange star above a blue circle", false),
            ("a small blue circle above an orange star", true),
            ("a picture of an orange circle", false),
        ] {
            let statement = Statement::parse(caption).unwrap_or_else(|| panic!("not understood: {caption}"));
            assert_eq!(statement.holds(&scene()), expected, "{caption}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_make_is_not_read() {
        for caption in [
            "",
            "a",
            "a circle",
            "a red circles",
            "two red circle",
            "a red circle and",
            "the top has",
            "a red circle in the middle",
            "a red circle a blue square",
            "a man on a bench",
        ] {
            assert_eq!(Statement::parse(caption), None, "{caption}");
        }
    }

    #[test]
    fn pairs_are_found_in_any_text() {
        let red_circle = (Shape::Circle, Colour::Red);
        assert_eq!(
            stated_pairs("and two red circles of cyan ring"),
            [red_circle, (Shape::Ring, Colour::Cyan)]
        );
        assert!(stated_pairs("a red small circle blue").is_empty());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::default()
        })]

        /// A model may say anything.
        #[test]
        fn words_in_any_order_never_panic(
            picks in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 0..12),
        ) {
            let known = super::super::grammar::all_words();
            let caption: Vec<&str> = picks.iter().map(|pick| known[pick.index(known.len())].as_str()).collect();
            let caption = caption.join(" ");
            if let Some(statement) = Statement::parse(&caption) {
                statement.holds(&scene());
            }
            stated_pairs(&caption);
            let mut rng = crate::stream(0, "t", 0);
            let others = super::super::distractors::hard_distractors(&caption, Some(&scene()), 9, &mut rng);
            proptest::prop_assert!(!others.contains(&caption));
        }
    }
}
