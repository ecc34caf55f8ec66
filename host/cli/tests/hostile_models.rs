//! Model files that mean harm: every command ends with an error that names the file, soon, in little
//! memory, and without a crash.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A field that is a message, text or bytes.
fn part(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field that is an integer.
fn int(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// A node of a domain, with attributes that are written already.
fn node(domain: &str, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut all: Vec<u8> = inputs.iter().flat_map(|name| part(1, name)).collect();
    all.extend(outputs.iter().flat_map(|name| part(2, name)));
    all.extend([part(3, format!("the_{op}")), part(4, op), part(7, domain)].concat());
    all.extend(attributes.iter().flat_map(|a| part(5, a)));
    all
}

/// An attribute that is a list of integers.
fn ints(name: &str, values: &[u64]) -> Vec<u8> {
    let mut all = [part(1, name), int(20, 7)].concat();
    all.extend(values.iter().flat_map(|v| int(8, *v)));
    all
}

/// A port of an element type, by default f32 (1).
fn port(name: &str, kind: u64, dims: &[u64]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|d| part(1, int(1, *d))).collect();
    let tensor = [int(1, kind), part(2, shape)].concat();
    [part(1, name), part(2, part(1, tensor))].concat()
}

fn model(inputs: &[Vec<u8>], nodes: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let mut graph: Vec<u8> = nodes.iter().flat_map(|n| part(1, n)).collect();
    graph.extend(part(2, "made"));
    graph.extend(inputs.iter().flat_map(|p| part(11, p)));
    graph.extend(part(12, port("y", 1, &[])));
    graph.extend(more.concat());
    let opset = |domain: &str, version| part(8, [part(1, domain), int(2, version)].concat());
    [int(1, 8), part(7, graph), opset("", 18), opset("own", 1)].concat()
}

/// A function of the domain `own` from `a` to `b`.
fn function(name: &str, nodes: &[Vec<u8>]) -> Vec<u8> {
    let nodes: Vec<u8> = nodes.iter().flat_map(|n| part(7, n)).collect();
    let opset = part(9, [part(1, ""), int(2, 18)].concat());
    part(25, [part(1, name), part(4, "a"), part(5, "b"), nodes, part(10, "own"), opset].concat())
}

/// Whether a file must be refused, or may be read as well.
#[derive(PartialEq)]
enum Must {
    Fail,
    Live,
}
use Must::{Fail, Live};

fn cases(folder: &Path) -> Vec<(&'static str, Vec<u8>, Must)> {
    let x = || port("x", 1, &[2, 2]);
    let exp = |from: &str, to: &str| node("", "Exp", &[from], &[to], &[]);
    let good = model(&[x()], &[exp("x", "y")], &[]);
    let tensor = |dims: &[u64], more: Vec<u8>| {
        let dims: Vec<u8> = dims.iter().flat_map(|d| int(1, *d)).collect();
        part(5, [dims, int(2, 1), part(8, "t"), more].concat())
    };
    let outside = |location: &str| {
        let entry = |key: &str, value: &str| part(13, [part(1, key), part(2, value)].concat());
        let more = [int(14, 1), entry("location", location), entry("length", "16")].concat();
        model(&[], &[exp("t", "y")], &[tensor(&[4], more)])
    };
    fs::write(folder.join("secret.bin"), [0u8; 16]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.join("secret.bin"), folder.join("models/link.bin")).unwrap();
    let chain = |depth: usize, width: usize| -> Vec<u8> {
        let call = |i: usize, from: &str, to: &str| node("own", &format!("f{i}"), &[from], &[to], &[]);
        let mut all = model(&[x()], &[call(0, "x", "y")], &[]);
        for i in 0..depth {
            let mut nodes: Vec<_> = (1..width).map(|k| call(i + 1, "a", &format!("c{k}"))).collect();
            nodes.push(call(i + 1, "a", "b"));
            all.extend(function(&format!("f{i}"), &nodes));
        }
        all.extend(function(&format!("f{depth}"), &[exp("a", "b")]));
        all
    };
    let mut nested = part(1, exp("x", "y"));
    for _ in 0..400 {
        let branch = [part(1, "then_branch"), int(20, 5), part(6, nested)].concat();
        nested = part(1, node("", "If", &["c"], &["y"], &[branch]));
    }
    let mut looped = model(&[x()], &[node("own", "f", &["x"], &["y"], &[])], &[]);
    looped.extend(function("f", &[node("own", "f", &["a"], &["b"], &[])]));
    let image = port("x", 1, &[1, 1, 8, 8]);
    let conv = |attribute: Vec<u8>| {
        let nodes = [node("", "Conv", &["x", "x"], &["y"], &[attribute])];
        model(std::slice::from_ref(&image), &nodes, &[])
    };
    let many: Vec<Vec<u8>> = (0..20_000).map(|i| ints(&format!("a{i}"), &[1])).collect();
    vec![
        ("empty", vec![], Fail),
        ("text", b"this is no model, but a text of some length".to_vec(), Fail),
        ("cut", good[..good.len() / 2].to_vec(), Fail),
        ("cycle", model(&[x()], &[exp("z", "y"), exp("y", "z")], &[]), Fail),
        ("undefined", model(&[x()], &[exp("nothing", "y")], &[]), Fail),
        ("twice", model(&[x()], &[exp("x", "y"), exp("x", "y")], &[]), Fail),
        ("text_type", model(&[port("x", 8, &[2])], &[exp("x", "y")], &[]), Fail),
        ("no_type", model(&[port("x", 99, &[2])], &[exp("x", "y")], &[]), Fail),
        (
            "wrong_shapes",
            model(&[port("x", 1, &[3, 5])], &[node("", "MatMul", &["x", "x"], &["y"], &[])], &[]),
            Fail,
        ),
        ("huge_sizes", model(&[port("x", 1, &[1 << 62, 1 << 62])], &[exp("x", "y")], &[]), Live),
        (
            "huge_product",
            model(&[port("x", 1, &[1 << 40, 1 << 40])], &[node("", "MatMul", &["x", "x"], &["y"], &[])], &[]),
            Live,
        ),
        ("two_gigabytes", model(&[], &[exp("t", "y")], &[tensor(&[1 << 29], vec![])]), Fail),
        ("beyond_memory", model(&[], &[exp("t", "y")], &[tensor(&[1 << 60, 1 << 60], vec![])]), Fail),
        ("outside", outside("../secret.bin"), Fail),
        ("absolute", outside("/etc/passwd"), Fail),
        ("link", outside("link.bin"), Fail),
        ("recursive", looped, Fail),
        ("deep", chain(200, 1), Fail),
        ("exponential", chain(30, 4), Fail),
        ("nested", model(&[x()], &[node("", "If", &["c"], &["y"], &[])], &[nested]), Fail),
        ("long_perm", conv(ints("strides", &vec![1; 300_000])), Fail),
        ("huge_pads", conv(ints("pads", &[u64::MAX >> 1; 4])), Fail),
        ("huge_kernel", conv(ints("kernel_shape", &[u64::MAX, 1 << 63])), Fail),
        ("many_attributes", model(&[x()], &[node("", "Exp", &["x"], &["y"], &many)], &[]), Live),
    ]
}

#[test]
fn every_graph_command_survives() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    for (name, bytes, must) in cases(folder.path()) {
        let file = format!("models/{name}.onnx");
        fs::write(folder.path().join(&file), bytes).unwrap();
        for command in ["show FILE", "check FILE", "check FILE --json", "grad FILE --of y -o models/out.onnx"]
        {
            let command = command.replace("FILE", &file);
            let (code, err, time) = run(folder.path(), &command);
            let shown = format!("{command}: {code:?} after {time:?}\n{err}");
            assert!(time < Duration::from_secs(10), "{shown}");
            match code {
                Some(0) if must == Live => {}
                Some(1) => assert!(err.starts_with("error:") && err.contains(name), "{shown}"),
                _ => panic!("{shown}"),
            }
        }
    }
    for (file, part) in [("models", "expected a file"), ("models/none.onnx", "models/none.onnx")] {
        let (code, err, _) = run(folder.path(), &format!("check {file}"));
        assert!(code == Some(1) && err.contains(part), "{err}");
    }
}

/// Runs `ekphrasis graph` with at most 1 GB of address space (where there is a shell that can say so).
fn run(folder: &Path, arguments: &str) -> (Option<i32>, String, Duration) {
    let program = env!("CARGO_BIN_EXE_ekphrasis");
    let start = Instant::now();
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v 1000000; exec \"$0\" graph {arguments}"), program]);
        shell
    } else {
        let mut direct = Command::new(program);
        direct.arg("graph").args(arguments.split(' '));
        direct
    };
    let out = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned(), start.elapsed())
}
