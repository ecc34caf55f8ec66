//! The messages of the ONNX format, generated from `proto/onnx.proto`.

#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
