//! Execution providers: which of the wanted ones take, and why the others do not.

use crate::{Provider, Result, RuntimeError, error::ort, fused};
use ekphrasis_graph::{DType, Graph};
use ort::{
    environment::Environment,
    ep::{
        ArbitrarilyConfigurableExecutionProvider as _, ArenaExtendStrategy, CPU, CUDA, ExecutionProvider,
        TensorRT,
    },
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{Session, builder::SessionBuilder},
};
use std::sync::Mutex;

/// The providers that took, in order, and the device that the first of them computes on.
pub(crate) struct Providers {
    pub taken: Vec<Provider>,
    /// `providers: cpu (cuda: ...)`.
    pub report: String,
    pub device: Device,
    /// Whether the first of them can replay a binding as a CUDA graph, and may.
    pub capture: bool,
}

/// Where tensors of the first provider live.
pub(crate) struct Device {
    name: AllocationDevice<'static>,
    id: i32,
    /// CUDA's allocator may not be used from two threads at once.
    pub allocator: Mutex<Allocator>,
    /// Keeps a device's allocator valid.
    _session: Option<Session>,
}

impl Device {
    pub fn memory_info(&self) -> Result<MemoryInfo<'static>> {
        memory_info(self.name.clone(), self.id)
    }

    pub fn is_host(&self) -> bool {
        self.name == AllocationDevice::CPU
    }
}

fn memory_info(name: AllocationDevice<'static>, id: i32) -> Result<MemoryInfo<'static>> {
    MemoryInfo::new(name, id, AllocatorType::Device, MemoryType::Default)
        .map_err(ort("describing the device"))
}

/// The host's memory.
pub(crate) fn host_memory() -> Result<MemoryInfo<'static>> {
    memory_info(AllocationDevice::CPU, 0)
}

/// CUDA's option for capturing graphs; see [`SessionOptions::capture`](crate::SessionOptions).
const CAPTURE: &str = "enable_cuda_graph";

/// Tries the wanted providers in order and keeps those that load.
///
/// # Errors
/// [`RuntimeError::Provider`] for a name that nobody knows; [`RuntimeError::NoProvider`] when none took.
pub(crate) fn choose(environment: &Environment, wanted: &[Provider]) -> Result<Providers> {
    for provider in wanted {
        check(provider)?;
    }
    let (mut taken, mut reasons, mut device) = (vec![], vec![], None);
    for provider in wanted {
        match probe(environment, provider) {
            Ok(found) => {
                device.get_or_insert(found);
                taken.push(provider.clone());
            }
            Err(e) => reasons.push(format!("{}: {}", provider.name, reason(e.message()))),
        }
    }
    let Some(device) = device else { return Err(RuntimeError::NoProvider { reasons }) };
    if taken.first().is_some_and(|p| p.name == "cuda") && !fused::on_cuda() {
        reasons.push("cuda: NVRTC is not there, so that arithmetic is not fused".into());
    }
    let names: Vec<&str> = taken.iter().map(|p| p.name.as_str()).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    let report = format!("providers: {}{why}", names.join(", "));
    let capture =
        taken.first().is_some_and(|p| p.name == "cuda" && p.options.get(CAPTURE).is_none_or(|v| v != "0"));
    Ok(Providers { taken, report, device, capture })
}

fn check(provider: &Provider) -> Result<()> {
    let error = |message: String| RuntimeError::Provider { name: provider.name.clone(), message };
    match provider.name.as_str() {
        "cpu" => match provider.options.keys().find(|k| *k != "use_arena") {
            Some(key) => Err(error(format!("unknown option `{key}`; expected `use_arena`"))),
            None => Ok(()),
        },
        "cuda" | "tensorrt" => {
            if provider.options.iter().any(|(k, v)| k.contains('\0') || v.contains('\0')) {
                return Err(error("an option holds a zero byte".into()));
            }
            device_id(provider).map(|_| ()).map_err(error)
        }
        _ => Err(error("no such provider".into())),
    }
}

fn device_id(provider: &Provider) -> Result<i32, String> {
    match provider.options.get("device_id") {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| format!("device_id: expected a number, found `{text}`")),
    }
}

/// Registers a provider with a session to be, which `captures` CUDA graphs or not.
pub(crate) fn register(provider: &Provider, captures: bool, builder: &mut SessionBuilder) -> ort::Result<()> {
    let options = provider.options.iter();
    match provider.name.as_str() {
        "cuda" => {
            // Growing to the next power of two would take up to twice what is needed, in each session.
            let grow = ArenaExtendStrategy::SameAsRequested;
            let ep = CUDA::default().with_arena_extend_strategy(grow).with_cuda_graph(captures);
            let options = options.filter(|(k, _)| *k != CAPTURE);
            options.fold(ep, |ep, (k, v)| ep.with_arbitrary_config(k, v)).register(builder)
        }
        "tensorrt" => {
            options.fold(TensorRT::default(), |ep, (k, v)| ep.with_arbitrary_config(k, v)).register(builder)
        }
        _ => match provider.options.get("use_arena") {
            Some(value) => CPU::default().with_arena_allocator(value != "0").register(builder),
            None => Ok(()),
        },
    }
}

/// Makes a session of one node with the provider, as the only way to know that its libraries load and
/// that it has a device.
fn probe(environment: &Environment, provider: &Provider) -> ort::Result<Device> {
    let (name, id) = (provider.name.as_str(), device_id(provider).unwrap_or(0));
    if name == "cpu" {
        let allocator = Mutex::new(Allocator::default());
        return Ok(Device { name: AllocationDevice::CPU, id: 0, allocator, _session: None });
    }
    let built_in = if name == "cuda" { CUDA::is_available() } else { TensorRT::is_available() };
    if !built_in? {
        return Err(ort::Error::new(
            "this ONNX Runtime was built without it; `library` may name that of onnxruntime-gpu",
        ));
    }
    let model = probe_model().map_err(ort::Error::wrap)?;
    let mut builder = Session::builder(environment)?;
    register(provider, false, &mut builder)?;
    let session = builder.commit_from_memory(&model)?;
    let info = MemoryInfo::new(AllocationDevice::CUDA, id, AllocatorType::Device, MemoryType::Default)?;
    let allocator = Mutex::new(Allocator::new(&session, info)?);
    Ok(Device { name: AllocationDevice::CUDA, id, allocator, _session: Some(session) })
}

fn probe_model() -> ekphrasis_graph::Result<Vec<u8>> {
    let mut graph = Graph::new("probe");
    let x = graph.input("x", DType::F32, vec![1i64.into()])?;
    let y = graph.neg(x)?;
    graph.output("y", y)?;
    graph.to_bytes()
}

/// The telling part of ONNX Runtime's words: one line, without its source location.
fn reason(message: &str) -> String {
    let line = message.lines().find(|l| !l.trim().is_empty()).unwrap_or("unknown reason");
    let told =
        ["with error: ", "FAIL : "].iter().find_map(|mark| line.rsplit_once(mark)).map_or(line, |p| p.1);
    told.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_before_anything_is_loaded() {
        for (provider, part) in [
            (Provider::new("cudo"), "no such provider"),
            (Provider::new("cuda").with("device_id", "first"), "device_id: expected a number, found `first`"),
            (Provider::new("cpu").with("arena", "1"), "unknown option `arena`"),
        ] {
            let error = check(&provider).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(&provider.name), "{error}");
        }
        check(&Provider::new("cuda").with("device_id", "1").with("gpu_mem_limit", "1000000")).unwrap();
    }

    #[test]
    fn reasons_are_one_telling_line() {
        let message = "/onnxruntime/provider_bridge_ort.cc:1234 Get [ONNXRuntimeError] : 1 : FAIL : Failed to \
                       load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open \
                       shared object file: No such file or directory\n";
        assert_eq!(
            reason(message),
            "libcublasLt.so.13: cannot open shared object file: No such file or directory"
        );
    }
}
