//! The weights of a role on the device: two buffers that swap roles at each step.

use crate::{Model, Result, Role, TrainError};
use ekphrasis_graph::Tensor;
use ekphrasis_runtime::{Arena, DeviceTensor, Runtime, Slot};
use std::{collections::BTreeMap, sync::Arc};

/// Two arenas of one layout: steps read the current one and write the other, then they swap.
pub struct Double {
    arenas: [Arena; 2],
    now: usize,
}

impl Double {
    /// Both hold `values`.
    pub fn new(runtime: &Runtime, values: &BTreeMap<String, Arc<Tensor>>) -> Result<Self> {
        let layout: Vec<_> = values.iter().map(|(n, t)| (n.clone(), t.dims().to_vec())).collect();
        let double = Self { arenas: [Arena::new(runtime, &layout)?, Arena::new(runtime, &layout)?], now: 0 };
        double.set(values)?;
        Ok(double)
    }

    /// What steps read.
    pub fn current(&self) -> &Arena {
        &self.arenas[self.now]
    }

    /// What steps write.
    pub fn next(&self) -> &Arena {
        &self.arenas[1 - self.now]
    }

    /// Makes what was written current.
    pub fn swap(&mut self) {
        self.now = 1 - self.now;
    }

    /// Which of the two is current.
    pub fn parity(&self) -> u8 {
        self.now as u8
    }

    /// Sets the current values by name; tensors that are not named keep theirs.
    pub fn set(&self, values: &BTreeMap<String, Arc<Tensor>>) -> Result<()> {
        let mut flat = self.current().read()?;
        for Slot { name, offset, dims } in self.current().offsets() {
            let Some(tensor) = values.get(name) else { continue };
            let found = tensor.to_f32().filter(|_| tensor.dims() == dims.as_slice());
            let data = found.ok_or_else(|| {
                TrainError::config(
                    name.clone(),
                    format!("expected f32{dims:?}, found {}{:?}", tensor.dtype(), tensor.dims()),
                )
            })?;
            flat[*offset..offset + data.len()].copy_from_slice(&data);
        }
        Ok(self.current().write(&flat)?)
    }

    /// The current values by name.
    pub fn get(&self) -> Result<BTreeMap<String, Arc<Tensor>>> {
        let flat = self.current().read()?;
        let mut values = BTreeMap::new();
        for Slot { name, offset, dims } in self.current().offsets() {
            let len: usize = dims.iter().product();
            values.insert(name.clone(), Arc::new(Tensor::from_f32(dims, &flat[*offset..offset + len])?));
        }
        Ok(values)
    }
}

/// All weights of a role.
pub struct Weights {
    /// What trains.
    pub trainable: Double,
    /// Running statistics, if the model has any.
    pub states: Option<Double>,
    /// Moving average of what trains, if an optimiser keeps one.
    pub average: Option<Double>,
}

impl Weights {
    /// The initial weights of a model.
    pub fn new(runtime: &Runtime, model: &Model) -> Result<Self> {
        let states = match model.states.is_empty() {
            true => None,
            false => Some(Double::new(runtime, &model.states)?),
        };
        Ok(Self { trainable: Double::new(runtime, &model.trainable)?, states, average: None })
    }

    /// Starts a moving average at the current weights, unless there is one.
    pub fn keep_average(&mut self, runtime: &Runtime) -> Result<()> {
        if self.average.is_none() {
            self.average = Some(Double::new(runtime, &self.trainable.get()?)?);
        }
        Ok(())
    }

    /// What evaluation uses: the moving average where there is one.
    pub fn evaluated(&self) -> &Double {
        self.average.as_ref().unwrap_or(&self.trainable)
    }

    /// A parameter or statistic on the device; `averaged` prefers the moving average.
    pub fn view(&self, name: &str, averaged: bool) -> Option<&DeviceTensor> {
        let weights = if averaged { self.evaluated() } else { &self.trainable };
        weights.current().view(name).or_else(|| self.states.as_ref()?.current().view(name))
    }

    /// Which buffers are current, as a key for bindings.
    pub fn parity(&self, averaged: bool) -> [u8; 2] {
        let weights = match (averaged, &self.average) {
            (true, Some(average)) => 2 + average.parity(),
            _ => self.trainable.parity(),
        };
        [weights, self.states.as_ref().map_or(0, Double::parity)]
    }

    /// Everything by name, statistics included, as evaluation uses it.
    pub fn values(&self) -> Result<BTreeMap<String, Arc<Tensor>>> {
        let mut values = self.evaluated().get()?;
        if let Some(states) = &self.states {
            values.append(&mut states.get()?);
        }
        Ok(values)
    }
}

/// The weights of all roles of a run.
pub type AllWeights = BTreeMap<Role, Weights>;
