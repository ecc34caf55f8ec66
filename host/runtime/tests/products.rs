//! Products of our own compute what the standard operators do.

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

/// Runs an operator on inputs of these shapes as it is and with products of our own.
fn compare(op: &str, shapes: &[&[usize]], attrs: &[(&str, &[i64])], batch: Dim) {
    let attrs: Attrs =
        attrs.iter().map(|(name, values)| ((*name).to_owned(), Attr::Ints(values.to_vec()))).collect();
    let place = format!("{op} {shapes:?} {attrs:?}");
    compare_graphs(&place, shapes, batch, |g, ids| {
        let ids: Vec<_> = ids.iter().copied().map(Some).collect();
        g.add_node(op, &ids, attrs.clone(), 1).unwrap()[0]
    });
}

/// Runs what `build` makes of inputs of these shapes as it is and with products of our own.
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
    let run = |products: bool| {
        let options = SessionOptions { products, ..SessionOptions::default() };
        let out = runtime.session(&g, &options).unwrap().run(&feeds).unwrap();
        (out[0].dims().to_vec(), out[0].to_f32().unwrap())
    };
    let ((dims, standard), (own_dims, own)) = (run(false), run(true));
    assert_eq!(dims, own_dims, "{place}");
    let scale = standard.iter().fold(0f32, |m, v| m.max(v.abs()));
    let off = standard.iter().zip(&own).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(off <= 2e-5 * scale, "{place}: off by {off} of {scale}");
}

#[test]
fn convolutions() {
    let cases: [Case; 16] = [
        (&[2, 16, 9, 7], &[32, 16, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        (&[3, 32, 8, 8], &[64, 32, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 64, 5, 6], &[16, 64, 1, 1], &[]),
        (&[2, 16, 12, 12], &[16, 16, 3, 2], &[("dilations", &[2, 3]), ("pads", &[0, 2, 1, 0])]),
        // Few inputs.
        (&[2, 3, 9, 9], &[32, 3, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 7, 6, 6], &[24, 7, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        // Outputs that do not fill their vectors.
        (&[2, 24, 8, 8], &[32, 24, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        (&[2, 32, 8, 8], &[24, 32, 4, 4], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
        (&[2, 24, 8, 8], &[7, 24, 3, 3], &[]),
        // No padding, planes of 4 kB; input that no window reaches; fewer positions than outputs.
        (&[2, 16, 32, 32], &[16, 16, 3, 3], &[]),
        (&[2, 16, 10, 11], &[16, 16, 3, 2], &[("strides", &[3, 4])]),
        (&[1, 64, 3, 3], &[48, 64, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        // Few positions, which see more padding than picture.
        (&[3, 32, 2, 2], &[48, 32, 3, 3], &[("pads", &[1, 1, 1, 1])]),
        (&[40, 16, 3, 2], &[16, 16, 3, 5], &[("pads", &[1, 2, 1, 2]), ("strides", &[2, 1])]),
        (&[3, 32, 4, 4], &[16, 32, 4, 4], &[]),
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
    let cases: [Case; 12] = [
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
        // Positions that see no weight; phases of unequal size; many phases; no stride.
        (&[2, 16, 3, 4], &[16, 3, 2, 1], &[("strides", &[3, 2])]),
        (&[2, 16, 4, 3], &[16, 9, 3, 3], &[("strides", &[2, 2]), ("dilations", &[2, 1])]),
        (&[1, 8, 3, 3], &[8, 17, 7, 7], &[("strides", &[5, 6]), ("pads", &[2, 1, 3, 0])]),
        (&[2, 16, 5, 5], &[16, 8, 3, 3], &[("pads", &[1, 1, 1, 1])]),
    ];
    for (x, w, attrs) in cases {
        compare("ConvTranspose", &[x, w], attrs, "B".into());
        compare("ConvTranspose", &[x, w, &[w[1]]], attrs, x[0].into());
    }
}

/// The weight of the way back is the other's with channels swapped and positions flipped.
#[test]
fn turned_weights() {
    let weights: [&[usize]; 7] = [
        &[32, 16, 6, 4],
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

/// Sizes of pictures, of gradients and of the window, strides, dilations, and padding before and behind.
type Gradient = ([usize; 4], [usize; 4], [i64; 2], [i64; 2], [i64; 2], [i64; 2], [i64; 2]);

const GRADIENTS: [Gradient; 8] = [
    ([3, 5, 8, 9], [3, 7, 8, 9], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]),
    ([3, 5, 8, 9], [3, 40, 8, 8], [1, 2], [1, 1], [1, 1], [0, 0], [0, 0]),
    ([2, 3, 9, 8], [2, 4, 4, 4], [4, 4], [2, 2], [1, 1], [1, 1], [1, 1]),
    ([2, 6, 9, 8], [2, 4, 3, 4], [2, 3], [3, 2], [2, 1], [0, 1], [0, 1]),
    ([2, 70, 3, 2], [2, 33, 3, 2], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]),
    ([4, 3, 32, 32], [4, 2, 30, 30], [3, 3], [1, 1], [1, 1], [0, 0], [0, 0]),
    ([2, 9, 6, 6], [2, 8, 6, 6], [1, 1], [1, 1], [1, 1], [0, 0], [0, 0]),
    // The last row and column are never seen.
    ([2, 5, 6, 6], [2, 8, 2, 2], [3, 3], [2, 2], [1, 1], [0, 0], [-1, -1]),
];

/// A convolution of pictures by gradients, channels first.
#[test]
fn weight_gradients_by_convolution() {
    for (x, dy, kernel, strides, dilations, before, behind) in GRADIENTS {
        let place = format!("{x:?} {dy:?} {kernel:?} {strides:?} {dilations:?}");
        compare_graphs(&place, &[&x, &dy], x[0].into(), |g, ids| {
            let (x, dy) =
                (g.transpose(ids[0], &[1, 0, 2, 3]).unwrap(), g.transpose(ids[1], &[1, 0, 2, 3]).unwrap());
            let pads = [before, behind.map(|p| p.max(0))].concat();
            // What are strides to the weight are dilations here.
            let attrs = [
                ("strides", dilations.to_vec().into()),
                ("dilations", strides.to_vec().into()),
                ("pads", pads.into()),
            ];
            let mut dw = g.op("Conv", &[x, dy], &attrs).unwrap();
            if behind[0] < 0 {
                dw = g.slice(dw, &[2, 3], &[0, 0], &kernel, &[1, 1]).unwrap();
            }
            g.transpose(dw, &[1, 0, 2, 3]).unwrap()
        });
    }
}

/// A product of gradients by the patches that the window sees.
#[test]
fn weight_gradients_by_patches() {
    for (x, dy, kernel, strides, dilations, before, behind) in GRADIENTS {
        // Not only zeros around, and patches in another order, must stay as they are.
        for (border, backwards) in [(0.0, false), (0.5, false), (0.0, true)] {
            let place = format!("{x:?} {dy:?} {kernel:?} {strides:?} {dilations:?} {border} {backwards}");
            compare_graphs(&place, &[&x, &dy], x[0].into(), |g, ids| {
                let mut image = g.transpose(ids[0], &[1, 0, 2, 3]).unwrap();
                if before.iter().chain(&behind).any(|p| *p > 0) {
                    let pads = g.int_list(&[0, 0, before[0], before[1], 0, 0, behind[0], behind[1]]);
                    let value = g.scalar_like(image, border);
                    image = g.op("Pad", &[image, pads, value], &[]).unwrap();
                }
                let mut parts = vec![];
                for (y, x) in (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y, x))) {
                    let starts = [y * dilations[0], x * dilations[1]];
                    let end = |i: usize| starts[i] + (dy[i + 2] as i64 - 1) * strides[i] + 1;
                    parts.push(g.slice(image, &[2, 3], &starts, &[end(0), end(1)], &strides).unwrap());
                }
                if backwards {
                    parts.reverse();
                }
                let patches = if parts.len() == 1 { image } else { g.concat(&parts, 1).unwrap() };
                let summed = (dy[0] * dy[2] * dy[3]) as i64;
                let rows = x[1] as i64 * kernel[0] * kernel[1];
                let flat = |g: &mut Graph, v: ValueId, rows: i64| {
                    g.reshape(v, &[rows.into(), summed.into()]).unwrap()
                };
                let patches = flat(g, patches, rows);
                let dy_first = g.transpose(ids[1], &[1, 0, 2, 3]).unwrap();
                let dy_first = flat(g, dy_first, dy[1] as i64);
                g.op("Gemm", &[dy_first, patches], &[("transB", 1.into())]).unwrap()
            });
        }
    }
}

#[test]
fn products_of_matrices() {
    for (rows, columns, steps) in
        [(40, 33, 700), (16, 100, 1), (129, 1000, 300), (2, 17, 1024), (200, 16, 33)]
    {
        for (turned_a, turned_b, biased) in
            [(true, false, false), (false, true, true), (false, false, true), (true, true, false)]
        {
            let a = if turned_a { [steps, rows] } else { [rows, steps] };
            let b = if turned_b { [columns, steps] } else { [steps, columns] };
            let shapes: [&[usize]; 3] = [&a, &b, &[columns]];
            let batch = a[0].into();
            compare_graphs(&format!("{a:?} {b:?}"), &shapes[..2 + usize::from(biased)], batch, |g, ids| {
                let attrs = [("transA", i64::from(turned_a).into()), ("transB", i64::from(turned_b).into())];
                g.op("Gemm", ids, &attrs).unwrap()
            });
        }
    }
}
