//! Bindings: tensors tied to the ports of a session, so that a run costs next to nothing.

use crate::{
    DeviceTensor, Port, Result, Session,
    error::checked,
    memory::{Claim, Memory},
    runtime,
};
use ort::{AsPointer, session::RunOptions, sys, value::DynTensor};
use std::{
    collections::HashMap,
    ptr::{self, NonNull},
    slice,
    sync::{Arc, PoisonError},
};

/// The number by which ONNX Runtime neither captures nor replays.
const NO_GRAPH: i64 = -1;

/// What a binding does that is captured; the words tell how to do without.
const CAPTURED: &str = "running as a CUDA graph (`enable_cuda_graph = 0` for the provider does without)";

/// Tensors tied to the inputs and outputs of a session. What is bound is kept alive, and writing into
/// it is seen by the next run; binding a port again replaces what was there.
pub struct Binding {
    session: Session,
    raw: NonNull<sys::OrtIoBinding>,
    inputs: Vec<Option<Tied>>,
    outputs: Vec<Option<Tied>>,
    /// Memories that a run reads or (`true`) writes, each once; valid while not `changed`.
    memories: Vec<(Arc<Memory>, bool)>,
    changed: bool,
    /// Whether an address has changed since the last run.
    moved: bool,
    /// Where the session captures CUDA graphs: tells ONNX Runtime the number of this binding's, or that it has none.
    options: Option<RunOptions>,
    captured: bool,
    /// Whether outputs that nobody made room for hold the results of an earlier run.
    used: bool,
}

/// A tensor tied to a port.
struct Tied {
    tensor: DeviceTensor,
    /// Its double where the session computes, if the tensor itself lies on the host and the session does not. It stays
    /// where it is, as a captured graph demands.
    double: Option<DeviceTensor>,
    /// The version of an input's memory that its double has.
    seen: Option<u64>,
}

impl Tied {
    /// What ONNX Runtime gets to see.
    fn place(&self) -> &DeviceTensor {
        self.double.as_ref().unwrap_or(&self.tensor)
    }

    /// Whether ONNX Runtime would not see a difference.
    fn at_place_of(&self, other: &Self) -> bool {
        let (a, b) = (self.place(), other.place());
        (a.range(), a.dims(), a.dtype()) == (b.range(), b.dims(), b.dtype())
    }
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
        let nothing = |ports: &[Port]| ports.iter().map(|_| None).collect();
        let binding = Self {
            session: session.clone(),
            raw,
            inputs: nothing(&inner.inputs),
            outputs: nothing(&inner.outputs),
            memories: vec![],
            changed: true,
            moved: true,
            options: None,
            captured: false,
            used: false,
        };
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
        let tied = self.tie(tensor, self.inputs[i].as_ref())?;
        if self.inputs[i].as_ref().is_none_or(|old| !tied.at_place_of(old)) {
            let name = inner.inputs[i].c_name.as_ptr();
            // SAFETY: the binding, name and value are alive. The binding shares the value's memory, which
            // `self.inputs` keeps alive.
            unsafe { checked((ort::api().BindInput)(self.raw.as_ptr(), name, tied.place().value().ptr())) }
                .map_err(|e| inner.error("binding an input", &e))?;
            self.moved = true;
        }
        self.inputs[i] = Some(tied);
        self.changed = true;
        Ok(())
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
        let tied = self.tie(tensor, self.outputs[i].as_ref())?;
        if self.outputs[i].as_ref().is_none_or(|old| !tied.at_place_of(old)) {
            let name = port.c_name.as_ptr();
            // SAFETY: the binding, name and value are alive; the memory stays so in `self.outputs`.
            unsafe { checked((ort::api().BindOutput)(self.raw.as_ptr(), name, tied.place().value().ptr())) }
                .map_err(|e| inner.error("binding an output", &e))?;
            self.moved = true;
        }
        self.outputs[i] = Some(tied);
        self.changed = true;
        Ok(())
    }

    /// A tensor for a port, with a double where one is needed: the old one if it fits.
    fn tie(&self, tensor: &DeviceTensor, old: Option<&Tied>) -> Result<Tied> {
        let mut double = None;
        if !self.session.0.on_host && tensor.is_on_host() {
            let fits = |d: &&DeviceTensor| (d.dtype(), d.dims()) == (tensor.dtype(), tensor.dims());
            double = match old.and_then(|old| old.double.as_ref()).filter(fits) {
                Some(old) => Some(old.clone()),
                None => Some(runtime::started()?.zeros(tensor.dtype(), tensor.dims())?),
            };
        }
        Ok(Tied { tensor: tensor.clone(), double, seen: None })
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
        self.renew_doubles()?;
        if self.used {
            self.free_outputs()?;
        }
        self.used = true;
        self.choose_graph()?;
        let inner = &self.session.0;
        let claim = Claim::new(&self.memories, || format!("running graph `{}`", inner.graph))?;
        let session = inner.session.lock().unwrap_or_else(PoisonError::into_inner);
        let options = self.options.as_ref().map_or(ptr::null(), AsPointer::ptr);
        // SAFETY: session, options and binding are alive and held by this thread alone; the claim keeps
        // others from the memory that is read and written.
        unsafe { checked((ort::api().RunWithBinding)(session.ptr().cast_mut(), options, self.raw.as_ptr())) }
            .map_err(|e| inner.error(if self.captured { CAPTURED } else { "running" }, &e))?;
        drop(session);
        drop(claim);
        self.moved = false;
        for tied in self.outputs.iter().flatten() {
            if let Some(double) = &tied.double {
                tied.tensor.copy_from(double)?;
            }
        }
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

    /// Brings the doubles of inputs up to date.
    fn renew_doubles(&mut self) -> Result<()> {
        for tied in self.inputs.iter_mut().flatten() {
            let version = tied.tensor.memory().version();
            if let Some(double) = tied.double.as_ref().filter(|_| tied.seen != Some(version)) {
                double.copy_from(&tied.tensor)?;
                tied.seen = Some(version);
            }
        }
        Ok(())
    }

    /// Where the session captures: a CUDA graph of its own for a binding that has not changed since its last run, for
    /// a graph keeps the addresses that it was captured with.
    fn choose_graph(&mut self) -> Result<()> {
        let inner = &self.session.0;
        let still = !self.moved && self.outputs.iter().all(Option::is_some);
        if !inner.captures || (self.options.is_some() && self.captured == still) {
            return Ok(());
        }
        self.captured = still;
        let number = if self.captured { inner.next_graph() } else { NO_GRAPH };
        let mut options = RunOptions::new().map_err(|e| inner.error("running", &e))?;
        options.set("gpu_graph_id", number.to_string()).map_err(|e| inner.error("running", &e))?;
        self.options = Some(options);
        Ok(())
    }

    /// Checks what is bound as a whole, and lists the memories that a run will claim.
    fn prepare(&mut self) -> Result<()> {
        let inner = &self.session.0;
        let mut sizes: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut ranges = vec![];
        self.memories.clear();
        for (port, tied) in inner.inputs.iter().zip(&self.inputs) {
            let Some(Tied { tensor, .. }) = tied else {
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
            let Some(Tied { tensor, .. }) = tied else { continue };
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
