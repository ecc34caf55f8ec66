//! What a schedule can ask for, and how it survives a kill: every call is journaled, and a training
//! call goes on from its last checkpoint.

use crate::{
    Captions, Entry, Journal, Phase, Result, Role, RunFolder, SampleRow, SampleSheet, TrainError, World,
    alarms::{Alarm, Watch},
    checkpoint::{self, Checkpoint, OptimizerTensors, PhasePosition, Position},
    evaluate,
    phase::PhaseRun,
    recorder::{Recorder, WINDOW},
    rollout::Rollout,
};
use ekphrasis_metrics::HeldOut;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::PathBuf, rc::Rc, sync::atomic::Ordering, time::Instant};

/// Pictures on a sheet of samples.
const SAMPLES: usize = 8;

/// A run in progress.
pub struct Runner {
    /// What it works with.
    pub world: Rc<World>,
    folder: RunFolder,
    journal: Journal,
    recorder: Recorder,
    phases: BTreeMap<String, PhaseRun>,
    /// State of phases from a checkpoint that no call has needed yet.
    saved: BTreeMap<String, PhasePosition>,
    saved_tensors: OptimizerTensors,
    /// Where an interrupted call stood.
    pending: Option<Position>,
    global_step: u64,
    evaluator: Option<Rollout>,
    watch: Watch,
    /// Results by dotted name, as `captioner.cross_entropy.val.cider_d`.
    summary: Map<String, Value>,
    /// Captions of the first pictures of `val`, by label, in the order of evaluation.
    examples: Vec<(String, Vec<String>)>,
}

impl Runner {
    /// Starts a run, or goes on where its folder says that it stood.
    pub fn open(world: Rc<World>, folder: RunFolder) -> Result<Self> {
        let journal = Journal::open(&folder.path().join("journal.jsonl"))?;
        let mut notes = vec![];
        let newest = checkpoint::load_newest(&folder.path().join("checkpoints"), &mut |n| notes.push(n))?;
        notes.iter().for_each(|n| world.note(n));
        let (mut position, mut tensors) = (None, OptimizerTensors::new());
        if let Some(checkpoint) = newest {
            checkpoint.restore(&world)?;
            let Checkpoint { position: p, optimizers, .. } = checkpoint;
            world.observe(|o| o.resumed(p.global_step));
            (position, tensors) = (Some(p), optimizers);
        }
        let bytes = position.as_ref().map_or(0, |p| p.metrics_bytes);
        let metrics = folder.path().join("metrics.jsonl");
        let recorder = Recorder::open(&metrics, bytes)?;
        let watch = Watch::open(world.config.alarms, &metrics)?;
        Ok(Self {
            world,
            journal,
            recorder,
            phases: BTreeMap::new(),
            saved: position.as_ref().map(|p| p.phases.clone()).unwrap_or_default(),
            saved_tensors: tensors,
            pending: position,
            global_step: 0,
            evaluator: None,
            watch,
            summary: Map::new(),
            examples: vec![],
            folder,
        })
    }

    /// The folder of the run.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Runs a call once: from the journal if it is there, for real otherwise.
    fn durable(
        &mut self,
        call: &str,
        arguments: Value,
        run: impl FnOnce(&mut Self) -> Result<Value>,
    ) -> Result<Value> {
        if let Some(entry) = self.journal.replay(call, &arguments)? {
            return Ok(entry.result.clone());
        }
        let start = Instant::now();
        let result = run(self)?;
        let seconds = start.elapsed().as_secs_f64();
        self.journal.record(Entry { call: call.into(), arguments, result: result.clone(), seconds })?;
        Ok(result)
    }

    /// Trains a phase of the config for its steps, with single settings changed.
    pub fn train(&mut self, name: &str, overrides: &Map<String, Value>) -> Result<Value> {
        let phase = self.world.config.phase(name)?.with(name, overrides)?;
        let arguments = json!({ "phase": name, "set": overrides });
        let result = self.durable("train", arguments, |this| this.train_now(name, &phase))?;
        if let Some(step) = result.get("global_step").and_then(Value::as_u64) {
            self.global_step = step;
        }
        let add = |summary: &mut Map<String, Value>, key: String, more: f64| {
            let sum = summary.get(&key).and_then(Value::as_f64).unwrap_or(0.0) + more;
            summary.insert(key, json!(sum));
        };
        for (what, field) in [("seconds", "seconds"), ("steps", "steps")] {
            add(
                &mut self.summary,
                format!("{what}.{name}"),
                result.get(field).and_then(Value::as_f64).unwrap_or(0.0),
            );
        }
        if let Some(parts) = result.get("milliseconds").and_then(Value::as_object) {
            for (part, value) in parts {
                self.summary.insert(format!("milliseconds.{name}.{part}"), value.clone());
            }
        }
        Ok(result)
    }

    fn train_now(&mut self, name: &str, phase: &Phase) -> Result<Value> {
        let call = self.journal.position();
        let pending = self.pending.take().filter(|p| p.call == call);
        let position = self.saved.remove(name).unwrap_or_default();
        let world = self.world.clone();
        let mut run = match self.phases.remove(name) {
            // The phase may have other settings in this call; its optimiser goes on.
            Some(run) => PhaseRun::new(&world, name, phase, &run.position(), &run.tensors()?)?,
            None => PhaseRun::new(&world, name, phase, &position, &self.saved_tensors)?,
        };
        self.saved_tensors.retain(|(p, _, _), _| p != name);
        let first = pending.as_ref().map_or(0, |p| p.step);
        let before = pending.as_ref().map_or(0.0, |p| p.seconds);
        let mut totals = if pending.is_some() { position.totals } else { BTreeMap::new() };
        let begun = run.done - first;
        self.global_step = pending.as_ref().map_or(self.global_step, |p| p.global_step);
        let start = Instant::now();
        let mut saved = Instant::now();
        let total = if begun == 0 { phase.steps } else { begun + phase.steps };
        world.observe(|o| o.phase(name, first, phase.steps));
        for step in first..phase.steps {
            let values = run.step(total)?;
            self.global_step += 1;
            for (metric, value) in &values {
                *totals.entry(metric.clone()).or_insert(0.0) += value;
            }
            self.recorder.add(&values);
            world.observe(|o| o.step(name, step + 1, &values));
            let last = step + 1 == phase.steps;
            if !(step + 1).is_multiple_of(WINDOW) && !last {
                continue;
            }
            let means = self.recorder.line(name, run.done, self.global_step)?;
            for alarm in self.watch.line(name, run.done, self.global_step, &means) {
                self.raise(alarm)?;
            }
            let tagged: Vec<_> = means.into_iter().map(|(n, v)| (format!("{name}/{n}"), v)).collect();
            world.observe(|o| o.scalars(self.global_step, &tagged));
            let stop = world.stop.load(Ordering::Relaxed);
            if last || stop || saved.elapsed().as_secs_f64() > world.config.checkpoint_seconds {
                let seconds = before + start.elapsed().as_secs_f64();
                self.save(call, step + 1, seconds, name, &run, &totals)?;
                saved = Instant::now();
            }
            if stop && !last {
                return Err(TrainError::Stopped);
            }
        }
        let seconds = before + start.elapsed().as_secs_f64();
        world.observe(|o| o.phase_end(name, seconds));
        let steps = phase.steps.max(1) as f64;
        let mut result = json!({ "seconds": seconds, "steps": phase.steps, "done": run.done, "global_step": self.global_step });
        let (mut means, mut times) = (Map::new(), Map::new());
        for (metric, sum) in &totals {
            match metric.strip_prefix("milliseconds.") {
                Some(part) => times.insert(part.to_owned(), json!(sum / steps)),
                None => means.insert(metric.clone(), json!(sum / steps)),
            };
        }
        result["milliseconds"] = Value::Object(times);
        result["mean"] = Value::Object(means);
        self.phases.insert(name.to_owned(), run);
        Ok(result)
    }

    fn raise(&mut self, alarm: Alarm) -> Result<()> {
        self.world.note(&alarm.text);
        self.recorder.append(&alarm.line)
    }

    fn save(
        &mut self,
        call: usize,
        step: u64,
        seconds: f64,
        name: &str,
        run: &PhaseRun,
        totals: &BTreeMap<String, f64>,
    ) -> Result<()> {
        self.world.observe(|o| o.flush());
        let mut position = Position {
            call,
            step,
            seconds,
            global_step: self.global_step,
            metrics_bytes: self.recorder.sync()?,
            phases: self.saved.clone(),
        };
        let mut tensors = self.saved_tensors.clone();
        for (other, phase) in &self.phases {
            position.phases.insert(other.clone(), phase.position());
            tensors.append(&mut phase.tensors()?);
        }
        position.phases.insert(name.to_owned(), PhasePosition { totals: totals.clone(), ..run.position() });
        tensors.append(&mut run.tensors()?);
        checkpoint::save(&self.folder.path().join("checkpoints"), &self.world, &position, &tensors)?;
        Ok(())
    }

    /// Evaluates the captioner on splits of the data, under a label.
    pub fn evaluate(&mut self, label: &str, splits: &[String]) -> Result<Value> {
        let arguments = json!({ "label": label, "splits": splits });
        let result = self.durable("evaluate", arguments, |this| this.evaluate_now(label, splits))?;
        for (split, scores) in result.get("splits").and_then(Value::as_object).into_iter().flatten() {
            for (metric, value) in scores.as_object().into_iter().flatten() {
                self.summary.insert(format!("captioner.{label}.{split}.{metric}"), value.clone());
            }
        }
        // `val` where it is there: what a run is judged by before its end.
        let held_out = splits.iter().find(|split| *split == "val").or(splits.first());
        if let Some((split, held_out)) = held_out.and_then(|split| {
            let number = |name: &str| result["splits"][split][name].as_f64();
            let spread = (number("cider_d_high")? - number("cider_d_low")?) / 2.0;
            Some((split, HeldOut { step: self.global_step, score: number("cider_d")?, spread }))
        }) && let Some(alarm) = self.watch.evaluated(split, held_out)
        {
            self.raise(alarm)?;
        }
        let captions = result.get("captions").and_then(Value::as_array).into_iter().flatten();
        let captions = captions.filter_map(|c| c.as_str().map(str::to_owned)).collect();
        self.examples.retain(|(l, _)| l != label);
        self.examples.push((label.to_owned(), captions));
        Ok(result)
    }

    fn evaluate_now(&mut self, label: &str, splits: &[String]) -> Result<Value> {
        let mut all = Map::new();
        let mut shown = vec![];
        for name in splits {
            let split = self.world.split(name)?;
            let captions = self.captions(&split)?;
            if name == "val" || shown.is_empty() {
                let words = &self.world.data.vocabulary;
                shown = (0..captions.len().min(SAMPLES)).map(|i| words.decode(&captions.words(i))).collect();
            }
            let scores = self.world.scores(&captions, &split)?;
            let tagged: Vec<_> = scores.iter().map(|(n, v)| (format!("{name}/{n}"), *v)).collect();
            self.world.observe(|o| o.scalars(self.global_step, &tagged));
            self.world.note(&format!(
                "{label}: {name} CIDEr-D {:.3}, BLEU-4 {:.3}{}",
                scores.get("cider_d").unwrap_or(&0.0),
                scores.get("bleu_4").unwrap_or(&0.0),
                scores.get("truth").map_or(String::new(), |t| format!(", truth {t:.3}"))
            ));
            all.insert(name.clone(), json!(scores));
        }
        Ok(json!({ "splits": all, "captions": shown }))
    }

    fn captions(&mut self, split: &ekphrasis_data::Split) -> Result<Captions> {
        let world = self.world.clone();
        if self.evaluator.is_none() {
            self.evaluator = Some(Rollout::new(&world, &world.config.evaluation.policy, 1, true)?);
        }
        match &mut self.evaluator {
            Some(rollout) => evaluate::caption_split(&world, rollout, split),
            None => Ok(Captions::default()),
        }
    }

    /// The generator on a split as the scorer sees it, under `gan`.
    pub fn evaluate_gan(&mut self, split: &str) -> Result<Value> {
        let result = self.durable("evaluate_gan", json!({ "split": split }), |this| {
            let scores = evaluate::gan(&this.world, &*this.world.split(split)?)?;
            let tagged: Vec<_> = scores.iter().map(|(n, v)| (format!("gan/{n}"), *v)).collect();
            this.world.observe(|o| o.scalars(this.global_step, &tagged));
            let text: Vec<_> = scores.iter().map(|(n, v)| format!("{n} {v:.3}")).collect();
            this.world.note(&format!("gan: {}", text.join(", ")));
            Ok(json!(scores))
        })?;
        for (name, value) in result.as_object().into_iter().flatten() {
            self.summary.insert(format!("gan.{name}"), value.clone());
        }
        Ok(result)
    }

    /// Draws a sheet of samples: real pictures, pictures painted from their captions, captions so far.
    pub fn samples(&mut self, label: &str) -> Result<Value> {
        let result = self.durable("samples", json!({ "label": label }), |this| {
            let path = PathBuf::from("samples").join(format!("{label}.png"));
            let sheet = this.sheet()?;
            let full = this.folder.path().join(&path);
            if let Err(message) = this.world.observe(|o| o.sheet(this.global_step, &sheet, &full)) {
                this.world.note(&format!("{}: {message}", full.display()));
            }
            Ok(json!({ "path": path.display().to_string() }))
        })?;
        if let Some(path) = result.get("path") {
            self.summary.insert(format!("samples.{label}"), path.clone());
        }
        Ok(result)
    }

    fn sheet(&self) -> Result<SampleSheet> {
        let world = &self.world;
        let split = world.split("val").or_else(|_| world.split("train"))?;
        let n = split.len().min(SAMPLES);
        let (side, indices) = (world.sizes.image, (0..n).collect::<Vec<_>>());
        let each = 3 * side * side;
        let real = evaluate::pictures(&split, &indices)?.to_f32()?;
        let mut columns = vec!["picture".to_owned()];
        let mut painted = None;
        if world.models().contains_key(&Role::Generator) {
            columns.push("painted from its caption".to_owned());
            painted = evaluate::paint_split(world, &split)?.first().map(|t| t.to_f32()).transpose()?;
        }
        columns.push("captions".to_owned());
        let mut rows = vec![];
        for i in 0..n {
            let cut = |pixels: &[f32]| (side, evaluate::to_rgb(&pixels[i * each..], side));
            let mut pictures = vec![cut(&real)];
            pictures.extend(painted.as_ref().filter(|p| p.len() >= (i + 1) * each).map(|p| cut(p)));
            let mut captions =
                vec![("human".to_owned(), split.examples[i].captions.first().cloned().unwrap_or_default())];
            for (label, texts) in &self.examples {
                captions.extend(texts.get(i).map(|t| (label.replace('_', " "), t.clone())));
            }
            rows.push(SampleRow { pictures, captions });
        }
        Ok(SampleSheet { columns, rows })
    }

    /// Writes `summary.json` and gives it.
    pub fn finish(&mut self) -> Result<Value> {
        let mut flat = self.summary.clone();
        flat.insert("weights_blake3".into(), json!(checkpoint::hash(&self.world)?));
        flat.insert("peak_memory_bytes".into(), json!(ekphrasis_runtime::peak_memory_bytes()));
        flat.insert("seed".into(), json!(self.world.config.seed));
        for (phase, name, step) in self.watch.raised() {
            flat.insert(format!("alarms.{phase}.{name}"), json!(step));
        }
        let mut nested = Map::new();
        for (name, value) in flat {
            insert(&mut nested, &name, value);
        }
        let human = self.world.split("val").or_else(|_| self.world.split("train"))?;
        let shown = self.examples.first().map_or(0, |(_, c)| c.len());
        let rows: Vec<Value> = (0..shown)
            .map(|i| {
                let mut row = Map::new();
                row.insert("human".into(), json!(human.examples.get(i).and_then(|e| e.captions.first())));
                row.extend(self.examples.iter().map(|(l, c)| (l.clone(), json!(c.get(i)))));
                Value::Object(row)
            })
            .collect();
        nested.insert("examples".into(), Value::Array(rows));
        let value = Value::Object(nested);
        self.folder.write_json("summary.json", &value)?;
        self.world.observe(|o| o.flush());
        Ok(value)
    }
}

/// Puts a value at a dotted name.
fn insert(map: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(map.insert(name.to_owned(), value)),
        Some((head, rest)) => {
            let inner = map.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
