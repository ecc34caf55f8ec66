//! One phase: batches, rollouts, rewards, updates.

use crate::{
    Baseline, Captions, Phase, Precision, Result, Role, TrainError, World,
    baseline::{MovingAverage, advantages},
    checkpoint::{OptimizerTensors, PhasePosition},
    noise, parameters,
    reward::{self, RewardBatch, Source},
    rollout::Rollout,
    step::{self, Feed, OptimizerState, Step, Update},
};
use ekphrasis_data::{Batch, BatchPlan, Length, Prefetcher, Split, Vocabulary};
use ekphrasis_runtime::DeviceTensor;
use ekphrasis_script::Kind;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

/// How many batches are made ahead.
const AHEAD: usize = 4;

/// A loss of a phase that updates one role, every so many steps.
struct Scheduled {
    step: Step,
    every: u64,
    /// Prefix of its metrics, empty where there is one update only.
    prefix: String,
}

/// A phase that is ready to run, with its optimisers.
pub struct PhaseRun {
    world: Rc<World>,
    name: String,
    phase: Phase,
    split: Arc<Split>,
    updates: Vec<Scheduled>,
    optimizers: BTreeMap<Role, OptimizerState>,
    batches: Prefetcher,
    /// Samples captions for rewards.
    sampler: Option<Rollout>,
    /// Writes the greedy captions of the self-critical baseline.
    greedy: Option<Rollout>,
    /// Samples the captions that replace real ones.
    writer: Option<Rollout>,
    average: MovingAverage,
    /// Steps made, over all calls.
    pub done: u64,
    /// Batches made: the number by which random streams are drawn from.
    draw: u64,
}

impl PhaseRun {
    /// Builds the steps of a phase, at the position where it stood.
    pub fn new(
        world: &Rc<World>,
        name: &str,
        phase: &Phase,
        position: &PhasePosition,
        tensors: &OptimizerTensors,
    ) -> Result<Self> {
        let samples = phase.rollout.as_ref().map_or(1, |r| r.samples);
        let (script, params) = world.chosen(Kind::Loss, &phase.loss)?;
        let losses = script.updates()?;
        let several = losses.len() > 1;
        let (mut updates, mut optimizers) = (vec![], BTreeMap::new());
        let roles = losses.iter().map(|loss| role_of(phase, &loss.role)).collect::<Result<Vec<_>>>()?;
        let mut trained = vec![];
        for role in roles.iter().copied().collect::<BTreeSet<_>>() {
            trained.push((role, world.model(role)?.trainable.keys().cloned().collect()));
        }
        parameters::check(name, phase, &trained)?;
        parameters::check_layers(name, phase, world.models())?;
        step::check_precision(world, name, phase.precision)?;
        for (loss, role) in losses.iter().zip(roles) {
            let optimizer = phase.optimizers.get(&role).unwrap_or(&phase.optimizer);
            if step::needs_average(
                optimizer,
                world.weights.borrow().get(&role).and_then(|w| w.average.as_ref()),
            ) {
                world.keep_average(role)?;
            }
            let label = format!("{} {}", phase.loss.script, loss.name);
            let update = Update {
                role,
                name: label.trim(),
                script: &script,
                function: &loss.function,
                params: &params,
                mode: phase.mode,
                batch: phase.batch,
                samples,
                accumulate: phase.accumulate,
                precision: phase.precision,
                loss_scale: phase.loss_scale,
                recompute: &phase.recompute,
            };
            let step = Step::build(world, &update, optimizer)?;
            if let std::collections::btree_map::Entry::Vacant(entry) = optimizers.entry(role) {
                let len = world.weights.borrow()[&role].trainable.current().len_padded();
                let scale = (phase.precision == Precision::Float16).then_some(phase.loss_scale);
                let mut state = OptimizerState::new(&world.runtime, &step::spec(optimizer), len, scale)?;
                let own = tensors.iter().filter(|((p, r, _), _)| p == name && *r == role);
                let saved: BTreeMap<String, Vec<f32>> =
                    own.map(|((_, _, n), v)| (n.clone(), v.clone())).collect();
                if let Some(updates) = position.updates.get(&role) {
                    state.set(&saved, *updates)?;
                }
                entry.insert(state);
            }
            let prefix = if several { format!("{}.", loss.name) } else { String::new() };
            updates.push(Scheduled { step, every: loss.every.max(1), prefix });
        }
        let fields: BTreeSet<&str> =
            updates.iter().flat_map(|u| u.step.fields.iter().map(String::as_str)).collect();
        let sampled = fields.contains("sampled") || fields.contains("advantage");
        let (mut sampler, mut greedy) = (None, None);
        if let (true, Some(rollout)) = (sampled, &phase.rollout) {
            sampler = Some(Rollout::new(world, &rollout.policy, rollout.samples, false)?);
            if rollout.baseline == Baseline::Greedy {
                greedy = Some(Rollout::new(world, &world.config.evaluation.policy, 1, false)?);
            }
        } else if sampled {
            let message = format!(
                "the loss `{}` needs sampled captions\nhint: add a `rollout` table to this phase",
                phase.loss.script
            );
            return Err(TrainError::config(format!("phases.{name}.rollout"), message));
        }
        let writer = match (phase.sampled_captions > 0.0, &phase.rollout) {
            (false, _) => None,
            (true, Some(rollout)) => Some(Rollout::new(world, &rollout.policy, 1, false)?),
            (true, None) => Some(Rollout::new(world, &world.config.evaluation.policy, 1, false)?),
        };
        let split = world.split(&phase.split)?;
        let plan = BatchPlan::new(&split, phase.batch, world.config.seed, name)?
            .with_shift(phase.shift)
            .with_buckets(phase.buckets);
        let longest = world.sizes.max_length;
        let length = if world.fixed_length() { Length::Fixed(longest) } else { Length::Longest(longest) };
        let first = position.done * phase.accumulate as u64;
        let batches = Prefetcher::new(split.clone(), plan, length, first, 1, AHEAD)?;
        Ok(Self {
            world: world.clone(),
            name: name.into(),
            phase: phase.clone(),
            split,
            updates,
            optimizers,
            batches,
            sampler,
            greedy,
            writer,
            average: position.average,
            done: position.done,
            draw: first,
        })
    }

    /// Where it stands, for a checkpoint.
    pub fn position(&self) -> PhasePosition {
        let updates = self.optimizers.iter().map(|(r, s)| (*r, s.updates)).collect();
        PhasePosition { done: self.done, updates, average: self.average, totals: BTreeMap::new() }
    }

    /// The vectors of its optimisers, for a checkpoint.
    pub fn tensors(&self) -> Result<OptimizerTensors> {
        let mut all = OptimizerTensors::new();
        for (role, state) in &self.optimizers {
            for (name, values) in state.get()? {
                all.insert((self.name.clone(), *role, name), values);
            }
        }
        Ok(all)
    }

    /// Makes one step; gives what is worth recording.
    pub fn step(&mut self, total: u64) -> Result<Vec<(String, f64)>> {
        let (name, step) = (self.name.clone(), self.done + 1);
        self.make_step(total).map_err(|e| match e {
            TrainError::Script(e) => {
                TrainError::Script(e.with_context(format!("phase `{name}`, step {step}")))
            }
            other => other,
        })
    }

    fn make_step(&mut self, total: u64) -> Result<Vec<(String, f64)>> {
        let world = self.world.clone();
        let first = self.draw;
        let (mut feeds, mut all) = (vec![], vec![]);
        for _ in 0..self.phase.accumulate {
            let batch = self.batches.next()?;
            let mut feed = self.feed(&batch)?;
            let sources = self.repaint(&batch, &mut feed)?;
            self.rewrite(&batch, &mut feed)?;
            let mut values = vec![];
            self.reinforce(&sources, &mut feed, &mut values)?;
            feeds.push((feed, batch.indices.len()));
            all.push(values);
            self.draw += 1;
        }
        let mut values = merged(all);
        let (mut feeds, rows): (Vec<Feed>, Vec<usize>) = feeds.into_iter().unzip();
        let start = Instant::now();
        let horizon = self.phase.horizon.unwrap_or(total).max(1);
        for (i, update) in self.updates.iter_mut().enumerate() {
            if !self.done.is_multiple_of(update.every) {
                continue;
            }
            let role = update.step.role();
            let optimizer = self.phase.optimizers.get(&role).unwrap_or(&self.phase.optimizer);
            let rate = optimizer.rate(self.done, horizon);
            if update.step.fields.iter().any(|f| f == "noise") {
                for ((feed, rows), draw) in feeds.iter_mut().zip(&rows).zip(first..) {
                    let noise = painting_noise(&world, &format!("{}/{i}", self.name), draw, *rows)?;
                    feed.insert("noise".into(), noise);
                }
            }
            let Some(state) = self.optimizers.get_mut(&role) else { continue };
            let report = update.step.run(&world, state, &feeds, rate)?;
            for (metric, value) in update.step.metrics.iter().zip(report) {
                if !value.is_finite() {
                    let message = format!(
                        "`{}{metric}` is {value}; the weights before this step are in the last checkpoint\n\
                         hint: a lower learning rate, or clip_norm, keeps it finite",
                        update.prefix
                    );
                    return Err(TrainError::Step { phase: self.name.clone(), step: self.done + 1, message });
                }
                values.push((format!("{}{metric}", update.prefix), f64::from(value)));
            }
            if i == 0 {
                values.push(("learning_rate".into(), rate));
            }
        }
        values.push(("milliseconds.update".into(), start.elapsed().as_secs_f64() * 1e3));
        self.done += 1;
        Ok(values)
    }

    /// The batch as tensors.
    fn feed(&self, batch: &Batch) -> Result<Feed> {
        let mut feed = BTreeMap::new();
        let image = batch
            .image
            .as_slice()
            .map(<[f32]>::to_vec)
            .unwrap_or_else(|| batch.image.iter().copied().collect());
        feed.insert("image".to_owned(), DeviceTensor::from_f32(batch.image.shape(), image)?);
        let tokens = batch.tokens.iter().copied().collect();
        feed.insert("tokens".to_owned(), DeviceTensor::from_i64(batch.tokens.shape(), tokens)?);
        let seed = self.world.config.seed;
        let uniform = noise::uniform(seed, &format!("{}/uniform", self.name), self.draw, batch.indices.len());
        feed.insert("uniform".to_owned(), DeviceTensor::from_f32(&[batch.indices.len()], uniform)?);
        Ok(feed)
    }

    /// Lets the generator paint the first rows of the batch, from their own captions.
    fn repaint(&mut self, batch: &Batch, feed: &mut Feed) -> Result<Vec<Source>> {
        let real = |i: &usize| Source { index: *i, painted_from: None };
        let mut sources: Vec<Source> = batch.indices.iter().map(real).collect();
        let count = share(self.phase.generated_pictures, sources.len());
        if count == 0 {
            return Ok(sources);
        }
        let width = batch.tokens.shape()[1];
        let tokens: Vec<i64> = batch.tokens.iter().take(count * width).copied().collect();
        let noise = painting_noise(&self.world, &format!("{}/paint", self.name), self.draw, count)?;
        let inputs = [
            ("noise".to_owned(), noise),
            ("tokens".to_owned(), DeviceTensor::from_i64(&[count, width], tokens)?),
        ];
        let painted = self.world.forward(Role::Generator, "generate", &inputs.into())?;
        let mut painted =
            painted.first().ok_or_else(|| TrainError::model("generator", "it gave no picture"))?.to_f32()?;
        if let Some(image) = feed.get_mut("image") {
            painted.extend_from_slice(&image.to_f32()?[painted.len()..]);
            *image = DeviceTensor::from_f32(image.dims(), painted)?;
        }
        for (source, caption) in sources.iter_mut().zip(&batch.caption_index).take(count) {
            source.painted_from = Some(*caption);
        }
        Ok(sources)
    }

    /// Lets the captioner write the captions of the first rows, for their own pictures.
    fn rewrite(&mut self, batch: &Batch, feed: &mut Feed) -> Result<()> {
        let count = share(self.phase.sampled_captions, batch.indices.len());
        let Some(writer) = self.writer.as_mut().filter(|_| count > 0) else { return Ok(()) };
        let Some(image) = feed.get("image") else { return Ok(()) };
        let each: usize = image.dims().iter().skip(1).product();
        let pixels = image.with_f32(|p| p[..count * each].to_vec())?;
        let mut dims = image.dims().to_vec();
        dims[0] = count;
        let (seed, step, stream) = (self.world.config.seed, self.draw, format!("{}/write", self.name));
        let captions = writer.run(&self.world, &DeviceTensor::from_f32(&dims, pixels)?, |t, n| {
            noise::uniform(seed, &format!("{stream}/{t}"), step, n)
        })?;
        let width = batch.tokens.shape()[1].max(captions.longest());
        let mut rows: Vec<Vec<i64>> = captions.rows().to_vec();
        rows.extend(batch.tokens.rows().into_iter().skip(count).map(|r| r.to_vec()));
        feed.insert("tokens".into(), Captions::new(rows).tensor(width)?);
        Ok(())
    }

    /// Samples captions, scores them, and adds `sampled` and `advantage`.
    fn reinforce(
        &mut self,
        sources: &[Source],
        feed: &mut Feed,
        values: &mut Vec<(String, f64)>,
    ) -> Result<()> {
        let (Some(rollout), Some(sampler)) = (&self.phase.rollout, &mut self.sampler) else { return Ok(()) };
        let Some(image) = feed.get("image").cloned() else { return Ok(()) };
        let world = &self.world;
        let (seed, step, stream) = (world.config.seed, self.draw, format!("{}/sample", self.name));
        let start = Instant::now();
        let captions =
            sampler.run(world, &image, |t, n| noise::uniform(seed, &format!("{stream}/{t}"), step, n))?;
        let greedy = match &mut self.greedy {
            Some(greedy) => Some(greedy.run(world, &image, |_, n| vec![0.0; n])?),
            None => None,
        };
        values.push(("milliseconds.rollout".into(), start.elapsed().as_secs_f64() * 1e3));
        let start = Instant::now();
        let score = |captions: Captions| {
            let batch =
                RewardBatch::new(world, &self.split, captions, image.clone(), sources.to_vec(), self.done);
            reward::score(batch, &rollout.reward)
        };
        let scored = score(captions.clone())?;
        let base = match greedy {
            Some(greedy) => score(greedy)?.rewards,
            None => vec![],
        };
        let advantage =
            advantages(rollout.baseline, &scored.rewards, rollout.samples, &base, &mut self.average);
        values.push(("milliseconds.reward".into(), start.elapsed().as_secs_f64() * 1e3));
        let mean = |v: &[f32]| v.iter().map(|x| f64::from(*x)).sum::<f64>() / v.len().max(1) as f64;
        values.push(("reward".into(), mean(&scored.rewards)));
        if !base.is_empty() {
            values.push(("reward.greedy".into(), mean(&base)));
        }
        let words =
            captions.rows().iter().map(|r| r.iter().filter(|t| **t != i64::from(Vocabulary::EOS)).count());
        values.push(("length".into(), words.sum::<usize>() as f64 / captions.len().max(1) as f64));
        values.extend(
            world.scoring.flaws(&captions).map(|(flaw, share)| (format!("quality.{}", flaw.name()), share)),
        );
        values.extend(scored.parts);
        let width = if world.fixed_length() { world.sizes.max_length } else { captions.longest() };
        feed.insert("sampled".into(), captions.tensor(width)?);
        feed.insert("advantage".into(), DeviceTensor::from_f32(&[advantage.len()], advantage)?);
        Ok(())
    }
}

/// What the batches of a step tell, as one: times add up, all else is a mean.
fn merged(all: Vec<Vec<(String, f64)>>) -> Vec<(String, f64)> {
    let share = 1.0 / all.len().max(1) as f64;
    let mut merged: Vec<(String, f64)> = vec![];
    for (name, value) in all.into_iter().flatten() {
        let value = if name.starts_with("milliseconds.") { value } else { value * share };
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += value,
            None => merged.push((name, value)),
        }
    }
    merged
}

/// The role that a loss names.
fn role_of(phase: &Phase, name: &str) -> Result<Role> {
    Role::from_name(name).ok_or_else(|| {
        let hint = crate::error::suggestion(name, Role::ALL.map(Role::name));
        let message = format!("unknown role `{name}`\n{hint}");
        TrainError::config(format!("loss {}", phase.loss.script), message)
    })
}

/// How many rows a share of them is.
fn share(share: f64, rows: usize) -> usize {
    ((share * rows as f64).round() as usize).min(rows)
}

/// Noise for the generator, f32[n, Z].
fn painting_noise(world: &World, stream: &str, step: u64, n: usize) -> Result<DeviceTensor> {
    let z = world.noise_size()?;
    Ok(DeviceTensor::from_f32(&[n, z], noise::normal(world.config.seed, stream, step, n * z))?)
}
