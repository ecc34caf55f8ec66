//! Literals made of literals: small tensors that exporters compute from numbers which are known.
//!
//! Only what has one exact result is folded: moves of data, and single operations of IEEE arithmetic.

use crate::{Attrs, AttrsExt, DType, Dim, Graph, Origin, Result, Tensor, ValueId, infer::Info};

/// Larger tensors are left to the runtime.
const ELEMENTS: usize = 64;

impl Graph {
    /// The value of a node that needs no run time: integers that follow from shapes, and what is folded.
    pub(crate) fn literal_of(
        &self,
        op: &str,
        inputs: &[Option<ValueId>],
        attrs: &Attrs,
        outputs: &[Info],
    ) -> Result<Option<Tensor>> {
        let [output] = outputs else { return Ok(None) };
        let ints = output.ints.as_ref().and_then(|d| d.iter().map(Dim::known).collect::<Option<Vec<_>>>());
        if let Some(known) = ints {
            let scalar = output.shape.as_ref().is_some_and(Vec::is_empty);
            let dims = if scalar { vec![] } else { vec![known.len()] };
            match output.dtype {
                DType::I64 => return Ok(Some(Tensor::from_i64(&dims, &known)?)),
                DType::I32 => {
                    let narrow: Result<Vec<i32>, _> = known.iter().map(|n| i32::try_from(*n)).collect();
                    if let Ok(narrow) = narrow {
                        return Ok(Some(Tensor::from_i32(&dims, &narrow)?));
                    }
                }
                DType::Bool => {
                    let data: Vec<u8> = known.iter().map(|n| u8::from(*n != 0)).collect();
                    return Ok(Some(Tensor::new(DType::Bool, &dims, data)?));
                }
                _ => {}
            }
        }
        let tensor = |i: &Option<ValueId>| match &self.value((*i)?).origin {
            Origin::Constant(t) => Some(&**t),
            _ => None,
        };
        let literals: Option<Vec<&Tensor>> = inputs.iter().map(tensor).collect();
        Ok(literals.and_then(|all| fold(op, &all, attrs, output)))
    }
}

/// The value of a node whose inputs are all literals, where it is one of those that are folded.
fn fold(op: &str, inputs: &[&Tensor], attrs: &Attrs, output: &Info) -> Option<Tensor> {
    let dims: Vec<usize> = output
        .shape
        .as_ref()?
        .iter()
        .map(|d| d.known().and_then(|n| n.try_into().ok()))
        .collect::<Option<_>>()?;
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let small = |n: usize| n <= ELEMENTS;
    if inputs.is_empty() || !count.is_some_and(small) || !inputs.iter().all(|t| small(t.len())) {
        return None;
    }
    let first = inputs[0];
    match op {
        "Unsqueeze" | "Squeeze" | "Reshape" | "Flatten" => {
            Tensor::new(first.dtype(), &dims, first.bytes()).ok()
        }
        // Of vectors, which lie one behind the other.
        "Concat" if dims.len() == 1 => Tensor::new(
            first.dtype(),
            &dims,
            inputs.iter().flat_map(|t| t.bytes()).copied().collect::<Vec<_>>(),
        )
        .ok(),
        "Transpose" => {
            let rank = dims.len();
            let order = attrs.ints("perm").map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
            let place = |out: &[usize]| {
                let mut at = vec![0; rank];
                order.iter().zip(out).try_for_each(|(axis, i)| {
                    at.get_mut(usize::try_from(*axis).ok()?).map(|slot| *slot = *i)
                })?;
                Some(at)
            };
            moved(first, &dims, place)
        }
        "Slice" => slice(inputs, &dims),
        "Cast" if first.dtype() == output.dtype => Some(first.clone()),
        "Cast" => cast(first, output.dtype, &dims),
        "Add" | "Sub" | "Mul" | "Div" | "Floor" | "Ceil" | "Sqrt" => match first.dtype() {
            DType::F32 => {
                let all = inputs.iter().map(|t| t.to_f32()).collect::<Option<Vec<_>>>()?;
                Tensor::from_f32(&dims, &arithmetic(op, &all, &dims)?).ok()
            }
            DType::F64 => {
                let all = inputs.iter().map(|t| t.to_f64()).collect::<Option<Vec<_>>>()?;
                Tensor::from_f64(&dims, &arithmetic(op, &all, &dims)?).ok()
            }
            _ => None,
        },
        _ => None,
    }
}

/// The elements of `x` at the places that `place` gives for those of the result.
fn moved(x: &Tensor, dims: &[usize], place: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Option<Tensor> {
    let size = x.dtype().size();
    let mut data = vec![];
    for n in 0..dims.iter().product::<usize>() {
        let (mut out, mut rest) = (vec![0; dims.len()], n);
        for (i, d) in dims.iter().enumerate().rev() {
            (out[i], rest) = (rest % d, rest / d);
        }
        let at = place(&out)?.iter().zip(x.dims()).fold(0, |at, (i, d)| at * d + i);
        data.extend(x.bytes().get(at * size..(at + 1) * size)?);
    }
    Tensor::new(x.dtype(), dims, data).ok()
}

/// Starts, axes and steps in ONNX's manner: counted from the end where they are negative, and clamped.
fn slice(inputs: &[&Tensor], dims: &[usize]) -> Option<Tensor> {
    let [x, starts, _, rest @ ..] = inputs else { return None };
    let rank = x.dims().len() as i64;
    let starts = starts.as_ints()?;
    let axes = rest.first().map_or_else(|| Some((0..starts.len() as i64).collect()), |t| t.as_ints())?;
    let steps = rest.get(1).map_or_else(|| Some(vec![1; starts.len()]), |t| t.as_ints())?;
    let (mut from, mut by) = (vec![0; dims.len()], vec![1; dims.len()]);
    for ((axis, start), step) in axes.iter().zip(starts).zip(steps) {
        let axis = usize::try_from(if *axis < 0 { axis + rank } else { *axis }).ok()?;
        let n = i64::try_from(*x.dims().get(axis)?).ok()?;
        let start = if start < 0 { start.saturating_add(n) } else { start };
        from[axis] = start.clamp(0, if step < 0 { n - 1 } else { n });
        by[axis] = step;
    }
    moved(x, dims, |out| {
        let place = |((i, from), by): ((&usize, &i64), &i64)| usize::try_from(from + *i as i64 * by).ok();
        out.iter().zip(&from).zip(&by).map(place).collect()
    })
}

/// Between integers, f32 and f64, where the value stays what it is.
fn cast(x: &Tensor, to: DType, dims: &[usize]) -> Option<Tensor> {
    let values: Vec<f64> = match x.dtype() {
        DType::F32 => x.to_f32()?.into_iter().map(f64::from).collect(),
        DType::F64 => x.to_f64()?,
        DType::I64 | DType::I32 => x.as_ints()?.into_iter().map(|v| v as f64).collect(),
        _ => return None,
    };
    // Up to here a float of either width holds every integer.
    let whole = |v: &f64| v.fract() == 0.0 && v.abs() <= f64::from(1 << 24);
    match to {
        DType::I64 if values.iter().all(whole) => {
            Tensor::from_i64(dims, &values.iter().map(|v| *v as i64).collect::<Vec<_>>()).ok()
        }
        DType::F32 if x.dtype() == DType::F32 || values.iter().all(whole) => {
            Tensor::from_f32(dims, &values.iter().map(|v| *v as f32).collect::<Vec<_>>()).ok()
        }
        DType::F64 if x.dtype().is_float() || values.iter().all(whole) => {
            Tensor::from_f64(dims, &values).ok()
        }
        _ => None,
    }
}

/// A type that computes.
trait Number:
    Copy
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
{
    fn round(self, op: &str) -> Option<Self>;
}

macro_rules! number {
    ($($t:ty),+) => {$(
        impl Number for $t {
            fn round(self, op: &str) -> Option<Self> {
                match op {
                    "Floor" => Some(self.floor()),
                    "Ceil" => Some(self.ceil()),
                    "Sqrt" => Some(self.sqrt()),
                    _ => None,
                }
            }
        }
    )+};
}
number!(f32, f64);

/// Elementwise, of operands that are as large as the result or have one element.
fn arithmetic<T: Number>(op: &str, all: &[Vec<T>], dims: &[usize]) -> Option<Vec<T>> {
    let n: usize = dims.iter().product();
    let at = |v: &Vec<T>, i: usize| if v.len() == 1 { v.first().copied() } else { v.get(i).copied() };
    if all.iter().any(|v| v.len() != 1 && v.len() != n) {
        return None;
    }
    (0..n)
        .map(|i| match all {
            [x] => at(x, i)?.round(op),
            [x, y] => {
                let (x, y) = (at(x, i)?, at(y, i)?);
                Some(match op {
                    "Add" => x + y,
                    "Sub" => x - y,
                    "Mul" => x * y,
                    "Div" => x / y,
                    _ => return None,
                })
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{Attr, DType, Graph, Tensor};

    /// As PyTorch turns `(left, right, top, bottom)` into pads of ONNX.
    #[test]
    fn pads_that_exporters_reorder_become_literals() {
        let mut g = Graph::new("padded");
        let given = g.int_list(&[1, 2, 3, 4]);
        let (more, two) = (g.int_list(&[4]), g.int_list(&[-1, 2]));
        let zeros =
            g.op("ConstantOfShape", &[more], &[("value", Tensor::from_i64(&[1], &[0]).unwrap().into())]);
        let all = g.concat(&[given, zeros.unwrap()], 0).unwrap();
        let pairs = g.reshape_to(all, two).unwrap();
        let reversed = g.slice(pairs, &[0], &[-1], &[i64::MIN + 1], &[-1]).unwrap();
        let turned = g.op("Transpose", &[reversed], &[("perm", Attr::Ints(vec![1, 0]))]).unwrap();
        let line = g.int_list(&[-1]);
        let pads = g.reshape_to(turned, line).unwrap();
        let pads = g.op("Cast", &[pads], &[("to", Attr::Int(7))]).unwrap();
        assert_eq!(g.value(pads).tensor().and_then(|t| t.to_i64()), Some(vec![0, 0, 3, 1, 0, 0, 4, 2]));
        assert!(g.value(pads).ints.is_some());
    }

    #[test]
    fn sizes_that_exporters_compute_become_literals() {
        let mut g = Graph::new("resized");
        let x = g.input("x", DType::F32, [2i64, 3, 5, 4].map(Into::into).to_vec()).unwrap();
        let shape = g.shape_of(x).unwrap();
        let sizes = g.slice(shape, &[0], &[2], &[4], &[1]).unwrap();
        let sizes = g.cast(sizes, DType::F32).unwrap();
        let half = g.scale(sizes, 0.5).unwrap();
        let half = g.op("Floor", &[half], &[]).unwrap();
        let ones = g.constant(Tensor::from_f32(&[2], &[1.0, 1.0]).unwrap());
        let all = g.concat(&[ones, half], 0).unwrap();
        assert_eq!(g.value(all).tensor().and_then(|t| t.to_f32()), Some(vec![1.0, 1.0, 2.0, 2.0]));
        let whole = g.cast(all, DType::I64).unwrap();
        assert_eq!(g.value(whole).ints.as_ref().map(Vec::len), Some(4));
        assert_eq!(g.nodes().len(), 0);
        // What is no whole number is not guessed at, and parameters are no literals.
        let third = g.constant(Tensor::from_f32(&[1], &[1.5]).unwrap());
        let cut = g.op("Cast", &[third], &[("to", Attr::Int(7))]).unwrap();
        let weight = g.initializer("w", Tensor::from_f32(&[1], &[1.5]).unwrap().into()).unwrap();
        let twice = g.add(weight, third).unwrap();
        assert!(g.value(cut).tensor().is_none() && g.value(twice).tensor().is_none());
    }
}
