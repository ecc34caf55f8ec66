//! Products beside plain loops, and what becomes one.

use super::{
    product::{Matrix, Term, Threads, check, multiply_by},
    result::Places,
    rewrite,
    tile::{LARGEST, every},
};
use crate::fused::tests::built;
use ekphrasis_graph::{Graph, ValueId};

/// One thread, the last task first.
struct Backwards;

impl Threads for Backwards {
    fn each(&self, count: usize, task: impl Fn(usize) + Send + Sync) -> ort::Result<()> {
        (0..count).rev().for_each(task);
        Ok(())
    }
}

/// Numbers that follow no pattern.
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }

    /// Small whole numbers, whose sums are exact.
    fn some(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(9) as f32 - 4.0).collect()
    }

    /// Places in order: side by side, equally far apart, or anyhow.
    fn places(&mut self, n: usize) -> Vec<usize> {
        let (kind, step) = (self.below(4), self.below(5) + 1);
        let mut last = self.below(3);
        let far = |this: &mut Self| match kind {
            0 => 1,
            1 => step,
            2 => [1, 1, 1, 40][this.below(4)],
            _ => this.below(30) + 1,
        };
        let next = |_| {
            last += far(self);
            last
        };
        (0..n).map(next).collect()
    }
}

fn end(places: &[usize]) -> usize {
    places.last().map_or(1, |last| last + 1)
}

#[test]
fn every_tile_computes_what_plain_loops_do() {
    for tiles in every() {
        assert!(tiles.kinds.iter().all(|(rows, _)| *rows <= LARGEST[0]) && 2 * tiles.lanes <= LARGEST[1]);
        let mut numbers = Numbers(7);
        for round in 0..120 {
            let most = [[200, 20, 40], [30, 90, 300], [3, 3, 700]][round % 3];
            let [rows, columns, steps] = most.map(|most| numbers.below(most) + usize::from(round % 7 > 0));
            let terms = numbers.below(6) + 1;
            let lines = [numbers.places(rows), numbers.places(columns)];
            let all: Vec<[Vec<usize>; 2]> = (0..terms)
                .map(|_| {
                    let some = numbers.below(steps + 1);
                    [0, 1].map(|_| numbers.places(some))
                })
                .collect();
            let furthest = |i: usize| all.iter().map(|steps| end(&steps[i])).max().unwrap_or(1);
            let sides = [0, 1].map(|i| numbers.some(end(&lines[i]) + furthest(i)));
            let bias = (round % 2 == 0).then(|| numbers.some(columns));
            // Results row by row or column by column, terms beside each other.
            let apart =
                |outer: usize, inner: usize| (0..outer).map(|i| i * inner * terms).collect::<Vec<_>>();
            let (down, across) = match round % 5 < 3 {
                true => (apart(rows, columns), apart(columns, 1)),
                false => (apart(rows, 1), apart(columns, rows)),
            };
            let mut expected = vec![7.0; rows * columns * terms + 1];
            let [left, right] = &sides;
            for (t, steps) in all.iter().enumerate() {
                for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    let product =
                        |k: usize| left[lines[0][r] + steps[0][k]] * right[lines[1][c] + steps[1][k]];
                    let sum: f32 = (0..steps[0].len()).map(product).sum();
                    expected[down[r] + across[c] + t] = sum + bias.as_ref().map_or(0.0, |bias| bias[c]);
                }
            }
            let matrices = [0, 1].map(|i| Matrix { numbers: &sides[i], lines: lines[i].clone() });
            let terms = all.into_iter().enumerate().map(|(behind, steps)| Term { steps, behind }).collect();
            let mut result = vec![7.0; expected.len()];
            let places = Places::of(&mut result, down, across);
            // SAFETY: each row, column and term has its own place.
            unsafe { multiply_by(tiles, &Backwards, matrices, terms, bias.as_deref(), places) }.unwrap();
            assert!(result == expected, "{rows} rows, {columns} columns, {steps} steps");
        }
    }
}

#[test]
fn what_reaches_past_its_numbers_is_refused() {
    let numbers = [1.0; 12];
    let run = |lines: usize, steps: usize, others: usize, bias: usize, room: usize| {
        let matrix = |lines: usize| Matrix { numbers: &numbers, lines: (0..lines).map(|i| i * 4).collect() };
        let term = Term { steps: [(0..steps).collect(), (0..others).collect()], behind: 0 };
        let (mut result, bias) = (vec![0.0; room], vec![0.0; bias]);
        let places = Places::of(&mut result, (0..lines).map(|i| i * 3).collect(), (0..3).collect());
        check(&[matrix(lines), matrix(3)], &[term], Some(&bias), &places).is_ok()
    };
    assert!(run(3, 4, 4, 3, 9));
    assert!(!run(4, 4, 4, 3, 12), "a fourth row");
    assert!(!run(3, 5, 5, 3, 9), "a fifth step");
    assert!(!run(3, 4, 3, 3, 9), "unequal steps");
    assert!(!run(3, 4, 4, 2, 9), "a bias too short");
    assert!(!run(3, 4, 4, 3, 8), "too little room");
}

/// Operators of a graph of such inputs after the pass.
fn ops(
    shapes: &[&[i64]],
    build: impl Fn(&mut Graph, &[ValueId]) -> ekphrasis_graph::Result<ValueId>,
) -> Vec<String> {
    let g = built(shapes, build);
    let new = rewrite(&g).unwrap();
    let shape = |g: &Graph| g.value(g.output_named("y").unwrap()).shape.clone();
    assert_eq!(shape(&new), shape(&g));
    new.nodes().map(|(_, n)| n.op.clone()).collect()
}

const CONV: &str = "ekphrasis::Conv";

#[test]
fn convolutions_are_found() {
    let conv = |shapes: &[&[i64]], attrs: &[(&str, &[i64])]| {
        let found = ops(shapes, |g, x| {
            let attrs: Vec<_> = attrs.iter().map(|(name, values)| (*name, values.to_vec().into())).collect();
            g.op("Conv", x, &attrs)
        });
        found == [CONV]
    };
    assert!(conv(&[&[2, 8, 9, 9], &[16, 8, 3, 3]], &[("strides", &[2, 2]), ("pads", &[1, 1, 1, 1])]));
    assert!(conv(&[&[2, 8, 9, 9], &[16, 8, 3, 3], &[16]], &[]));
    assert!(!conv(&[&[2, 8, 9, 9], &[5, 8, 3, 3]], &[]), "few outputs");
    assert!(!conv(&[&[2, 3, 9, 9], &[16, 3, 3, 3]], &[]), "few products");
    assert!(!conv(&[&[2, 64, 9, 9], &[16, 64, 1, 1]], &[]), "a plain product");
    assert!(!conv(&[&[2, 8, 9], &[16, 8, 3]], &[]), "one dimension");
    let grouped = ops(&[&[2, 16, 9, 9], &[16, 8, 3, 3]], |g, x| g.op("Conv", x, &[("group", 2.into())]));
    assert_eq!(grouped, ["Conv"]);
    let constant = ops(&[&[2, 16, 9, 9]], |g, x| {
        let w = ekphrasis_graph::Tensor::from_f32(&[16, 16, 3, 3], &[0.0; 2304])?;
        let w = g.constant(w);
        g.op("Conv", &[x[0], w], &[])
    });
    assert_eq!(constant, ["Conv"], "ONNX Runtime blocks it");
    let automatic =
        ops(&[&[2, 16, 9, 9], &[16, 16, 3, 3]], |g, x| g.op("Conv", x, &[("auto_pad", "VALID".into())]));
    assert_eq!(automatic, ["Conv"]);
}

#[test]
fn weights_of_the_way_back_are_read_as_they_lie() {
    let turned = |axes: &'static [i64], first: i64| {
        ops(&[&[2, 16, 9, 9], &[16, 8, 3, 3]], |g, x| {
            let w = g.transpose(x[1], &[1, 0, 2, 3])?;
            let w = g.slice(
                w,
                axes,
                &vec![first; axes.len()],
                &vec![-i64::MAX; axes.len()],
                &vec![-1; axes.len()],
            )?;
            g.op("Conv", &[x[0], w], &[])
        })
    };
    assert_eq!(turned(&[2, 3], -1), [CONV]);
    assert_eq!(turned(&[3], -1), ["Transpose", "Slice", CONV], "one axis");
    assert_eq!(turned(&[2, 3], -2), ["Transpose", "Slice", CONV], "a part");
}

#[test]
fn transposed_convolutions_are_found() {
    let found = |attrs: &[(&str, ekphrasis_graph::Attr)]| {
        ops(&[&[2, 16, 5, 5], &[16, 8, 4, 4]], |g, x| g.op("ConvTranspose", x, attrs))
            == ["ekphrasis::ConvTranspose"]
    };
    assert!(found(&[("strides", vec![2i64, 2].into())]));
    assert!(found(&[]));
    assert!(!found(&[("group", 2.into())]));
    assert!(!found(&[("auto_pad", "SAME_UPPER".into())]));
}

#[test]
fn products_of_matrices_are_found() {
    let gemm = |shapes: &[&[i64]], attrs: &[(&str, ekphrasis_graph::Attr)]| {
        ops(shapes, |g, x| g.op("Gemm", x, attrs)) == ["ekphrasis::Gemm"]
    };
    let [turned, other] = [|| ("transA", 1.into()), || ("transB", 1.into())];
    assert!(gemm(&[&[40, 300], &[40, 20]], &[turned()]));
    assert!(gemm(&[&[40, 16], &[16, 20]], &[]));
    assert!(gemm(&[&[40, 16], &[20, 16], &[20]], &[other()]));
    assert!(!gemm(&[&[300, 16], &[16, 20]], &[]), "many rows");
    assert!(!gemm(&[&[1, 16], &[16, 20]], &[]), "one row");
    assert!(!gemm(&[&[40, 1], &[40, 20]], &[turned()]), "one row, turned");
    assert!(!gemm(&[&[40, 16], &[16, 8]], &[]), "few columns");
    assert!(!gemm(&[&[40, 16], &[16, 20]], &[("alpha", 0.5.into())]));
    assert!(!gemm(&[&[40, 16], &[16, 20], &[20]], &[("beta", 0.5.into())]));
    assert!(!gemm(&[&[40, 16], &[16, 20], &[40, 20]], &[]), "no bias for each column");
}

const GRADIENT: &str = "ekphrasis::ConvWeightGradient";

#[test]
fn weight_gradients_are_found_in_convolutions() {
    let conv = |bias: bool, perm: &'static [i64]| {
        ops(&[&[2, 8, 9, 9], &[2, 6, 7, 7], &[6]], |g, x| {
            let (image, kernel) = (g.transpose(x[0], &[1, 0, 2, 3])?, g.transpose(x[1], &[1, 0, 2, 3])?);
            let inputs = [image, kernel, x[2]];
            let dw = g.op("Conv", &inputs[..if bias { 3 } else { 2 }], &[])?;
            g.transpose(dw, perm)
        })
    };
    assert_eq!(conv(false, &[1, 0, 2, 3]), [GRADIENT]);
    assert!(!conv(true, &[1, 0, 2, 3]).contains(&GRADIENT.to_owned()), "something added");
    assert!(!conv(false, &[0, 1, 3, 2]).contains(&GRADIENT.to_owned()), "turned otherwise");
}

#[test]
fn weight_gradients_are_found_in_products_of_patches() {
    let patches = |border: f64, order: [[i64; 2]; 4], axis: i64| {
        ops(&[&[2, 3, 8, 8], &[2, 6, 8, 8]], |g, x| {
            let pads = g.int_list(&[0, 0, 1, 1, 0, 0, 1, 1]);
            let (image, value) = (g.transpose(x[0], &[1, 0, 2, 3])?, g.scalar_like(x[0], border));
            let padded = g.op("Pad", &[image, pads, value], &[])?;
            let part = |start: [i64; 2]| g.slice(padded, &[2, 3], &start, &start.map(|s| s + 8), &[1, 1]);
            let parts = order.map(part).into_iter().collect::<ekphrasis_graph::Result<Vec<_>>>()?;
            let patches = g.concat(&parts, axis)?;
            let patches = g.reshape(patches, &[12.into(), 128.into()])?;
            let dy = g.transpose(x[1], &[1, 0, 2, 3])?;
            let dy = g.reshape(dy, &[6.into(), 128.into()])?;
            g.op("Gemm", &[dy, patches], &[("transB", 1.into())])
        })
    };
    let grid = [[0, 0], [0, 1], [1, 0], [1, 1]];
    assert_eq!(patches(0.0, grid, 1), [GRADIENT, "Reshape"]);
    let other = |ops: Vec<String>| !ops.contains(&GRADIENT.to_owned());
    assert!(other(patches(1.0, grid, 1)), "the border is no padding");
    assert!(other(patches(0.0, grid, 0)), "another axis");
    assert!(other(patches(0.0, [[0, 0], [1, 0], [0, 1], [1, 1]], 1)), "another order");
    assert!(other(patches(0.0, [[1, 1], [1, 2], [2, 1], [2, 2]], 1)), "not from the corner");
}
