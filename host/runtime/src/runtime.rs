//! The runtime: one ONNX Runtime for the process, with one thread pool for all sessions.

use crate::{
    Config, DeviceTensor, Result, RuntimeError, Session, SessionOptions, cuda,
    error::{checked, ort},
    fused,
    locate::{Found, locate},
    narrow, products,
    provider::{self, Providers},
};
use ekphrasis_graph::{DType, Graph, Target};
use ort::{
    AsPointer,
    environment::{Environment, GlobalThreadPoolOptions},
    logging::LogLevel,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    env, fmt,
    path::Path,
    ptr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// ONNX Runtime, found, loaded and started. Clones are the same runtime.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    environment: Environment,
    providers: Providers,
    found: Found,
    threads: usize,
    offline: bool,
}

/// There is one for the process: ONNX Runtime cannot be unloaded or configured twice.
static CURRENT: Mutex<Option<Runtime>> = Mutex::new(None);

/// What was loaded, kept even when no provider takes, so that another try can be made.
static LOADED: OnceLock<(Environment, Found, usize)> = OnceLock::new();

/// The runtime, if it has been started.
pub(crate) fn started() -> Result<Runtime> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(RuntimeError::NotStarted)
}

impl Runtime {
    /// Finds (or fetches, once) ONNX Runtime, loads it and chooses the providers. Where the process has
    /// a runtime already, that one is returned, whatever `config` says. `say` gets a line for what
    /// takes long.
    ///
    /// # Errors
    /// Everything that can go wrong in finding and fetching; [`RuntimeError::Provider`] and
    /// [`RuntimeError::NoProvider`] about providers.
    pub fn start(config: &Config, say: &dyn Fn(&str)) -> Result<Self> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*current {
            return Ok(runtime.clone());
        }
        let (environment, found, threads) = match LOADED.get() {
            Some(loaded) => loaded.clone(),
            None => {
                let found = locate(config, say)?;
                let environment = environment(config, &found.path)?;
                LOADED.get_or_init(|| (environment, found, config.thread_count())).clone()
            }
        };
        if config.providers.iter().any(|p| p.name != "cpu") {
            cuda::preload(&found.path);
        }
        let providers = provider::choose(&environment, &config.providers)?;
        let offline = config.offline;
        let inner = Inner { environment, providers, found, threads, offline };
        Ok(current.insert(Self(Arc::new(inner))).clone())
    }

    /// One line: which providers took, and why an earlier one did not.
    pub fn report(&self) -> &str {
        &self.0.providers.report
    }

    /// The version of ONNX Runtime, as `1.31.1`.
    pub fn version(&self) -> String {
        self.0.found.version.clone()
    }

    /// The library that was loaded.
    pub fn library(&self) -> &Path {
        &self.0.found.path
    }

    /// How the library was found, as `cache`.
    pub fn source(&self) -> &str {
        self.0.found.source
    }

    /// The provider that comes first.
    pub fn provider(&self) -> &str {
        self.0.providers.taken.first().map_or("cpu", |p| &p.name)
    }

    /// Threads that work on one operator.
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// Whether the user forbade fetching, ONNX Runtime or anything else.
    pub fn is_offline(&self) -> bool {
        self.0.offline
    }

    /// The devices that ONNX Runtime sees, as `CPU (Intel)`.
    pub fn devices(&self) -> Vec<String> {
        let names: BTreeSet<String> = (self.0.environment.devices())
            .map(|d| {
                let hardware = d.hardware_device();
                format!("{:?} ({})", hardware.ty(), hardware.vendor().unwrap_or("unknown"))
            })
            .collect();
        names.into_iter().collect()
    }

    /// A session that runs the graph.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the graph, or a port of it is no tensor of numbers.
    pub fn session(&self, graph: &Graph, options: &SessionOptions) -> Result<Session> {
        let graph = match self.on_cpu_alone() {
            true => Cow::Borrowed(graph),
            false => narrow::rewrite(graph)?,
        };
        let own = self.own_operators();
        let graph = match own {
            Some(Target::Cpu) if options.products => products::rewrite(&graph)?,
            _ => Cow::Borrowed(&*graph),
        };
        let graph = match own {
            Some(target) if options.fused => fused::rewrite(&graph, target)?,
            _ => Cow::Borrowed(&*graph),
        };
        self.session_from_bytes(&graph.name, &graph.to_bytes()?, options)
    }

    /// What graphs should be made for.
    pub fn target(&self) -> Target {
        if self.provider() == "cpu" { Target::Cpu } else { Target::Gpu }
    }

    /// Whether only the CPU computes, so that graphs may hold what other providers do not know.
    pub(crate) fn on_cpu_alone(&self) -> bool {
        self.providers().taken.iter().all(|p| p.name == "cpu")
    }

    /// The processor that our own operators are for here, if they can be had.
    pub(crate) fn own_operators(&self) -> Option<Target> {
        match self.provider() {
            _ if self.on_cpu_alone() => Some(Target::Cpu),
            "cuda" if fused::on_cuda() => Some(Target::Gpu),
            _ => None,
        }
    }

    /// A session that runs a model in ONNX's format; `name` is for errors.
    pub fn session_from_bytes(&self, name: &str, model: &[u8], options: &SessionOptions) -> Result<Session> {
        Session::new(self, name, model, options)
    }

    /// A tensor of zeros where the first provider computes.
    pub fn zeros(&self, dtype: DType, dims: &[usize]) -> Result<DeviceTensor> {
        let device = &self.0.providers.device;
        let allocator = device.allocator.lock().unwrap_or_else(PoisonError::into_inner);
        let tensor = DeviceTensor::allocate(&allocator, dtype, dims)?;
        drop(allocator);
        if !tensor.is_on_host() {
            tensor.copy_from(&DeviceTensor::zeros(dtype, dims)?)?;
        }
        Ok(tensor)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.0.providers
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ONNX Runtime {} at {}, {}", self.version(), self.library().display(), self.report())
    }
}

fn environment(config: &Config, library: &Path) -> Result<Environment> {
    let builder = ort::init_from(library).map_err(|e| RuntimeError::Library {
        path: library.to_owned(),
        message: e.to_string(),
        hint: "set ORT_DYLIB_PATH to another library".into(),
    })?;
    let action = "starting ONNX Runtime";
    let pool = GlobalThreadPoolOptions::default()
        .with_intra_threads(config.thread_count())
        .and_then(|p| p.with_inter_threads(1))
        .and_then(|p| p.with_spin_control(config.spins()))
        .map_err(ort(action))?;
    let environment = builder
        .with_name("ekphrasis")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .build()
        .map_err(ort(action))?;
    if env::var_os("ORT_LOG").is_none() {
        // What it has to say comes back as an error; the terminal is not its own.
        environment.set_log_level(LogLevel::Fatal);
    }
    share_memory(&environment)?;
    Ok(environment)
}

/// Gives all sessions one arena on the host: they run one after the other, and so need room for the
/// largest of them, not for their sum.
fn share_memory(environment: &Environment) -> Result<()> {
    let action = "making the arena";
    let info = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default);
    let info = info.map_err(ort(action))?;
    // Grow by what is asked for (1), not to the next power of two.
    let (keys, values) = ([c"arena_extend_strategy".as_ptr()], [1usize]);
    let mut settings = ptr::null_mut();
    // SAFETY: the environment, the description and both lists (of one entry) are alive; the settings
    // are copied by the second call, and released once.
    unsafe {
        checked((ort::api().CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), 1, &mut settings))
            .map_err(ort(action))?;
        let made = checked((ort::api().CreateAndRegisterAllocator)(
            environment.ptr().cast_mut(),
            info.ptr(),
            settings,
        ));
        (ort::api().ReleaseArenaCfg)(settings);
        made.map_err(ort(action))
    }
}
