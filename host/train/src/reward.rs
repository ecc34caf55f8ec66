//! What a reward script sees: sampled captions with their pictures and references.

use crate::{
    Captions, Choice, Result, Role, TrainError, World, calls::RoleCalls, error::suggestion, scoring::Prepared,
};
use ekphrasis_data::{Split, Vocabulary};
use ekphrasis_metrics::Flaw;
use ekphrasis_plugin::{Library, PluginError, RewardBatchView, RewardPlugin};
use ekphrasis_runtime::DeviceTensor;
use ekphrasis_script::{
    Class, Fault, Kind, ModelHandle, Script, ScriptError, Tensor, check_reward, uncounted,
};
use mlua::MetaMethod;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

/// Where the picture of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index in the split.
    pub index: usize,
    /// The caption that the picture was painted from; `None` for a real picture.
    pub painted_from: Option<usize>,
}

/// Sampled captions to be scored.
pub struct RewardBatch {
    pub(crate) world: Rc<World>,
    /// The split of the pictures.
    pub split: Arc<Split>,
    /// N = B * samples captions, picture by picture.
    pub captions: Captions,
    /// Captions for each picture.
    pub samples: usize,
    /// f32[B, 3, S, S].
    pub image: DeviceTensor,
    /// Where each picture comes from.
    pub sources: Vec<Source>,
    /// Training step, from 0.
    pub step: u64,
    /// Seed of `noise`.
    pub seed: u64,
    components: RefCell<BTreeMap<String, f64>>,
}

/// Rewards of a batch, and how their parts came out.
pub struct Scored {
    /// One for each caption.
    pub rewards: Vec<f32>,
    /// Means by name: `reward.cider_d`, `reward.cider_d.weight`.
    pub parts: BTreeMap<String, f64>,
}

impl RewardBatch {
    /// A batch of captions about pictures.
    pub fn new(
        world: &Rc<World>,
        split: &Arc<Split>,
        captions: Captions,
        image: DeviceTensor,
        sources: Vec<Source>,
        step: u64,
    ) -> Self {
        let samples = captions.len().checked_div(sources.len()).unwrap_or(1).max(1);
        let (world, split) = (world.clone(), split.clone());
        let seed = world.config.seed;
        Self { world, split, captions, samples, image, sources, step, seed, components: RefCell::default() }
    }

    fn source(&self, caption: usize) -> Source {
        let row = caption / self.samples;
        self.sources.get(row).copied().unwrap_or(Source { index: 0, painted_from: None })
    }

    /// The references of a caption: all of a real picture, the one that a painted one was made from.
    fn references(&self, caption: usize) -> Vec<Vec<u32>> {
        let source = self.source(caption);
        let all = self.split.references(source.index);
        match source.painted_from {
            Some(i) => all.get(i).cloned().into_iter().collect(),
            None => all.to_vec(),
        }
    }

    fn each(&self, score: impl Fn(usize, &Prepared) -> f64) -> Result<Tensor> {
        let mut scores = Vec::with_capacity(self.captions.len());
        for row in 0..self.sources.len() {
            let source = self.sources[row];
            let prepared = match source.painted_from {
                None => self.world.scoring.references(&self.split, source.index),
                Some(_) => Rc::new(self.world.scoring.prepare(&self.references(row * self.samples))),
            };
            scores.extend((0..self.samples).map(|k| score(row * self.samples + k, &prepared) as f32));
        }
        Ok(Tensor::Eager(DeviceTensor::from_f32(&[scores.len()], scores)?))
    }

    fn meteor(&self) -> Result<Tensor> {
        let sources: Vec<_> = self.sources.iter().map(|s| (s.index, s.painted_from)).collect();
        let scores = self.world.meteor_of(&self.captions, &self.split, &sources, self.samples)?;
        let scores: Vec<f32> = scores.into_iter().map(|s| s as f32).collect();
        Ok(Tensor::Eager(DeviceTensor::from_f32(&[scores.len()], scores)?))
    }

    fn text(&self, caption: usize) -> String {
        self.world.data.vocabulary.decode(&self.captions.words(caption))
    }

    /// Row number from a script (from 1).
    fn row(&self, i: usize) -> mlua::Result<usize> {
        let n = self.captions.len();
        if (1..=n).contains(&i) {
            Ok(i - 1)
        } else {
            Err(Fault::new(format!("expected a caption from 1 to {n}, found {i}")).into())
        }
    }
}

/// Scores a batch with a reward, a script or a compiled plugin.
pub fn score(batch: RewardBatch, choice: &Choice) -> Result<Scored> {
    let lua = batch.world.engine.lua().clone();
    let world = batch.world.clone();
    let held = lua.create_any_userdata(batch).map_err(TrainError::lua)?;
    let rewards = named(&world, &held, choice)?;
    let batch = held.borrow::<RewardBatch>().map_err(TrainError::lua)?;
    let parts = batch.components.borrow().clone();
    Ok(Scored { rewards, parts })
}

/// The rewards of one named reward.
fn named(world: &Rc<World>, held: &mlua::AnyUserData, choice: &Choice) -> Result<Vec<f32>> {
    if world.layout.script(Kind::Reward, &choice.script).is_err()
        && let Some(values) = compiled(world, held, choice)?
    {
        return Ok(values);
    }
    let (script, params) = world.chosen(Kind::Reward, choice)?;
    let params = world.engine.value(&params)?;
    let results = world.engine.call(&script, "score", (held.clone(), params)).map_err(|e| note(e, held))?;
    let n = held.borrow::<RewardBatch>().map_err(TrainError::lua)?.captions.len();
    let (scores, parts) = check_reward(&results, n).map_err(|f| note(located(&script, f), held))?;
    let batch = held.borrow::<RewardBatch>().map_err(TrainError::lua)?;
    for part in parts {
        let mean = part.values.iter().map(|v| f64::from(*v)).sum::<f64>() / n.max(1) as f64;
        let mut all = batch.components.borrow_mut();
        all.insert(format!("reward.{}", part.name), mean);
        all.insert(format!("reward.{}.weight", part.name), part.weight);
    }
    Ok(scores)
}

/// The result of `score` is wrong, not a line of the script.
fn located(script: &Script, fault: Fault) -> ScriptError {
    script.error(fault.at("what `score` returned"))
}

/// Adds to an error what the reward was looking at.
fn note(error: ScriptError, held: &mlua::AnyUserData) -> ScriptError {
    match held.borrow::<RewardBatch>() {
        Ok(batch) => {
            let first = format!(
                "scoring {} captions at step {}, the first \"{}\"",
                batch.captions.len(),
                batch.step + 1,
                batch.text(0)
            );
            error.with_context(first)
        }
        Err(_) => error,
    }
}

/// The rewards of a compiled plugin, if there is one of that name.
fn compiled(world: &Rc<World>, held: &mlua::AnyUserData, choice: &Choice) -> Result<Option<Vec<f32>>> {
    let key = serde_json::to_string(choice).unwrap_or_default();
    if !world.compiled.borrow().contains_key(&key) {
        let search = [world.layout.root.join("plugins")];
        let folder = match ekphrasis_plugin::find(&choice.script, ekphrasis_plugin::Kind::Reward, &search) {
            Ok(folder) => folder,
            Err(PluginError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        world.note(&format!("loading plugin `{}` from {}", choice.script, folder.path.display()));
        let library = Library::open(&folder.library_path(ekphrasis_plugin::Profile::Release)?)?;
        let mut params = BTreeMap::new();
        for (name, value) in &choice.params {
            let number = value.as_f64().ok_or_else(|| {
                TrainError::config(
                    format!("reward.params.{name}"),
                    format!("expected a number, found {value}"),
                )
            })?;
            params.insert(name.clone(), number);
        }
        let plugin = RewardPlugin::create(&library, &choice.script, &params)?;
        world.compiled.borrow_mut().insert(key.clone(), plugin);
    }
    let batch = held.borrow::<RewardBatch>().map_err(TrainError::lua)?;
    let mut plugins = world.compiled.borrow_mut();
    let Some(plugin) = plugins.get_mut(&key) else { return Ok(None) };
    let columns = batch.captions.longest();
    let tokens = batch.captions.padded(columns);
    let lengths: Vec<usize> = batch.captions.rows().iter().map(Vec::len).collect();
    let images: Vec<usize> = (0..batch.captions.len()).map(|i| i / batch.samples).collect();
    let (mut image_offsets, mut reference_offsets, mut reference_tokens) = (vec![0], vec![0], vec![]);
    for row in 0..batch.sources.len() {
        for reference in batch.references(row * batch.samples) {
            reference_tokens.extend(reference.iter().map(|t| i64::from(*t)));
            reference_tokens.push(i64::from(Vocabulary::EOS));
            reference_offsets.push(reference_tokens.len());
        }
        image_offsets.push(reference_offsets.len() - 1);
    }
    let scores = plugin.score(&RewardBatchView {
        columns,
        tokens: &tokens,
        lengths: &lengths,
        images: &images,
        image_offsets: &image_offsets,
        reference_offsets: &reference_offsets,
        reference_tokens: &reference_tokens,
        vocabulary: world.data.vocabulary.words(),
        special: ekphrasis_plugin::SpecialTokens {
            pad: i64::from(Vocabulary::PAD),
            bos: i64::from(Vocabulary::BOS),
            eos: i64::from(Vocabulary::EOS),
            unk: i64::from(Vocabulary::UNK),
        },
        step: batch.step,
    })?;
    Ok(Some(scores.into_iter().map(|s| s as f32).collect()))
}

fn fault(error: TrainError) -> mlua::Error {
    match error {
        // A script's own error keeps its place.
        TrainError::Script(error) => mlua::Error::external(error),
        other => Fault::new(other.to_string()).into(),
    }
}

/// Another reward, from within one.
fn another(lua: &mlua::Lua, held: &mlua::AnyUserData, choice: Choice) -> mlua::Result<Tensor> {
    let world = held.borrow::<RewardBatch>()?.world.clone();
    let values = uncounted(lua, || named(&world, held, &choice)).map_err(fault)?;
    DeviceTensor::from_f32(&[values.len()], values).map(Tensor::Eager).map_err(|e| fault(e.into()))
}

/// The class `RewardBatch`.
pub fn class() -> Class<RewardBatch> {
    let mut class = Class::<RewardBatch>::new("RewardBatch", "Sampled captions with their pictures and references, in a reward script.")
        .operator(MetaMethod::Len, "len: integer", |_, batch: mlua::UserDataRef<RewardBatch>| Ok(batch.captions.len()))
        .field("pad", "integer", "Token that fills up.", |_, _| Ok(Vocabulary::PAD))
        .field("eos", "integer", "Token that ends; words have higher numbers.", |_, _| Ok(Vocabulary::EOS))
        .method("samples", "(): integer", "Captions for each picture.", |_, b, ()| Ok(b.samples))
        .method("step", "(): integer", "Training step, from 0.", |_, b, ()| Ok(b.step))
        .method("tokens", "(): Tensor", "i64[N, T]: the captions as token ids: words, end, padding.", |_, b, ()| {
            let width = if b.world.fixed_length() { b.world.sizes.max_length } else { b.captions.longest() };
            b.captions.tensor(width).map(Tensor::Eager).map_err(|e| fault(e.into()))
        })
        .method("image", "(): Tensor", "f32[B, 3, H, W] in [-1, 1]: the pictures.", |_, b, ()| Ok(Tensor::Eager(b.image.clone())))
        .method("image_index", "(): Tensor", "i64[N]: row of `image()` that each caption is about, from 0.", |_, b, ()| {
            let rows: Vec<i64> = (0..b.captions.len()).map(|i| (i / b.samples) as i64).collect();
            DeviceTensor::from_i64(&[rows.len()], rows).map(Tensor::Eager).map_err(|e| fault(e.into()))
        })
        .method("words", "(i: integer): string[]", "The words of caption i, from 1.", |_, b, i: usize| {
            let row = b.row(i)?;
            let text = b.text(row);
            Ok(text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>())
        })
        .method("caption", "(i: integer): string", "Caption i as text, from 1.", |_, b, i: usize| Ok(b.text(b.row(i)?)))
        .method("references", "(i: integer): string[]", "The references of caption i.", |_, b, i: usize| {
            let row = b.row(i)?;
            let words = &b.world.data.vocabulary;
            Ok(b.references(row).iter().map(|r| words.decode(r)).collect::<Vec<_>>())
        })
        .method("cider_d", "(): Tensor", "f32[N]: CIDEr-D (0 to 10), the end counted as a word, document frequencies from the training references.", |_, b, ()| {
            b.each(|i, r| b.world.scoring.cider_d(&b.captions, i, r)).map_err(fault)
        })
        .method("bleu", "(n?: integer): Tensor", "f32[N]: BLEU-n of each caption alone, BLEU-4 unless n is given.", |_, b, n: Option<usize>| {
            let n = n.unwrap_or(4);
            if !(1..=4).contains(&n) {
                return Err(Fault::new(format!("argument `n`: expected 1 to 4, found {n}")).into());
            }
            b.each(|i, r| b.world.scoring.bleu(&b.captions, i, r)[n - 1]).map_err(fault)
        })
        .method("rouge_l", "(): Tensor", "f32[N]: ROUGE-L of each caption.", |_, b, ()| {
            b.each(|i, r| b.world.scoring.rouge_l(&b.captions, i, r)).map_err(fault)
        })
        .method("flaw", "(name: string): Tensor", "f32[N]: 1 for each caption with this flaw, 0 for the others: `repeated_words`, `repeated_bigrams`, `repeated_trigrams`, `no_eos`, `truncated` (ends in a word such as \"a\" or \"on\") or `empty`.", |_, b, name: String| {
            let flaw = Flaw::from_name(&name).filter(|flaw| *flaw != Flaw::Unknown).ok_or_else(|| {
                let known = Flaw::ALL.into_iter().filter(|flaw| *flaw != Flaw::Unknown).map(Flaw::name);
                Fault::new(format!("argument `name`: there is no flaw `{name}`\n{}", suggestion(&name, known)))
            })?;
            let has: Vec<f32> =
                (0..b.captions.len()).map(|i| f32::from(b.world.scoring.has(flaw, &b.captions, i))).collect();
            DeviceTensor::from_f32(&[has.len()], has).map(Tensor::Eager).map_err(|e| fault(e.into()))
        })
        .method_on("meteor", "(): Tensor", "f32[N]: METEOR 1.5 (0 to 1) of each caption. Its data are fetched at the first use (104 MB, once), or taken from EKPHRASIS_METEOR.",
            |lua, held: mlua::AnyUserData, ()| {
                let batch = held.borrow::<RewardBatch>()?;
                // Fetching takes longer than a script may.
                uncounted(lua, || batch.meteor()).map_err(fault)
            })
        .method("noise", "(n: integer): Tensor", "f32[n, Z]: standard normal noise for the generator, the same for the same step.", |_, b, n: usize| {
            let z = b.world.noise_size().map_err(fault)?;
            let values = crate::noise::normal(b.seed, "reward", b.step, n * z);
            DeviceTensor::from_f32(&[n, z], values).map(Tensor::Eager).map_err(|e| fault(e.into()))
        })
        .method_on("reward", "(name: string, params?: table): Tensor", "f32[N]: another reward, a script or a compiled plugin, by name.",
            |lua, held: mlua::AnyUserData, (name, params): (String, Option<mlua::Value>)| {
                let params = match params {
                    Some(value) => mlua::LuaSerdeExt::from_value(lua, value)?,
                    None => serde_json::Map::new(),
                };
                another(lua, &held, Choice { script: name, params })
            })
        .method_on("similarity", "(): Tensor", "f32[N]: the reward `similarity`.", |lua, held: mlua::AnyUserData, ()| {
            another(lua, &held, Choice { script: "similarity".into(), params: serde_json::Map::new() })
        });
    for role in Role::ALL {
        let doc = format!("The {role}: calling its graphs runs them with the current weights.");
        class = class.field(role.name(), "ModelHandle", &doc, move |_, b| {
            b.world.model(role).map_err(fault)?;
            let (world, loss) = (b.world.clone(), None);
            Ok(ModelHandle(Rc::new(RoleCalls { world, role, train: false, loss })))
        });
    }
    class
}
