//! Which candidate belongs to which references.

use super::set::{CaptionSet, IdKind, few};
use crate::error::MetricsError;
use std::collections::HashMap;

/// The captions of one or more systems for the same images, with the references of these.
#[derive(Debug)]
pub struct Pairs<'s> {
    references: &'s CaptionSet,
    systems: Vec<System<'s>>,
    /// Images of `references`, in its order.
    images: Vec<usize>,
}

#[derive(Debug)]
struct System<'s> {
    candidates: &'s CaptionSet,
    /// The ids by which images were found in candidates and in references.
    kinds: [&'s IdKind; 2],
    /// For each image of the references that of the candidates.
    places: Vec<Option<usize>>,
    /// Images without references.
    strangers: Vec<usize>,
}

/// Pairs each system's candidates with the references of the same image.
///
/// Where images have ids of several kinds (Karpathy's file name, COCO id and running number), those are compared
/// under which most images are found. All images must have references and one candidate of each system;
/// `only_common` leaves out those that do not.
///
/// # Errors
/// If a system has several captions for an image, if ids do not match (the first few of either side are named), or if
/// nothing is left.
pub fn pair<'s>(
    references: &'s CaptionSet,
    systems: &[&'s CaptionSet],
    only_common: bool,
) -> Result<Pairs<'s>, MetricsError> {
    let systems: Vec<System> =
        systems.iter().map(|candidates| System::new(references, candidates)).collect::<Result<_, _>>()?;
    let common = |image: &usize| systems.iter().all(|system| system.places[*image].is_some());
    let images: Vec<usize> = (0..references.len()).filter(common).collect();
    for system in &systems {
        if images.is_empty() || !only_common {
            system.check(references, images.len())?;
        }
    }
    Ok(Pairs { references, systems, images })
}

impl<'s> System<'s> {
    fn new(references: &'s CaptionSet, candidates: &'s CaptionSet) -> Result<Self, MetricsError> {
        let mut best: Option<(usize, [&IdKind; 2])> = None;
        for of_references in references.id_kinds() {
            let Some(known) = numbers(references, of_references) else { continue };
            for of_candidates in candidates.id_kinds() {
                let ids = (0..candidates.len()).map(|image| candidates.id(of_candidates, image));
                let found = ids.filter(|id| known.contains_key(id)).count();
                if best.is_none_or(|(most, _)| found > most) {
                    best = Some((found, [of_candidates, of_references]));
                }
            }
        }
        let unmatched = |found: String, hint: &str| {
            Err(MetricsError::Unmatched { candidates: candidates.file().into(), found, hint: hint.into() })
        };
        let Some((_, kinds)) = best else {
            return unmatched(
                "there is no kind of ids by which to find images".into(),
                "name every image once",
            );
        };
        let known = numbers(references, kinds[1]).unwrap_or_default();
        let mut places = vec![None; references.len()];
        let (mut strangers, mut repeated) = (Vec::new(), Vec::new());
        for image in 0..candidates.len() {
            let id = candidates.id(kinds[0], image);
            let taken = match known.get(id) {
                Some(reference) => places[*reference].replace(image).is_some(),
                None => {
                    strangers.push(image);
                    false
                }
            };
            if taken || candidates.captions(image).len() > 1 {
                repeated.push(id);
            }
        }
        if !repeated.is_empty() {
            let count = repeated.len();
            return unmatched(
                format!("expected one caption for each image, found several for {count}: {}", few(&repeated)),
                "keep one caption for each image",
            );
        }
        Ok(Self { candidates, kinds, places, strangers })
    }

    /// Whether all images are on both sides.
    fn check(&self, references: &CaptionSet, common: usize) -> Result<(), MetricsError> {
        let missing: Vec<&str> = (0..references.len())
            .filter(|image| self.places[*image].is_none())
            .map(|image| references.id(self.kinds[1], image))
            .collect();
        if missing.is_empty() && self.strangers.is_empty() {
            return Ok(());
        }
        let strangers: Vec<&str> =
            self.strangers.iter().map(|image| self.candidates.id(self.kinds[0], *image)).collect();
        let mut found = format!(
            "expected captions of the {} images of {}, compared by {}",
            references.len(),
            references.file(),
            self.paired_by()
        );
        for (what, ids) in [("captions without references", strangers), ("images without a caption", missing)]
        {
            if !ids.is_empty() {
                found += &format!("\n  {} {what}: {}", ids.len(), few(&ids));
            }
        }
        let splits = references.splits();
        let splits: Vec<String> = splits
            .iter()
            .filter(|(_, images)| *images > 0)
            .map(|(name, n)| format!("{name} ({n})"))
            .collect();
        let hint = match (common, splits.len()) {
            (_, 2..) => format!("choose a split of the references with `--split`: {}", splits.join(", ")),
            (0, _) => "no image is in both: are the ids of one kind, and the files of one data set?".into(),
            _ => format!("`--only-common` scores the {common} images that both have"),
        };
        Err(MetricsError::Unmatched { candidates: self.candidates.file().into(), found, hint })
    }

    fn paired_by(&self) -> String {
        let [candidates, references] = self.kinds.map(|kind| kind.name);
        if candidates == references { candidates.into() } else { format!("{candidates} = {references}") }
    }
}

/// Images by id; none where some id stands for two images or an image has none.
fn numbers<'s>(set: &CaptionSet, kind: &'s IdKind) -> Option<HashMap<&'s str, usize>> {
    let mut numbers = HashMap::with_capacity(set.len());
    for image in 0..set.len() {
        let id = set.id(kind, image);
        if id.is_empty() || numbers.insert(id, image).is_some() {
            return None;
        }
    }
    Some(numbers)
}

impl<'s> Pairs<'s> {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is none, which is so for empty references without systems only.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The ids of the images as the first system's pairing has them, in the order of the references.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &'s str> {
        let kind = self.systems.first().map(|system| system.kinds[1]);
        let references = self.references;
        self.images.iter().map(move |image| kind.map_or("", |kind| references.id(kind, *image)))
    }

    /// The references of each image.
    pub fn references(&self) -> impl ExactSizeIterator<Item = Vec<&'s str>> {
        let references = self.references;
        self.images.iter().map(move |image| references.captions(*image).collect())
    }

    /// The caption of each image by a system, counted from 0.
    pub fn candidates(&self, system: usize) -> impl Iterator<Item = &'s str> {
        let System { candidates, places, .. } = &self.systems[system];
        let candidates = *candidates;
        self.images.iter().filter_map(move |image| candidates.captions(places[*image]?).next())
    }

    /// How many images of the references are left out.
    pub fn references_left_out(&self) -> usize {
        self.references.len() - self.images.len()
    }

    /// How many captions of a system are left out.
    pub fn candidates_left_out(&self, system: usize) -> usize {
        self.systems[system].candidates.len() - self.images.len()
    }

    /// The kind of ids that candidates and references were compared by.
    pub fn paired_by(&self, system: usize) -> String {
        self.systems[system].paired_by()
    }
}
