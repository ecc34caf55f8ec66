//! METEOR as a reward and in evaluation. Its data are looked for when it is first asked for, not before.

use crate::{Captions, Result, World};
use ekphrasis_data::Split;
use ekphrasis_metrics::{Meteor, MeteorData, MeteorReferences};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// METEOR with the references that it has seen.
pub struct MeteorScoring {
    meteor: Meteor,
    prepared: RefCell<HashMap<(String, usize), Rc<MeteorReferences>>>,
}

impl World {
    /// METEOR, made at the first call: its data come from `EKPHRASIS_METEOR`, the cache folder, or, unless the run is
    /// offline, the package index.
    ///
    /// # Errors
    /// If there are none, with a hint.
    pub fn meteor(&self) -> Result<Rc<MeteorScoring>> {
        if let Some(known) = &*self.meteor.borrow() {
            return Ok(known.clone());
        }
        let data = MeteorData::open(&self.layout.cache, self.runtime.is_offline(), &|line| self.note(line))?;
        let made = Rc::new(MeteorScoring { meteor: data.meteor(), prepared: RefCell::default() });
        *self.meteor.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    /// All metrics of captions for the pictures of a split of the data, one each; METEOR with them where the config
    /// asks for it.
    pub fn scores(
        &self,
        captions: &Captions,
        split: &Split,
    ) -> Result<std::collections::BTreeMap<String, f64>> {
        let mut all = self.scoring.split(captions, split, &self.data)?;
        if self.config.evaluation.meteor {
            let texts: Vec<String> = (0..captions.len()).map(|i| self.text(captions, i)).collect();
            let references: Vec<Vec<String>> = split
                .examples
                .iter()
                .map(|e| e.tokens.iter().map(|t| self.data.vocabulary.decode(t)).collect())
                .collect();
            let scores = self.meteor()?.meteor.evaluate(&texts, &references)?;
            all.insert(scores.name.to_lowercase(), scores.corpus);
        }
        Ok(all)
    }

    fn text(&self, captions: &Captions, i: usize) -> String {
        self.data.vocabulary.decode(&captions.words(i))
    }

    /// METEOR of captions, 0 to 1, caption `i` against the references of `sources[i / samples]`: a picture's index in
    /// the split, and which one of its references, unless all.
    pub(crate) fn meteor_of(
        &self,
        captions: &Captions,
        split: &Split,
        sources: &[(usize, Option<usize>)],
        samples: usize,
    ) -> Result<Vec<f64>> {
        let scoring = self.meteor()?;
        let references: Vec<Rc<MeteorReferences>> =
            sources.iter().map(|(index, only)| scoring.references(self, split, *index, *only)).collect();
        let texts: Vec<String> = (0..captions.len()).map(|i| self.text(captions, i)).collect();
        let pairs: Vec<(&str, &MeteorReferences)> =
            texts.iter().enumerate().map(|(i, text)| (text.as_str(), &*references[i / samples])).collect();
        Ok(scoring.meteor.scores(&pairs))
    }
}

impl MeteorScoring {
    /// The references of a picture, prepared once; those of a painted one, of which there is but one, each time.
    fn references(
        &self,
        world: &World,
        split: &Split,
        index: usize,
        only: Option<usize>,
    ) -> Rc<MeteorReferences> {
        let text = |tokens: &Vec<u32>| world.data.vocabulary.decode(tokens);
        let all = split.references(index);
        if let Some(i) = only {
            return Rc::new(self.meteor.prepare(&all.get(i).map(text).into_iter().collect::<Vec<_>>()));
        }
        let mut prepared = self.prepared.borrow_mut();
        let new = || Rc::new(self.meteor.prepare(&all.iter().map(text).collect::<Vec<_>>()));
        prepared.entry((split.name.clone(), index)).or_insert_with(new).clone()
    }
}
