//! Sessions: a graph made ready to run.

use crate::{Binding, DeviceTensor, Port, Result, Runtime, RuntimeError, error::ort, fused, provider};
use ort::{
    memory::{Allocator, MemoryInfo},
    session::{
        Session as OrtSession,
        builder::{BuilderResult, SessionBuilder},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

/// How a session treats its graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Asks for kernels that give the same bits each time, where a provider has a choice. On by default.
    pub deterministic: bool,
    /// Refuses a graph of which a node would run on the CPU though another provider comes first.
    pub disable_cpu_fallback: bool,
    /// Where only the CPU computes, puts products of our own in the place of convolutions, their gradients and the
    /// weight gradients of linear layers, which is faster. On by default; the results differ in rounding.
    pub products: bool,
    /// Puts operators of our own in the place of elementwise arithmetic and, where only the CPU computes, of transposes
    /// and the gradients of max pooling and embeddings; on CUDA of sums. On by default; the results are the same but for the rounding of sums and transcendental functions on CUDA.
    pub fused: bool,
    /// On CUDA, replays runs of a [`Binding`] that stays as it is as one CUDA graph, which saves launching each kernel
    /// by itself. Outputs that nobody made room for then lie on the host. Off by default; where ONNX Runtime cannot
    /// capture a graph, as with a node on the CPU, or the provider's option `enable_cuda_graph` is 0, nothing happens.
    pub capture: bool,
    /// Writes a profile to a file that starts with this path; see [`Session::end_profile`].
    pub profile: Option<PathBuf>,
    /// Optimizers to leave out, by ONNX Runtime's names, as `CommonSubexpressionElimination`.
    pub disabled_optimizers: Vec<String>,
    /// Sizes of symbolic dimensions that stay the same, by name: more can be planned ahead.
    pub dimensions: BTreeMap<String, usize>,
    /// Other settings of ONNX Runtime's, as `session.use_env_allocators = "0"`.
    pub entries: BTreeMap<String, String>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            deterministic: true,
            disable_cpu_fallback: false,
            products: true,
            fused: true,
            capture: false,
            profile: None,
            disabled_optimizers: vec![],
            dimensions: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }
}

/// A graph made ready to run. Clones are the same session; runs of one session wait for each other.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub graph: String,
    /// Held while the session runs: not all providers stand two runs at once.
    pub session: Mutex<OrtSession>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    input_index: HashMap<String, usize>,
    output_index: HashMap<String, usize>,
    /// Where outputs are left that nobody made room for.
    pub memory: MemoryInfo<'static>,
    pub on_host: bool,
    /// Whether bindings that stay as they are become CUDA graphs.
    pub captures: bool,
    /// Why not, where it was asked for.
    uncaptured: Option<String>,
    /// CUDA graphs asked for so far.
    graphs: AtomicI64,
    /// The allocator of those outputs.
    pub allocator: Mutex<Allocator>,
}

impl Session {
    pub(crate) fn new(
        runtime: &Runtime,
        graph: &str,
        model: &[u8],
        options: &SessionOptions,
    ) -> Result<Self> {
        let failed = |e: ort::Error| RuntimeError::Graph {
            graph: graph.into(),
            action: "making a session",
            message: e.message().trim().to_owned(),
        };
        let make = |captures| {
            let mut known = DOMAIN_KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            let made = || build(runtime, options, captures)?.commit_from_memory(model);
            if *known {
                drop(known);
                return made();
            }
            let made = made();
            *known = made.is_ok();
            made
        };
        let (mut captured, mut uncaptured) = (None, None);
        if options.capture && runtime.providers().capture {
            match make(true) {
                Ok(session) => captured = Some(session),
                Err(e) => uncaptured = Some(e.message().trim().to_owned()),
            }
        }
        let captures = captured.is_some();
        let session = captured.map_or_else(|| make(false), Ok).map_err(failed)?;
        let ports = |side, outlets: &[ort::value::Outlet]| {
            outlets.iter().map(|o| Port::new(graph, side, o)).collect::<Result<Vec<_>>>()
        };
        let inputs = ports("input", session.inputs())?;
        let outputs = ports("output", session.outputs())?;
        if let Some(port) = outputs.iter().find(|o| inputs.iter().any(|i| i.name == o.name)) {
            // ONNX Runtime hands such an input on as it is, and leaves a tensor bound to the output as it was.
            let (expected, found) = ("a node that makes it".into(), "an input of that name".into());
            let (graph, port) = (graph.into(), port.name.clone());
            return Err(RuntimeError::Port { graph, side: "output", port, expected, found });
        }
        let index = |ports: &[Port]| {
            ports.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect::<HashMap<_, _>>()
        };
        let device = &runtime.providers().device;
        // What a run leaves in the session's own arena on the device, a replay would overwrite.
        let results = || if captures { provider::host_memory() } else { device.memory_info() };
        let memory = results()?;
        let allocator = Mutex::new(Allocator::new(&session, results()?).map_err(failed)?);
        Ok(Self(Arc::new(Inner {
            graph: graph.into(),
            session: Mutex::new(session),
            input_index: index(&inputs),
            output_index: index(&outputs),
            inputs,
            outputs,
            memory,
            on_host: device.is_host(),
            captures,
            uncaptured,
            graphs: AtomicI64::new(0),
            allocator,
        })))
    }

    /// Name of the graph.
    pub fn graph(&self) -> &str {
        &self.0.graph
    }

    /// Inputs in order.
    pub fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }

    /// Outputs in order.
    pub fn outputs(&self) -> &[Port] {
        &self.0.outputs
    }

    /// Why runs are not captured as CUDA graphs, where [`SessionOptions::capture`] asked for it and CUDA computes.
    pub fn uncaptured(&self) -> Option<&str> {
        self.0.uncaptured.as_deref()
    }

    /// Runs the graph once: all outputs, in order, where the first provider computes. For a graph that
    /// runs again and again, a [`Binding`] is cheaper.
    ///
    /// # Errors
    /// [`RuntimeError::Port`] when a feed does not fit; [`RuntimeError::Graph`] when ONNX Runtime fails.
    pub fn run(&self, feeds: &[(&str, &DeviceTensor)]) -> Result<Vec<DeviceTensor>> {
        let mut binding = self.bind()?;
        for (name, tensor) in feeds {
            binding.input(name, tensor)?;
        }
        Ok(binding.run()?.into_iter().map(|(_, tensor)| tensor).collect())
    }

    /// A binding of this session's ports, with nothing bound yet.
    pub fn bind(&self) -> Result<Binding> {
        Binding::new(self)
    }

    /// Ends profiling; the path of the profile (Chrome's trace format).
    pub fn end_profile(&self) -> Result<PathBuf> {
        let mut session = self.0.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.end_profiling().map(PathBuf::from).map_err(ort("ending the profile"))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session of `{}`", self.0.graph)
    }
}

impl Inner {
    pub fn input(&self, name: &str) -> Result<usize> {
        self.find("input", name, &self.inputs, &self.input_index)
    }

    pub fn output(&self, name: &str) -> Result<usize> {
        self.find("output", name, &self.outputs, &self.output_index)
    }

    fn find(
        &self,
        side: &'static str,
        name: &str,
        all: &[Port],
        index: &HashMap<String, usize>,
    ) -> Result<usize> {
        index.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
            self.port_error(side, name, format!("one of {}", names.join(", ")), "no such port".into())
        })
    }

    /// A number for another CUDA graph.
    pub fn next_graph(&self) -> i64 {
        self.graphs.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn port_error(
        &self,
        side: &'static str,
        port: &str,
        expected: String,
        found: String,
    ) -> RuntimeError {
        RuntimeError::Port { graph: self.graph.clone(), side, port: port.into(), expected, found }
    }

    pub fn error(&self, action: &'static str, e: &ort::Error) -> RuntimeError {
        RuntimeError::Graph { graph: self.graph.clone(), action, message: e.message().trim().to_owned() }
    }
}

/// Whether a session has been made in this process. ONNX Runtime looks whether it knows the domain of our operators and
/// adds it otherwise, which fails where two first sessions do so at once.
static DOMAIN_KNOWN: Mutex<bool> = Mutex::new(false);

fn build(runtime: &Runtime, options: &SessionOptions, captures: bool) -> ort::Result<SessionBuilder> {
    let mut builder = OrtSession::builder(runtime.environment())?;
    let plain = |result: BuilderResult| result.map_err(|e| ort::Error::new(e.message()));
    for provider in &runtime.providers().taken {
        provider::register(provider, captures, &mut builder)?;
    }
    builder = plain(builder.with_env_allocators())?;
    if let Some(target) = runtime.own_operators() {
        builder = plain(builder.with_operators(fused::operators(target)?))?;
    }
    builder = plain(builder.with_deterministic_compute(options.deterministic))?;
    if options.disable_cpu_fallback && runtime.provider() != "cpu" {
        builder = plain(builder.with_disable_cpu_fallback())?;
    }
    if let Some(path) = &options.profile {
        builder = plain(builder.with_profiling(path))?;
    }
    if !options.disabled_optimizers.is_empty() {
        builder = plain(builder.with_disabled_optimizers(options.disabled_optimizers.join(";")))?;
    }
    for (name, size) in &options.dimensions {
        builder = plain(builder.with_dimension_override(name, *size as i64))?;
    }
    for (key, value) in &options.entries {
        builder = plain(builder.with_config_entry(key, value))?;
    }
    Ok(builder)
}
