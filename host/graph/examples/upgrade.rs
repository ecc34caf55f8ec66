//! Reads ONNX models of opset 11 or later and writes them in opset 18:
//! `cargo run -p ekphrasis-graph --example upgrade -- IN.onnx OUT.onnx [IN OUT]...`

use ekphrasis_graph::Graph;

fn main() -> std::process::ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut failed = false;
    for pair in paths.chunks_exact(2) {
        if let Err(e) = Graph::load(&pair[0]).and_then(|g| g.save(&pair[1])) {
            eprintln!("{e}");
            failed = true;
        }
    }
    if failed || paths.is_empty() || !paths.len().is_multiple_of(2) { 1.into() } else { 0.into() }
}
