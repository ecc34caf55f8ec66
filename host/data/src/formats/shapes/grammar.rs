//! Captions of a scene.
//!
//! ```text
//! caption  = phrase { "and" phrase } | ("there is" | "there are" | "an image with" | "a picture of") ...
//!          | ["there is"] noun "in the" place | "the" place "has" noun
//!          | ["there is"] noun ("above" | "below" | "left of" | "right of") noun
//! phrase   = noun | ("two" | "three") [size] colour shapes
//! noun     = ("a" | "an") [size] colour shape
//! ```

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::scene::{Colour, Object, PLACES, Scene, Shape, Size, pick};

/// How often a caption is made in the search for different ones.
const TRIES: usize = 60;

/// `count` captions of `scene`, all different where the grammar allows it.
pub fn captions(scene: &Scene, count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut captions: Vec<String> = Vec::with_capacity(count);
    for _ in 0..TRIES {
        if captions.len() == count {
            return captions;
        }
        let caption = caption(scene, rng);
        if !captions.contains(&caption) {
            captions.push(caption);
        }
    }
    captions.into_iter().cycle().take(count).collect()
}

/// Every word that a caption may hold, in no particular order.
pub fn all_words() -> Vec<String> {
    const FIXED: &str = "a an and of in the has there is are image picture with above below two three";
    let mut words: Vec<String> = FIXED.split(' ').map(str::to_owned).collect();
    words.extend(Shape::ALL.iter().flat_map(|shape| [shape.word().to_owned(), shape.plural().to_owned()]));
    words.extend(Colour::ALL.iter().map(|colour| colour.word().to_owned()));
    words.extend(Size::ALL.iter().map(|size| size.word().to_owned()));
    words.extend(PLACES.iter().flat_map(|place| place.split(' ')).map(str::to_owned));
    words.sort();
    words.dedup();
    words
}

/// "a" or "an", as `word` wants it.
pub(super) fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn caption(scene: &Scene, rng: &mut ChaCha8Rng) -> String {
    let mut groups = groups(scene);
    match rng.random_range(0..4) {
        0 => place(scene, rng),
        1 if groups.len() > 1 => {
            groups.shuffle(rng);
            relation(&groups, rng)
        }
        1 if scene.objects.len() == 1 => place(scene, rng),
        _ => {
            groups.shuffle(rng);
            list(&groups, rng)
        }
    }
}

/// Objects of the same shape and colour, together.
fn groups(scene: &Scene) -> Vec<Vec<Object>> {
    let mut groups: Vec<Vec<Object>> = Vec::new();
    for object in &scene.objects {
        let same = |group: &&mut Vec<Object>| {
            group.iter().any(|other| (other.shape, other.colour) == (object.shape, object.colour))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(*object),
            None => groups.push(vec![*object]),
        }
    }
    groups
}

fn place(scene: &Scene, rng: &mut ChaCha8Rng) -> String {
    let object = pick(&scene.objects, rng);
    let place = PLACES[usize::from(object.cell) % PLACES.len()];
    let noun = noun(&object, rng);
    match rng.random_range(0..3) {
        0 => format!("{noun} in the {place}"),
        1 => format!("there is {noun} in the {place}"),
        _ => format!("the {place} has {noun}"),
    }
}

fn relation(groups: &[Vec<Object>], rng: &mut ChaCha8Rng) -> String {
    let (first, second) = (pick(&groups[0], rng), pick(&groups[1], rng));
    let ((row, column), (other_row, other_column)) = (first.position(), second.position());
    let mut relations = Vec::with_capacity(2);
    if row != other_row {
        relations.push(if row < other_row { "above" } else { "below" });
    }
    if column != other_column {
        relations.push(if column < other_column { "left of" } else { "right of" });
    }
    let lead = pick(&["", "", "there is "], rng);
    let first = noun(&first, rng);
    format!("{lead}{first} {} {}", pick(&relations, rng), noun(&second, rng))
}

fn list(groups: &[Vec<Object>], rng: &mut ChaCha8Rng) -> String {
    let be = if groups[0].len() > 1 { "are" } else { "is" };
    let phrases: Vec<String> = groups.iter().map(|group| phrase(group, rng)).collect();
    let listed = phrases.join(" and ");
    match rng.random_range(0..4) {
        0 => listed,
        1 => format!("an image with {listed}"),
        2 => format!("there {be} {listed}"),
        _ => format!("a picture of {listed}"),
    }
}

fn phrase(group: &[Object], rng: &mut ChaCha8Rng) -> String {
    let first = group[0];
    if group.len() == 1 {
        return noun(&first, rng);
    }
    let number = if group.len() == 2 { "two" } else { "three" };
    let same_size = group.iter().all(|object| object.size == first.size);
    let size = if same_size { maybe_size(first.size, rng) } else { String::new() };
    format!("{number} {size}{} {}", first.colour.word(), first.shape.plural())
}

fn noun(object: &Object, rng: &mut ChaCha8Rng) -> String {
    let words = format!("{}{} {}", maybe_size(object.size, rng), object.colour.word(), object.shape.word());
    format!("{} {words}", article(&words))
}

fn maybe_size(size: Size, rng: &mut ChaCha8Rng) -> String {
    if [true, false].choose(rng) == Some(&true) { format!("{} ", size.word()) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::super::meaning::Statement;
    use super::*;
    use crate::{stream, words};

    #[test]
    fn captions_are_true_and_can_be_read_back() {
        let known = all_words();
        for index in 0..3000 {
            let mut rng = stream(2, "test", index);
            let scene = Scene::random(&mut rng, index % 2 == 0);
            for caption in captions(&scene, 5, &mut rng) {
                let statement =
                    Statement::parse(&caption).unwrap_or_else(|| panic!("not understood: {caption}"));
                assert!(statement.holds(&scene), "`{caption}` is not true of {scene:?}");
                assert!(words(&caption).iter().all(|word| known.contains(word)), "{caption}");
                assert!(!caption.contains("a orange") && !caption.contains("an large"), "{caption}");
            }
        }
    }

    #[test]
    fn groups_are_counted() {
        let object = |cell, size| Object { shape: Shape::Cross, colour: Colour::Blue, size, cell };
        let scene = |second| Scene { objects: vec![object(0, Size::Small), object(4, second)], ground: 0 };
        let all = |second| -> Vec<String> {
            (0..50).flat_map(|i| captions(&scene(second), 5, &mut stream(0, "t", i))).collect()
        };
        assert!(all(Size::Small).contains(&"there are two small blue crosses".to_owned()));
        let mixed = all(Size::Large);
        assert!(mixed.contains(&"two blue crosses".to_owned()));
        assert!(mixed.iter().all(|caption| !caption.contains("small blue crosses")));
    }
}
