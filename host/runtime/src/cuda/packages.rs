//! NVIDIA's libraries as Python packages install them, beside the `onnxruntime-gpu` package.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What ONNX Runtime's CUDA and TensorRT providers link to, each after what it needs itself.
const WANTED: [&str; 10] = [
    "libcudart.so.",
    "libnvrtc.so.",
    "libcublasLt.so.",
    "libcublas.so.",
    "libcurand.so.",
    "libcufft.so.",
    "libcudnn.so.",
    "libnvinfer.so.",
    "libnvinfer_plugin.so.",
    "libnvonnxparser.so.",
];

/// Loads NVIDIA's libraries where ONNX Runtime comes from a Python package: the system's loader does not
/// look there by itself. What cannot be loaded is named by the provider that misses it.
pub(crate) fn preload(library: &Path) {
    for path in packaged(library) {
        let _ = ort::util::preload_dylib(&path);
    }
}

/// The wanted libraries in `nvidia/*/lib` and `tensorrt_libs` of the packages folder, in order.
fn packaged(library: &Path) -> Vec<PathBuf> {
    // <packages>/onnxruntime/capi/libonnxruntime.so.1.2.3
    let Some(packages) =
        library.ancestors().nth(3).filter(|_| library.parent().is_some_and(|p| p.ends_with("capi")))
    else {
        return vec![];
    };
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let folders =
        entries(packages.join("nvidia")).map(|p| p.join("lib")).chain([packages.join("tensorrt_libs")]);
    let mut files: Vec<PathBuf> = folders.flat_map(entries).collect();
    files.sort();
    let named = |prefix: &str| {
        files.iter().find(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(prefix)))
    };
    WANTED.iter().filter_map(|prefix| named(prefix).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_beside_the_package_in_the_order_they_need() {
        let packages = tempfile::tempdir().unwrap();
        let root = packages.path();
        for file in [
            "nvidia/cudnn/lib/libcudnn.so.9",
            "nvidia/cu13/lib/libcublas.so.13",
            "nvidia/cu13/lib/libcublasLt.so.13",
            "nvidia/cu13/lib/libnvblas.so.13",
            "tensorrt_libs/libnvinfer.so.10",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let found = packaged(&root.join("onnxruntime/capi/libonnxruntime.so.1.31.1"));
        let names: Vec<_> = found.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9", "libnvinfer.so.10"]);
        assert!(packaged(&root.join("lib/libonnxruntime.so")).is_empty());
    }
}
