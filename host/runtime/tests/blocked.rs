//! Convolutions in the blocked layout compute what the standard operators do.

mod common;

use common::runtime;
use ekphrasis_graph::{Attr, Attrs, DType, Dim, Graph, ValueId};
use ekphrasis_runtime::{DeviceTensor, SessionOptions};

/// A tensor of numbers that follow no pattern.
fn numbers(dims: &[usize], seed: u32) -> DeviceTensor {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let values = std::iter::repeat_with(next).take(dims.iter().product()).collect();
    DeviceTensor::from_f32(dims, values).unwrap()
}

/// Shapes of picture and weight, and attributes.
type Case = (&'static [usize], &'static [usize], &'static [(&'static str, &'static [i64])]);

/// Runs an operator on inputs of these shapes as it is and blocked.
fn compare(op: &str, shapes: &[&[usize]], attrs: &[(&str, &[i64])], batch: Dim) {
    let attrs: Attrs =
        attrs.iter().map(|(name, values)| ((*name).to_owned(), Attr::Ints(values.to_vec()))).collect();
    let place = format!("{op} {shapes:?} {attrs:?}");
    compare_graphs(&place, shapes, batch, |g, ids| {
        let ids: Vec<_> = ids.iter().copied().map(Some).collect();
        g.add_node(op, &ids, attrs.clone(), 1).unwrap()[0]
    });
}

/// Runs what `build` makes of inputs of these shapes as it is and blocked.
fn compare_graphs(
    place: &str,
    shapes: &[&[usize]],
    batch: Dim,
    build: impl Fn(&mut Graph, &[ValueId]) -> ValueId,
) {
    let runtime = runtime();
    let mut g = Graph::new(place);
    let (mut ids, mut tensors) = (vec![], vec![]);
    for (i, dims) in shapes.iter().enumerate() {
        let mut shape: Vec<Dim> = dims.iter().map(|d| Dim::from(*d)).collect();
        if i == 0 {
            shape[0] = batch.clone();
        }
        ids.push(g.input(&format!("x{i}"), DType::F32, shape).unwrap());
        tensors.push((format!("x{i}"), numbers(dims, i as u32 + 1)));
    }
    let y = build(&mut g, &ids);
    // Something behind it, so that it is not the output itself.
    let y = g.add(y, y).unwrap();
    g.output("y", y).unwrap();
    let feeds: Vec<(&str, &DeviceTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let run = |blocked: bool| {
        let options = SessionOptions { blocked, ..SessionOptions::default() };
        let out = runtime.session(&g, &options).unwrap().run(&feeds).unwrap();
        (out[0].dims().to_vec(), out[0].to_f32().unwrap())
    };
    let ((dims, standard), (blocked_dims, blocked)) = (run(false), run(true));
    assert_eq!(dims, blocked_dims, "{place}");
    let scale = standard.iter().fold(0f32, |m, v| m.max(v.abs()));
    let off = standard.iter().zip(&blocked).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(off <= 2e-5 * scale, "{place}: off by {off} of {scale}");
}

#[test]
fn convolutions() {
    let cases: [Case; 9] = [
        (&[2, 16, 9, 7], &[32, 16, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        (&[3, 32, 8, 8], &[64, 32, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 64, 5, 6], &[16, 64, 1, 1], &[]),
        (&[2, 16, 12, 12], &[16, 16, 3, 2], &[("dilations", &[2, 3]), ("pads", &[0, 2, 1, 0])]),
        // Pictures that are read as they lie.
        (&[2, 3, 9, 9], &[32, 3, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 7, 6, 6], &[24, 7, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        // Channels that do not fill their blocks.
        (&[2, 24, 8, 8], &[32, 24, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        (&[2, 32, 8, 8], &[24, 32, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        // A weight gradient: the kernel is as large as the picture.
        (&[16, 32, 16, 16], &[32, 32, 8, 8], &[("pads", &[1, 1, 1, 1]), ("dilations", &[2, 2])]),
    ];
    for (x, w, attrs) in cases {
        compare("Conv", &[x, w], attrs, "B".into());
        compare("Conv", &[x, w, &w[..1]], attrs, x[0].into());
    }
}

#[test]
fn transposed_convolutions() {
    let cases: [Case; 8] = [
        (&[2, 12, 4, 4], &[12, 16, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 16, 4, 4], &[16, 12, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 32, 4, 5], &[32, 16, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (
            &[2, 16, 4, 4],
            &[16, 32, 3, 3],
            &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2]), ("output_padding", &[1, 1])],
        ),
        (&[2, 48, 8, 8], &[48, 24, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 16, 3, 3], &[16, 16, 5, 7], &[("pads", &[1, 2, 1, 2]), ("strides", &[3, 3])]),
        (&[2, 16, 3, 3], &[16, 16, 2, 2], &[("strides", &[2, 2])]),
        (&[2, 16, 4, 4], &[16, 16, 4, 3], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 1])]),
    ];
    for (x, w, attrs) in cases {
        compare("ConvTranspose", &[x, w], attrs, "B".into());
        compare("ConvTranspose", &[x, w, &[w[1]]], attrs, x[0].into());
    }
}

/// The weight of the way back is the other's with channels swapped and positions flipped.
#[test]
fn turned_weights() {
    let weights: [&[usize]; 6] = [
        &[32, 16, 3, 3],
        &[24, 32, 2, 3],
        &[16, 32, 1, 1],
        &[32, 48, 1, 4],
        &[12, 16, 3, 3],
        &[16, 12, 3, 3],
    ];
    for w in weights {
        // Two that look alike and are not: one axis flipped, and a part of the positions.
        for (axes, first) in [(&[2, 3][..], -1), (&[3], -1), (&[2, 3], -2)] {
            if first == -2 && w[2].min(w[3]) < 2 {
                continue;
            }
            let place = format!("{w:?} turned, {axes:?} from {first}");
            compare_graphs(&place, &[&[2, w[0], 6, 5], w], "B".into(), |g, ids| {
                let turned = g.transpose(ids[1], &[1, 0, 2, 3]).unwrap();
                let n = axes.len();
                let ends = vec![-i64::MAX; n];
                let turned = g.slice(turned, axes, &vec![first; n], &ends, &vec![-1; n]).unwrap();
                g.op("Conv", &[ids[0], turned], &[]).unwrap()
            });
        }
    }
}
