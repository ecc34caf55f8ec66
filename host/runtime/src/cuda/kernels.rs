//! Kernels of our own: compiled from source by NVRTC when they are first needed, launched by CUDA's driver.

use super::library;
use libloading::os::unix::Library;
use std::{
    collections::HashMap,
    ffi::{CString, c_char, c_int, c_uint, c_void},
    ptr,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

/// The function that each source defines.
pub(crate) const ENTRY: &str = "kernel";

/// Threads that compile at once.
const COMPILERS: usize = 8;

/// Threads of a block.
pub(crate) const THREADS: usize = 256;

type Code = c_int;
type Handle = *mut c_void;
type Text = *const c_char;

/// Functions of NVRTC, the driver, or both, and what keeps them loaded.
macro_rules! functions {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $symbol:literal as $signature:ty,)* }) => {
        $(#[$doc])*
        struct $name {
            $($field: $signature,)*
            _library: Library,
        }

        impl $name {
            fn of(library: Library) -> Option<Self> {
                // SAFETY: the signatures are those of CUDA's documentation, the same since CUDA 11.1.
                unsafe {
                    Some(Self { $($field: *library.get::<$signature>($symbol).ok()?,)* _library: library })
                }
            }
        }
    };
}

functions! {
    /// The compiler.
    Nvrtc {
        create: b"nvrtcCreateProgram" as unsafe extern "C" fn(*mut Handle, Text, Text, c_int, *const Text, *const Text) -> Code,
        compile: b"nvrtcCompileProgram" as unsafe extern "C" fn(Handle, c_int, *const Text) -> Code,
        size: b"nvrtcGetCUBINSize" as unsafe extern "C" fn(Handle, *mut usize) -> Code,
        binary: b"nvrtcGetCUBIN" as unsafe extern "C" fn(Handle, *mut c_char) -> Code,
        log_size: b"nvrtcGetProgramLogSize" as unsafe extern "C" fn(Handle, *mut usize) -> Code,
        log: b"nvrtcGetProgramLog" as unsafe extern "C" fn(Handle, *mut c_char) -> Code,
        destroy: b"nvrtcDestroyProgram" as unsafe extern "C" fn(*mut Handle) -> Code,
    }
}

functions! {
    /// The driver.
    Driver {
        device: b"cuCtxGetDevice" as unsafe extern "C" fn(*mut c_int) -> Code,
        attribute: b"cuDeviceGetAttribute" as unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Code,
        load: b"cuModuleLoadData" as unsafe extern "C" fn(*mut Handle, *const c_void) -> Code,
        function: b"cuModuleGetFunction" as unsafe extern "C" fn(*mut Handle, Handle, Text) -> Code,
        launch: b"cuLaunchKernel" as unsafe extern "C" fn(
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut Handle, *mut Handle,
        ) -> Code,
    }
}

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`; the minor one follows.
const CAPABILITY: c_int = 75;

/// Compiler and driver.
pub(crate) struct Kernels {
    nvrtc: Nvrtc,
    driver: Driver,
    /// Machine code by source.
    compiled: Mutex<HashMap<String, Arc<Compiled>>>,
    loaded: Mutex<HashMap<String, Kernel>>,
    /// What waits for a thread that compiles.
    waiting: OnceLock<mpsc::Sender<Arc<Compiled>>>,
}

/// A source on its way to machine code.
struct Compiled {
    source: String,
    architecture: String,
    binary: OnceLock<Result<Vec<u8>, String>>,
}

impl Compiled {
    /// The machine code, made by whoever comes first.
    fn binary(&self, nvrtc: &Nvrtc) -> &Result<Vec<u8>, String> {
        self.binary.get_or_init(|| nvrtc.compile(&self.source, &self.architecture))
    }
}

/// A kernel that is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(Handle);

// SAFETY: a handle that CUDA lets every thread use.
unsafe impl Send for Kernel {}

/// Compiler and driver, where both are there.
pub(crate) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: OnceLock<Option<Kernels>> = OnceLock::new();
    let load = || {
        let nvrtc = Nvrtc::of(library(&["libnvrtc.so.13", "libnvrtc.so.12"], 0)?)?;
        let driver = Driver::of(library(&["libcuda.so.1"], 0)?)?;
        let waiting = OnceLock::new();
        Some(Kernels { nvrtc, driver, compiled: Mutex::default(), loaded: Mutex::default(), waiting })
    };
    KERNELS.get_or_init(load).as_ref()
}

impl Kernels {
    /// Has other threads compile a source that will be needed: it takes some 50 ms.
    pub fn prepare(&'static self, source: &str) {
        // Without a context here, the kernel is compiled when it is asked for.
        let Ok((compiled, true)) = self.compiled(source) else { return };
        let waiting = self.waiting.get_or_init(|| {
            let (sender, receiver) = mpsc::channel::<Arc<Compiled>>();
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..crate::config::cores().min(COMPILERS) {
                let receiver = receiver.clone();
                thread::spawn(move || {
                    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok(compiled) = next() {
                        let _ = compiled.binary(&self.nvrtc);
                    }
                });
            }
            sender
        });
        let _ = waiting.send(compiled);
    }

    /// The entry of a source, and whether it is new.
    fn compiled(&self, source: &str) -> Result<(Arc<Compiled>, bool), String> {
        let mut all = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(source) {
            return Ok((known.clone(), false));
        }
        let (architecture, binary) = (self.driver.architecture()?, OnceLock::new());
        let new = Arc::new(Compiled { source: source.to_owned(), architecture, binary });
        all.insert(source.to_owned(), new.clone());
        Ok((new, true))
    }

    /// The kernel that a source defines as [`ENTRY`], for the device of the thread's context.
    pub fn kernel(&self, source: &str) -> Result<Kernel, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = loaded.get(source) {
            return Ok(*kernel);
        }
        let (compiled, _) = self.compiled(source)?;
        let binary = compiled.binary(&self.nvrtc).as_ref().map_err(Clone::clone)?;
        let (mut module, mut kernel) = (ptr::null_mut(), ptr::null_mut());
        let entry = CString::new(ENTRY).map_err(|e| e.to_string())?;
        // SAFETY: the binary is whole, and copied by the driver.
        unsafe {
            checked("loading a kernel", (self.driver.load)(&mut module, binary.as_ptr().cast()))?;
            checked("finding a kernel", (self.driver.function)(&mut kernel, module, entry.as_ptr()))?;
        }
        loaded.insert(source.to_owned(), Kernel(kernel));
        Ok(Kernel(kernel))
    }

    /// Has a stream run a kernel in so many blocks, its parameters being addresses and numbers.
    ///
    /// # Safety
    /// The kernel must take as many addresses, then as many numbers of at most 64 bits, and may only reach what is there
    /// until the stream has run it.
    pub unsafe fn launch(
        &self,
        kernel: Kernel,
        blocks: usize,
        stream: *mut c_void,
        addresses: &mut [*mut c_void],
        numbers: &[u64],
    ) -> Result<(), String> {
        let blocks = c_uint::try_from(blocks).map_err(|_| format!("{blocks} blocks are too many"))?;
        let mut parameters: Vec<Handle> = addresses.iter_mut().map(|a| ptr::from_mut(a).cast()).collect();
        parameters.extend(numbers.iter().map(|n| ptr::from_ref(n).cast_mut().cast::<c_void>()));
        let threads = THREADS as c_uint;
        // SAFETY: as the caller promises; the driver reads the parameters before it returns.
        let code = unsafe {
            let (parameters, none) = (parameters.as_mut_ptr(), ptr::null_mut());
            (self.driver.launch)(kernel.0, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, none)
        };
        checked("launching a kernel", code)
    }
}

impl Driver {
    /// `sm_90`.
    fn architecture(&self) -> Result<String, String> {
        let (mut device, mut numbers) = (0, [0; 2]);
        // SAFETY: all three are written by the driver.
        unsafe {
            checked("finding the device", (self.device)(&mut device))?;
            for (i, number) in (CAPABILITY..).zip(&mut numbers) {
                checked("asking the device", (self.attribute)(number, i, device))?;
            }
        }
        Ok(format!("sm_{}{}", numbers[0], numbers[1]))
    }
}

impl Nvrtc {
    /// A source's machine code for an architecture. Products and sums are rounded each by itself, as single operators
    /// round them.
    fn compile(&self, source: &str, architecture: &str) -> Result<Vec<u8>, String> {
        let text = |s: &str| CString::new(s).map_err(|e| e.to_string());
        let (source, name) = (text(source)?, text("kernel.cu")?);
        let options = [text(&format!("--gpu-architecture={architecture}"))?, text("--fmad=false")?];
        let options = options.each_ref().map(|o| o.as_ptr());
        let mut program = ptr::null_mut();
        // SAFETY: all texts end with a zero and outlive the calls; buffers have the sizes that NVRTC told.
        unsafe {
            let none = ptr::null();
            let made = (self.create)(&mut program, source.as_ptr(), name.as_ptr(), 0, none, none);
            checked("preparing a kernel", made)?;
            let code = (self.compile)(program, options.len() as c_int, options.as_ptr());
            let result = if code == 0 {
                read(program, self.size, self.binary)
            } else {
                let log = read(program, self.log_size, self.log).unwrap_or_default();
                Err(format!("compiling a kernel: code {code}: {}", String::from_utf8_lossy(&log)))
            };
            (self.destroy)(&mut program);
            result
        }
    }
}

/// What NVRTC holds of a program.
///
/// # Safety
/// The functions must be those for one thing: its size, and itself.
unsafe fn read(
    program: Handle,
    size: unsafe extern "C" fn(Handle, *mut usize) -> Code,
    get: unsafe extern "C" fn(Handle, *mut c_char) -> Code,
) -> Result<Vec<u8>, String> {
    let mut bytes = 0;
    // SAFETY: as the caller promises, the buffer is of the right size.
    unsafe {
        checked("reading a kernel's size", size(program, &mut bytes))?;
        let mut buffer = vec![0u8; bytes];
        checked("reading a kernel", get(program, buffer.as_mut_ptr().cast()))?;
        Ok(buffer)
    }
}

fn checked(action: &str, code: Code) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{action}: CUDA's error {code}")) }
}
