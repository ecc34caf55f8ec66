//! What a picture shows.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Outlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Cross,
    Ring,
}

/// Fill colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Colour {
    Red,
    Green,
    Blue,
    Yellow,
    Purple,
    Orange,
    Cyan,
    White,
}

/// Sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Size {
    Small,
    Large,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 6] =
        [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Star, Shape::Cross, Shape::Ring];

    /// The noun for one.
    pub fn word(self) -> &'static str {
        match self {
            Shape::Circle => "circle",
            Shape::Square => "square",
            Shape::Triangle => "triangle",
            Shape::Star => "star",
            Shape::Cross => "cross",
            Shape::Ring => "ring",
        }
    }

    /// The noun for several.
    pub fn plural(self) -> &'static str {
        match self {
            Shape::Circle => "circles",
            Shape::Square => "squares",
            Shape::Triangle => "triangles",
            Shape::Star => "stars",
            Shape::Cross => "crosses",
            Shape::Ring => "rings",
        }
    }

    /// The shape that a noun, for one or several, names.
    pub fn from_word(word: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.word() == word || shape.plural() == word)
    }
}

impl Colour {
    /// All colours.
    pub const ALL: [Colour; 8] = [
        Colour::Red,
        Colour::Green,
        Colour::Blue,
        Colour::Yellow,
        Colour::Purple,
        Colour::Orange,
        Colour::Cyan,
        Colour::White,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Colour::Red => "red",
            Colour::Green => "green",
            Colour::Blue => "blue",
            Colour::Yellow => "yellow",
            Colour::Purple => "purple",
            Colour::Orange => "orange",
            Colour::Cyan => "cyan",
            Colour::White => "white",
        }
    }

    /// The colour of that name.
    pub fn from_word(word: &str) -> Option<Colour> {
        Colour::ALL.into_iter().find(|colour| colour.word() == word)
    }
}

impl Size {
    /// Both sizes.
    pub const ALL: [Size; 2] = [Size::Small, Size::Large];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Large => "large",
        }
    }

    /// The size of that name.
    pub fn from_word(word: &str) -> Option<Size> {
        Size::ALL.into_iter().find(|size| size.word() == word)
    }
}

/// Names of the places, row by row; an object's `cell` is an index into them.
pub const PLACES: [&str; 9] =
    ["top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"];

/// Number of different grounds.
pub const GROUNDS: u8 = 4;

/// The eight (shape, colour) pairs that training never shows: one shape of each colour.
pub fn held_out(shape: Shape, colour: Colour) -> bool {
    let held = match colour {
        Colour::Red | Colour::Cyan => Shape::Circle,
        Colour::Green => Shape::Square,
        Colour::Blue => Shape::Triangle,
        Colour::Yellow | Colour::White => Shape::Star,
        Colour::Purple => Shape::Cross,
        Colour::Orange => Shape::Ring,
    };
    shape == held
}

/// One thing in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Outline.
    pub shape: Shape,
    /// Fill.
    pub colour: Colour,
    /// Size.
    pub size: Size,
    /// Place in the 3x3 grid, row by row: 0 to 8.
    pub cell: u8,
}

impl Object {
    /// (row, column) in the grid.
    pub fn position(&self) -> (u8, u8) {
        (self.cell / 3, self.cell % 3)
    }
}

/// What a picture shows: one to three objects in different cells, on a ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The objects.
    pub objects: Vec<Object>,
    /// Which of the grounds: 0 to 3.
    pub ground: u8,
}

impl Scene {
    /// The (shape, colour) pairs in the picture, one for each object.
    pub fn pairs(&self) -> Vec<(Shape, Colour)> {
        self.objects.iter().map(|object| (object.shape, object.colour)).collect()
    }

    /// Draws a scene at random: with one or more held-out pairs, or with none.
    pub(crate) fn random(rng: &mut ChaCha8Rng, with_held_out: bool) -> Scene {
        let all = Shape::ALL.into_iter().flat_map(|s| Colour::ALL.map(|c| (s, c)));
        let (held, seen): (Vec<_>, Vec<_>) = all.partition(|(shape, colour)| held_out(*shape, *colour));
        let count = pick(&[1, 2, 2, 3, 3], rng);
        let mut cells: [u8; 9] = std::array::from_fn(|cell| cell as u8);
        cells.shuffle(rng);
        let mut objects: Vec<Object> = Vec::with_capacity(count);
        for cell in cells.into_iter().take(count) {
            let (shape, colour) = match objects.first() {
                None if with_held_out => pick(&held, rng),
                // Now and then the same again, so that there is something to count.
                Some(first) if rng.random_bool(0.2) => (first.shape, first.colour),
                Some(_) if with_held_out && rng.random_bool(0.3) => pick(&held, rng),
                _ => pick(&seen, rng),
            };
            objects.push(Object { shape, colour, size: pick(&Size::ALL, rng), cell });
        }
        Scene { objects, ground: rng.random_range(0..GROUNDS) }
    }
}

/// One of a list that is never empty.
pub(crate) fn pick<T: Copy>(items: &[T], rng: &mut ChaCha8Rng) -> T {
    *items.choose(rng).unwrap_or_else(|| unreachable!("only called with something to choose from"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;

    #[test]
    fn scenes_are_well_formed_and_varied() {
        let scenes: Vec<Scene> =
            (0..2000).map(|i| Scene::random(&mut stream(1, "test", i), i % 2 == 0)).collect();
        for (index, scene) in scenes.iter().enumerate() {
            let cells: std::collections::BTreeSet<u8> = scene.objects.iter().map(|o| o.cell).collect();
            assert_eq!(cells.len(), scene.objects.len());
            assert!((1..=3).contains(&cells.len()) && cells.iter().all(|c| *c < 9) && scene.ground < GROUNDS);
            assert_eq!(scene.pairs().iter().any(|(s, c)| held_out(*s, *c)), index % 2 == 0);
        }
        let pairs: std::collections::BTreeSet<_> = scenes.iter().flat_map(Scene::pairs).collect();
        assert_eq!(pairs.len(), 48);
        for count in 1..=3 {
            let share = scenes.iter().filter(|s| s.objects.len() == count).count() as f64 / 2000.0;
            assert!((share - [0.2, 0.4, 0.4][count - 1]).abs() < 0.05, "{count} objects: {share}");
        }
        let held =
            Shape::ALL.iter().flat_map(|s| Colour::ALL.map(|c| held_out(*s, c))).filter(|h| *h).count();
        assert_eq!(held, 8);
    }
}
