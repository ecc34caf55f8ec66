//! Bindings: tensors tied to the ports of a session, so that a run costs next to nothing.

use crate::{
    DeviceTensor, Port, Result, Session,
    error::checked,
    memory::{Claim, Memory},
};
use ort::{AsPointer, sys, value::DynTensor};
use std::{
    collections::HashMap,
    ptr::{self, NonNull},
    slice,
    sync::{Arc, PoisonError},
};

/// Tensors tied to the inputs and outputs of a session. What is bound is kept alive, and writing into
/// it is seen by the next run; binding a port again replaces what was there.
pub struct Binding {
    session: Session,
    raw: NonNull<sys::OrtIoBinding>,
    /// What is bound to each input, with the version of its memory that ONNX Runtime has seen.
    inputs: Vec<Option<(DeviceTensor, u64)>>,
    outputs: Vec<Option<DeviceTensor>>,
    /// Memories that a run reads or (`true`) writes, each once; valid while not `changed`.
    memories: Vec<(Arc<Memory>, bool)>,
    changed: bool,
    /// Whether outputs that nobody made room for hold the results of an earlier run.
    used: bool,
}

// SAFETY: ONNX Runtime's binding is plain data without ties to a thread; `&mut self` guards its use.
unsafe impl Send for Binding {}

impl Binding {
    pub(crate) fn new(session: &Session) -> Result<Self> {
        let inner = &session.0;
        let ort_session = inner.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = ptr::null_mut();
        // SAFETY: the session is alive, and stays so as long as the binding, which holds it.
        unsafe { checked((ort::api().CreateIoBinding)(ort_session.ptr().cast_mut(), &mut raw)) }
            .map_err(|e| inner.error("binding", &e))?;
        drop(ort_session);
        let raw =
            NonNull::new(raw).ok_or_else(|| inner.error("binding", &ort::Error::new("no binding made")))?;
        let (inputs, outputs) = (vec![None; inner.inputs.len()], vec![None; inner.outputs.len()]);
        let session = session.clone();
        let binding = Self { session, raw, inputs, outputs, memories: vec![], changed: true, used: false };
        // ONNX Runtime keeps outputs in the order in which they are first bound.
        binding.free_outputs()?;
        Ok(binding)
    }

    /// The session whose ports are bound.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ties an input to a tensor.
    ///
    /// # Errors
    /// [`RuntimeError::Port`](crate::RuntimeError::Port) for an unknown port, another element type or another shape.
    pub fn input(&mut self, name: &str, tensor: &DeviceTensor) -> Result<()> {
        let inner = &self.session.0;
        let i = inner.input(name)?;
        check(&self.session, "input", &inner.inputs[i], tensor)?;
        let version = tensor.memory().version();
        self.bind_input(i, tensor)?;
        self.inputs[i] = Some((tensor.clone(), version));
        self.changed = true;
        Ok(())
    }

    fn bind_input(&self, i: usize, tensor: &DeviceTensor) -> Result<()> {
        let inner = &self.session.0;
        let name = inner.inputs[i].c_name.as_ptr();
        // SAFETY: the binding, name and value are alive. The binding shares the value's memory, which
        // `self.inputs` keeps alive, or copies it to where the session wants it.
        unsafe { checked((ort::api().BindInput)(self.raw.as_ptr(), name, tensor.value().ptr())) }
            .map_err(|e| inner.error("binding an input", &e))
    }

    /// Ties an output to a tensor that takes its values at each run.
    ///
    /// # Errors
    /// [`RuntimeError::Port`](crate::RuntimeError::Port) for an unknown port, another element type or another shape.
    pub fn output(&mut self, name: &str, tensor: &DeviceTensor) -> Result<()> {
        let inner = &self.session.0;
        let i = inner.output(name)?;
        let port = &inner.outputs[i];
        check(&self.session, "output", port, tensor)?;
        let name = port.c_name.as_ptr();
        // SAFETY: the binding, name and value are alive; the memory stays so in `self.outputs`.
        unsafe { checked((ort::api().BindOutput)(self.raw.as_ptr(), name, tensor.value().ptr())) }
            .map_err(|e| inner.error("binding an output", &e))?;
        self.outputs[i] = Some(tensor.clone());
        self.changed = true;
        Ok(())
    }

    /// Runs the graph. Returns the outputs that nobody made room for, in order, with their names.
    ///
    /// # Errors
    /// [`RuntimeError::Port`](crate::RuntimeError::Port) when an input is not bound, when inputs disagree about a symbolic
    /// dimension, or when an output shares memory with another port;
    /// [`RuntimeError::Busy`](crate::RuntimeError::Busy) when a bound tensor is in use elsewhere;
    /// [`RuntimeError::Graph`](crate::RuntimeError::Graph) when ONNX Runtime fails.
    pub fn run(&mut self) -> Result<Vec<(String, DeviceTensor)>> {
        if self.changed {
            self.prepare()?;
        }
        self.renew_copies()?;
        if self.used {
            self.free_outputs()?;
        }
        self.used = true;
        let inner = &self.session.0;
        let _claim = Claim::new(&self.memories, || format!("running graph `{}`", inner.graph))?;
        let session = inner.session.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: session and binding are alive and held by this thread alone; the claim keeps others
        // from the memory that is read and written.
        unsafe {
            checked((ort::api().RunWithBinding)(session.ptr().cast_mut(), ptr::null(), self.raw.as_ptr()))
        }
        .map_err(|e| inner.error("running", &e))?;
        drop(session);
        if self.outputs.iter().all(Option::is_some) {
            return Ok(vec![]);
        }
        let mut taken: Vec<(String, DeviceTensor)> = vec![];
        for ((port, tied), value) in inner.outputs.iter().zip(&self.outputs).zip(self.take_outputs()?) {
            if tied.is_some() {
                continue;
            }
            let dims = value.shape().iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
            taken.push((port.name.clone(), DeviceTensor::adopt(value, port.dtype, dims)?));
        }
        Ok(taken)
    }

    /// Gives the outputs that nobody made room for fresh memory at the next run.
    fn free_outputs(&self) -> Result<()> {
        let inner = &self.session.0;
        for (port, _) in inner.outputs.iter().zip(&self.outputs).filter(|(_, tied)| tied.is_none()) {
            let (name, memory) = (port.c_name.as_ptr(), inner.memory.ptr());
            // SAFETY: the binding, name and memory description are alive.
            unsafe { checked((ort::api().BindOutputToDevice)(self.raw.as_ptr(), name, memory)) }
                .map_err(|e| inner.error("binding an output", &e))?;
        }
        Ok(())
    }

    /// All outputs of the run just done, in order.
    fn take_outputs(&self) -> Result<Vec<DynTensor>> {
        let inner = &self.session.0;
        let allocator = inner.allocator.lock().unwrap_or_else(PoisonError::into_inner);
        let list = ort::memory::Allocator::default();
        let (mut values, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the binding is alive; the list comes from `list`, which frees it below.
        unsafe {
            checked((ort::api().GetBoundOutputValues)(
                self.raw.as_ptr(),
                list.ptr().cast_mut(),
                &mut values,
                &mut count,
            ))
        }
        .map_err(|e| inner.error("taking outputs", &e))?;
        if values.is_null() {
            return Ok(vec![]);
        }
        // SAFETY: ONNX Runtime wrote `count` pointers, each to a value of its own that is now ours, all
        // of them tensors (`Port` admits nothing else).
        let tensors = unsafe { slice::from_raw_parts(values, count) }
            .iter()
            .filter_map(|value| NonNull::new(*value))
            .map(|value| unsafe { DynTensor::from_ptr(value, Some(&allocator)) })
            .collect();
        // SAFETY: the list came from this allocator.
        unsafe { list.free(values) };
        Ok(tensors)
    }

    /// On a device, ONNX Runtime holds copies of inputs that live elsewhere: renews those that changed.
    fn renew_copies(&mut self) -> Result<()> {
        if self.session.0.on_host {
            return Ok(());
        }
        for i in 0..self.inputs.len() {
            let Some((tensor, seen)) = &self.inputs[i] else { continue };
            let version = tensor.memory().version();
            if version != *seen {
                let tensor = tensor.clone();
                self.bind_input(i, &tensor)?;
                self.inputs[i] = Some((tensor, version));
            }
        }
        Ok(())
    }

    /// Checks what is bound as a whole, and lists the memories that a run will claim.
    fn prepare(&mut self) -> Result<()> {
        let inner = &self.session.0;
        let mut sizes: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut ranges = vec![];
        self.memories.clear();
        for (port, tied) in inner.inputs.iter().zip(&self.inputs) {
            let Some((tensor, _)) = tied else {
                return Err(inner.port_error("input", &port.name, port.describe(), "nothing bound".into()));
            };
            for (axis, size) in tensor.dims().iter().enumerate() {
                let Some(symbol) = port.symbol(axis) else { continue };
                let (known, by) = *sizes.entry(symbol).or_insert((*size, &port.name));
                if known != *size {
                    let expected = format!("{} with {symbol} = {known} as in `{by}`", port.describe());
                    return Err(inner.port_error("input", &port.name, expected, tensor.describe()));
                }
            }
            ranges.push((tensor.range(), false, port.name.as_str()));
            self.memories.push((tensor.memory().clone(), false));
        }
        for (port, tied) in inner.outputs.iter().zip(&self.outputs) {
            let Some(tensor) = tied else { continue };
            ranges.push((tensor.range(), true, port.name.as_str()));
            self.memories.push((tensor.memory().clone(), true));
        }
        if let Some((output, other)) = overlap(ranges) {
            // ONNX Runtime plans memory as if no output were an input.
            let found = format!("the memory of `{other}`");
            return Err(inner.port_error("output", output, "memory of its own".into(), found));
        }
        // Each memory once, written if any port writes it.
        self.memories.sort_by_key(|(memory, write)| (Arc::as_ptr(memory), !write));
        self.memories.dedup_by(|a, b| Arc::ptr_eq(&a.0, &b.0));
        self.changed = false;
        Ok(())
    }
}

/// First and last address, whether it is an output, and the name of the port.
type Range<'a> = ((usize, usize), bool, &'a str);

/// An output whose memory overlaps that of another port, and that port.
fn overlap(mut ranges: Vec<Range<'_>>) -> Option<(&str, &str)> {
    ranges.retain(|((start, end), ..)| start < end);
    ranges.sort_unstable();
    ranges.iter().enumerate().find_map(|(i, ((_, end), output, name))| {
        let beside = ranges.get(i + 1..)?.iter().take_while(|((start, _), ..)| start < end);
        let (_, second_output, second) = beside.into_iter().find(|(_, other, _)| *output || *other)?;
        Some(if *second_output { (*second, *name) } else { (*name, *second) })
    })
}

fn check(session: &Session, side: &'static str, port: &Port, tensor: &DeviceTensor) -> Result<()> {
    if port.accepts(tensor) {
        return Ok(());
    }
    Err(session.0.port_error(side, &port.name, port.describe(), tensor.describe()))
}

impl Drop for Binding {
    fn drop(&mut self) {
        // SAFETY: made in `new`, released once.
        unsafe { (ort::api().ReleaseIoBinding)(self.raw.as_ptr()) };
    }
}
