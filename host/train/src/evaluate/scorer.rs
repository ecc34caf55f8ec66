//! The scorer: how well it finds, and how well it says that captions fit their pictures.

use super::embed;
use crate::{Captions, Result, Role, World};
use ekphrasis_data::Split;
use ekphrasis_metrics::{Ranking, clip_scores, ref_clip_scores, retrieval};
use serde_json::{Map, Value, json};

/// What the scorer says, beside its name (`encoder`).
///
/// Of captions for the pictures of a split, one each: `clip_score` and `ref_clip_score` (Hessel et al. 2021),
/// means over the split. Of itself: retrieval between real pictures and all their captions, both ways, as
/// `image_to_text` and `text_to_image`, each with `recall@1`, `@5`, `@10` and `median_rank`; ties count against it.
/// None for a split in which some picture has no caption.
pub fn scorer(world: &World, split: &Split, captions: Option<&Captions>) -> Result<Option<Value>> {
    let (mut references, mut image_of) = (vec![], vec![]);
    for (i, example) in split.examples.iter().enumerate() {
        image_of.extend(vec![i; example.tokens.len()]);
        references.extend(example.tokens.iter().cloned());
    }
    if split.is_empty() || split.examples.iter().any(|e| e.tokens.is_empty()) {
        return Ok(None);
    }
    let images = embed::real(world, split)?;
    let references = embed::captions(world, &format!("captions of {}", split.name), &references)?;
    let (images, references) = (images.rows()?, references.rows()?);
    let mut all = Map::new();
    all.insert("encoder".into(), json!(world.model(Role::Scorer)?.name));
    if let Some(captions) = captions {
        let words: Vec<Vec<u32>> = (0..captions.len()).map(|i| captions.words(i)).collect();
        let written = embed::captions(world, &format!("captions written for {}", split.name), &words)?;
        let written = written.rows()?;
        let mean = |scores: Vec<f64>| json!(scores.iter().sum::<f64>() / scores.len() as f64);
        all.insert("clip_score".into(), mean(clip_scores(&images, &written)?));
        all.insert(
            "ref_clip_score".into(),
            mean(ref_clip_scores(&images, &written, &references, &image_of)?),
        );
    }
    let found = retrieval(&images, &references, &image_of)?;
    all.insert("image_to_text".into(), ranking(&found.image_to_text));
    all.insert("text_to_image".into(), ranking(&found.text_to_image));
    Ok(Some(Value::Object(all)))
}

fn ranking(ranking: &Ranking) -> Value {
    json!({
        "recall@1": ranking.recall_at_1,
        "recall@5": ranking.recall_at_5,
        "recall@10": ranking.recall_at_10,
        "median_rank": ranking.median_rank,
    })
}
