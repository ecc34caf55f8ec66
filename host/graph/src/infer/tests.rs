//! Types and shapes against the ONNX operator specification, one line for each case.

use crate::{Attr, Attrs, DType, Dim, Graph, Tensor};

/// One case: operator, inputs (`f32[B, 4]`, `i64[2]`, or `=1,2` for known integers, `-` for none),
/// attributes (`axis=1 perm=0,2,1`), expected outputs.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("Add", "f32[B, 1, 4] f32[T, 1]", "", "f32[B, T, 4]"),
    ("Where", "bool[B, 1] f32[4] f32[]", "", "f32[B, 4]"),
    ("Equal", "i64[B, T] i64[]", "", "bool[B, T]"),
    ("Cast", "f32[B]", "to=7", "i64[B]"),
    ("MatMul", "f32[B, T, 8] f32[8, 3]", "", "f32[B, T, 3]"),
    ("MatMul", "f32[8] f32[B, 8, 3]", "", "f32[B, 3]"),
    ("MatMul", "f32[B, 2, 8] f32[8]", "", "f32[B, 2]"),
    ("Gemm", "f32[8, B] f32[3, 8]", "transA=1 transB=1", "f32[B, 3]"),
    ("ReduceSum", "f32[B, T, 4] =1,-1", "keepdims=0", "f32[B]"),
    ("ReduceSum", "f32[B, T]", "noop_with_empty_axes=1", "f32[B, T]"),
    ("ReduceMean", "f32[B, T]", "", "f32[1, 1]"),
    ("ArgMax", "f32[B, 9]", "axis=-1 keepdims=0", "i64[B]"),
    ("LayerNormalization", "f32[B, T, 8] f32[8]", "", "f32[B, T, 8]"),
    ("Reshape", "f32[B, T, 8] =0,-1", "", "f32[B, 8*T]"),
    ("Reshape", "f32[B, 6] =-1,3", "", "f32[2*B, 3]"),
    ("Flatten", "f32[B, 3, H, W]", "", "f32[B, 3*H*W]"),
    ("Transpose", "f32[B, T, 8]", "perm=2,0,1", "f32[8, B, T]"),
    ("Squeeze", "f32[B, 1, 8] =1", "", "f32[B, 8]"),
    ("Unsqueeze", "f32[B] =0,-1", "", "f32[1, B, 1]"),
    ("Concat", "f32[B, T] f32[B, 3]", "axis=1", "f32[B, T + 3]"),
    ("Slice", "f32[B, T] =0 =-1 =1", "", "f32[B, T - 1]"),
    ("Slice", "f32[B, 9] =8 =0 =1 =-2", "", "f32[B, 4]"),
    ("Pad", "f32[B, T] =0,1,0,2", "", "f32[B, T + 3]"),
    ("Expand", "f32[1, 4] =3,1", "", "f32[3, 4]"),
    ("Tile", "f32[B, 4] =2,3", "", "f32[2*B, 12]"),
    ("Range", "=2 =11 =3", "", "i64[3]"),
    ("ConstantOfShape", "=2,3", "", "f32[2, 3]"),
    ("Gather", "f32[V, 8] i64[B, T]", "", "f32[B, T, 8]"),
    ("Gather", "f32[B, T, 8] i64[]", "axis=1", "f32[B, 8]"),
    ("GatherElements", "f32[B, V] i64[B, 2]", "axis=1", "f32[B, 2]"),
    ("GatherND", "f32[B, T, 8] i64[B, 1]", "batch_dims=1", "f32[B, 8]"),
    ("ScatterND", "f32[V, 8] i64[B, 1] f32[B, 8]", "", "f32[V, 8]"),
    ("OneHot", "i64[B, T] =5 f32[2]", "", "f32[B, T, 5]"),
    ("TopK", "f32[B, V] =3", "", "f32[B, 3]"),
    ("CumSum", "f32[B, T] i64[]", "", "f32[B, T]"),
    ("Conv", "f32[B, 3, 32, 32] f32[16, 3, 4, 4]", "strides=2,2 pads=1,1,1,1", "f32[B, 16, 16, 16]"),
    ("Conv", "f32[B, 4, 7, 7] f32[8, 2, 3, 3]", "group=2 dilations=2,2", "f32[B, 8, 3, 3]"),
    ("Conv", "f32[B, 3, H, W] f32[8, 3, 3, 3]", "pads=1,1,1,1", "f32[B, 8, H, W]"),
    ("Conv", "f32[B, 3, 7, 7] f32[8, 3, 3, 3]", "auto_pad=SAME_UPPER strides=2,2", "f32[B, 8, 4, 4]"),
    ("ConvTranspose", "f32[B, 8, 4, 4] f32[8, 3, 4, 4]", "strides=2,2 pads=1,1,1,1", "f32[B, 3, 8, 8]"),
    ("ConvTranspose", "f32[B, 8, H, 4] f32[8, 3, 2, 2]", "strides=2,2", "f32[B, 3, 2*H, 8]"),
    ("MaxPool", "f32[B, 3, 5, 5]", "kernel_shape=2,2 strides=2,2 ceil_mode=1", "f32[B, 3, 3, 3]"),
    ("AveragePool", "f32[B, 3, 5, 5]", "kernel_shape=2,2 strides=2,2", "f32[B, 3, 2, 2]"),
    ("GlobalAveragePool", "f32[B, 3, H, W]", "", "f32[B, 3, 1, 1]"),
    ("Resize", "f32[B, 3, 4, 4] - - =2,3,8,8", "", "f32[2, 3, 8, 8]"),
    ("Resize", "f32[B, 3, 4, 4] - - =8,9", "axes=2,3", "f32[B, 3, 8, 9]"),
    ("Resize", "f32[B, 3, 4, 6] - - =8,9", "axes=2,3 keep_aspect_ratio_policy=not_larger", "f32[B, 3, 6, 9]"),
    (
        "Resize",
        "f32[B, 3, 4, 6] - - =8,9",
        "axes=2,3 keep_aspect_ratio_policy=not_smaller",
        "f32[B, 3, 8, 12]",
    ),
    ("ReduceProd", "=2,3,4", "", "i64[1]"),
    ("DepthToSpace", "f32[B, 12, H, W]", "blocksize=2", "f32[B, 3, 2*H, 2*W]"),
    ("GridSample", "f32[B, 3, 8, 8] f32[B, 5, 6, 2]", "", "f32[B, 3, 5, 6]"),
    ("LSTM", "f32[T, B, 4] f32[1, 32, 4] f32[1, 32, 8]", "hidden_size=8", "f32[T, 1, B, 8]"),
    ("LSTM", "f32[B, T, 4] f32[1, 32, 4] f32[1, 32, 8]", "hidden_size=8 layout=1", "f32[B, T, 1, 8]"),
    ("Einsum", "f32[B, T, 8] f32[B, S, 8]", "equation=bte,bse->bts", "f32[B, T, S]"),
    ("Einsum", "f32[B, T] f32[T, C]", "equation=bt,tc", "f32[B, C]"),
    ("Einsum", "f32[B, 3] f32[4, C]", "equation=bt,tc", "error: `t`"),
    ("Unique", "i64[B]", "", "i64[?]"),
    ("BitwiseAnd", "i32[B, 1] i32[3]", "", "i32[B, 3]"),
    ("RandomUniform", "", "shape=2,3", "f32[2, 3]"),
    // What does not fit: part of the message.
    ("Add", "f32[3] f32[4]", "", "error: do not broadcast"),
    ("Add", "f32[3] i64[3]", "", "error: one type"),
    ("MatMul", "f32[B, 3] f32[4, 5]", "", "error: cannot multiply"),
    ("Reshape", "f32[2, 3] =4,2", "", "error: cannot reshape"),
    ("Concat", "f32[B, 2] f32[B, 3]", "axis=0", "error: cannot concatenate"),
    ("Squeeze", "f32[B, 2] =1", "", "error: cannot squeeze"),
    ("Conv", "f32[1, 1, 8, 8] f32[1, 1, 3, 3]", "kernel_shape=3,2", "error: expected the `kernel_shape`"),
    (
        "Conv",
        "f32[1, 1, 8, 8] f32[1, 1, 3, 3]",
        "pads=0,0,9999999999,0",
        "error: expected strides, dilations, pads",
    ),
    ("Conv", "f32[B, 3, 8, 8] f32[4, 2, 3, 3]", "", "error: 3 channels"),
    ("Conv", "f32[B, 3, 2, 2] f32[4, 3, 3, 3]", "", "error: does not fit"),
    ("Slice", "f32[B] =0 =9 =0 =0", "", "error: step"),
    ("Transpose", "f32[B, 2]", "perm=0,0", "error: permutation"),
    ("Gather", "f32[B] f32[2]", "", "error: integer indices"),
    ("Gather", "f32[] i64[2]", "", "error: found a scalar"),
    ("ConstantOfShape", "=2,-3", "", "error: sizes of 0 or more"),
    ("Split", "f32[4] =1,2", "", "error: as many as sizes"),
];

/// The outputs as text, or the message of the error.
fn outcome(op: &str, inputs: &str, attrs: &str) -> String {
    let mut g = Graph::new("case");
    let mut values = vec![];
    // A shape has spaces inside its brackets only.
    let inputs = inputs.replace(", ", ";");
    for (i, text) in inputs.split_whitespace().enumerate() {
        values.push(match text.strip_prefix('=') {
            Some(ints) => {
                let ints: Vec<i64> = ints.split(',').map(|v| v.parse().unwrap()).collect();
                // One number is a scalar where the operator wants one.
                let scalar = ints.len() == 1 && matches!(op, "Range" | "OneHot");
                let dims = if scalar { vec![] } else { vec![ints.len()] };
                Some(g.constant(Tensor::from_i64(&dims, &ints).unwrap()))
            }
            None if text == "-" => None,
            None => {
                let (dtype, dims) = text.strip_suffix(']').unwrap().split_once('[').unwrap();
                let dims: Vec<Dim> = dims.split(';').filter(|d| !d.is_empty()).map(Dim::parse).collect();
                Some(g.input(&format!("x{i}"), DType::from_name(dtype).unwrap(), dims).unwrap())
            }
        });
    }
    let attrs: Attrs = attrs
        .split_whitespace()
        .map(|a| {
            let (name, value) = a.split_once('=').unwrap();
            let ints: Option<Vec<i64>> = value.split(',').map(|v| v.parse().ok()).collect();
            let list =
                (value.contains(',') && name != "equation") || matches!(name, "shape" | "perm" | "axes");
            let attr = match ints {
                Some(ints) if list => Attr::Ints(ints),
                Some(ints) => Attr::Int(ints[0]),
                None => Attr::Text(value.into()),
            };
            (name.to_owned(), attr)
        })
        .collect();
    match g.add_node(op, &values, attrs, 1) {
        Ok(outs) => g.value(outs[0]).describe(),
        Err(e) => {
            let message = e.to_string();
            assert!(message.contains("`case`") && message.contains(op), "the place is missing: {message}");
            format!("error: {message}")
        }
    }
}

#[test]
fn every_case_gives_what_the_specification_says() {
    let mut wrong = vec![];
    for (op, inputs, attrs, expected) in CASES {
        let found = outcome(op, inputs, attrs);
        let right = match expected.strip_prefix("error: ") {
            Some(part) => found.starts_with("error: ") && found.contains(part),
            None => found == *expected,
        };
        if !right {
            wrong.push(format!("{op}({inputs}; {attrs}): expected {expected}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sizes that are compared or chosen from stay known, so that conditions and targets follow from them.
#[test]
fn integers_are_compared_and_chosen() {
    let mut g = Graph::new("chosen");
    let x = g.input("x", DType::F32, vec!["B".into(), 3.into()]).unwrap();
    let shape = g.shape_of(x).unwrap();
    let mut element = |i: i64| {
        let at = g.constant(Tensor::scalar_i64(i));
        g.gather(shape, at, 0).unwrap()
    };
    let (b, three) = (element(0), element(1));
    let known = |g: &Graph, v| g.value(v).ints.as_ref().and_then(|all| all[0].known());
    let more = g.shift(b, 1.0).unwrap();
    for (op, of, expected) in [
        ("Less", [b, more], Some(1)),
        ("GreaterOrEqual", [b, more], Some(0)),
        ("LessOrEqual", [three, three], Some(1)),
        ("Greater", [b, three], None),
        ("Max", [three, three], Some(3)),
        ("Max", [b, three], None),
        ("Min", [three, three], Some(3)),
    ] {
        let y = g.op(op, &of, &[]).unwrap();
        assert_eq!(known(&g, y), expected, "{op}");
    }
    let same = g.op("Max", &[b, b], &[]).unwrap();
    assert_eq!(g.value(same).ints, g.value(b).ints);
    // What does not fit 32 bits is not known there.
    let large = g.constant(Tensor::scalar_i32(i32::MAX));
    let sum = g.op("Add", &[large, large], &[]).unwrap();
    assert_eq!(known(&g, sum), None);
}

/// Remainders have the sign of the divisor, as the specification says of integers.
#[test]
fn remainders_of_known_integers() {
    let mut g = Graph::new("mod");
    let mut rest = |a: i64, b: i64| {
        let (a, b) = (g.int_list(&[a]), g.int_list(&[b]));
        let y = g.op("Mod", &[a, b], &[]).unwrap();
        g.value(y).ints.as_ref().and_then(|ints| ints[0].known())
    };
    assert_eq!([rest(5, 3), rest(-5, 3), rest(5, -3), rest(-5, -3)], [2, 1, -1, -2].map(Some));
    assert_eq!([rest(5, 0), rest(i64::MIN, -1)], [None, None]);
}
