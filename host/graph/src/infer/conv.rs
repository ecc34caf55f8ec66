//! Convolutions, pooling, resizing and recurrent layers.

use super::{Args, Infer, Info, axis, div_ceil};
use crate::{Attr, AttrsExt, DType, Dim, Shape, dim::show};

pub(super) fn infer(op: &str, a: &Args) -> Infer<Option<Vec<Info>>> {
    Ok(Some(match op {
        "Conv" => vec![conv(a)?],
        "ConvTranspose" => vec![conv_transpose(a)?],
        "MaxPool" | "AveragePool" | "LpPool" => pool(a)?,
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => vec![Info::new(
            a.dtype(0)?,
            a.shape(0)?.map(|s| {
                s.iter().enumerate().map(|(i, d)| if i < 2 { d.clone() } else { Dim::Known(1) }).collect()
            }),
        )],
        "Resize" | "Upsample" => vec![resize(a)?],
        "LSTM" | "GRU" | "RNN" => recurrent(op, a)?,
        _ => return Ok(None),
    }))
}

/// No window is larger, so that sums and products of its sizes with those of tensors stay exact.
const LARGEST: u64 = i32::MAX as u64;

/// Window attributes of a convolution or pooling over `spatial` dimensions.
struct Window {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: Vec<i64>,
    auto: String,
}

impl Window {
    fn new(a: &Args, kernel: Vec<i64>) -> Infer<Self> {
        let n = kernel.len();
        let list = |name: &str, len: usize, default: i64| -> Infer<Vec<i64>> {
            match a.attrs.ints(name) {
                Some(v) if v.len() == len => Ok(v.to_vec()),
                Some(v) => Err(format!("expected {len} {name}, found {} of them", v.len())),
                None => Ok(vec![default; len]),
            }
        };
        let this = Self {
            strides: list("strides", n, 1)?,
            dilations: list("dilations", n, 1)?,
            pads: list("pads", 2 * n, 0)?,
            auto: a.attrs.text("auto_pad", "NOTSET").to_owned(),
            kernel,
        };
        if this.strides.iter().chain(&this.dilations).chain(&this.kernel).any(|v| *v < 1) {
            return Err("expected strides, dilations and kernel sizes of 1 or more".into());
        }
        let all = this.strides.iter().chain(&this.dilations).chain(&this.kernel).chain(&this.pads);
        if let Some(wide) = all.clone().find(|v| v.unsigned_abs() > LARGEST) {
            return Err(format!(
                "expected strides, dilations, pads and kernel sizes below {LARGEST}, found {wide}"
            ));
        }
        Ok(this)
    }

    fn extent(&self, i: usize) -> i64 {
        self.dilations[i].saturating_mul(self.kernel[i] - 1).saturating_add(1)
    }

    fn pad(&self, i: usize) -> i64 {
        self.pads[i].saturating_add(self.pads[i + self.kernel.len()])
    }

    fn out(&self, i: usize, size: &Dim, ceil: bool) -> Infer<Dim> {
        let Some(n) = size.known() else {
            let same =
                self.strides[i] == 1 && (self.auto.starts_with("SAME") || self.pad(i) == self.extent(i) - 1);
            return Ok(if same { size.clone() } else { Dim::symbol(&format!("window({size})")) });
        };
        if self.auto.starts_with("SAME") {
            return Ok(Dim::Known(div_ceil(n, self.strides[i])));
        }
        let pad = if self.auto == "VALID" { 0 } else { self.pad(i) };
        let room = n.saturating_add(pad).saturating_sub(self.extent(i));
        if room < 0 {
            return Err(format!(
                "a window of {} does not fit a size of {n} with {pad} padding",
                self.extent(i)
            ));
        }
        let mut steps = if ceil { div_ceil(room, self.strides[i]) } else { room / self.strides[i] };
        // With ceil_mode, a window that would start in the right padding is dropped.
        if ceil && steps.saturating_mul(self.strides[i]) >= n.saturating_add(self.pads[i]) {
            steps -= 1;
        }
        Ok(Dim::Known(steps.saturating_add(1)))
    }
}

fn kernel_of(w: &Shape) -> Option<Vec<i64>> {
    w.get(2..)?.iter().map(Dim::known).collect()
}

fn conv(a: &Args) -> Infer<Info> {
    let dtype = a.same_type(0, 1)?;
    let (Some(x), Some(w)) = (a.shape(0)?, a.shape(1)?) else { return Ok(Info::new(dtype, None)) };
    if x.len() != w.len() || x.len() < 3 {
        return Err(format!(
            "expected picture [N, C, ...] and weight [M, C/g, ...], found {} and {}",
            show(x),
            show(w)
        ));
    }
    let group = a.attrs.int("group", 1);
    if let (Some(c), Some(each)) = (x[1].known(), w[1].known())
        && c != each.saturating_mul(group)
    {
        return Err(format!(
            "{c} channels in, but a weight {} with group {group} takes {}",
            show(w),
            each.saturating_mul(group)
        ));
    }
    let mut out = vec![x[0].clone(), w[0].clone()];
    let given = a.attrs.ints("kernel_shape").unwrap_or_default().iter();
    if let Some((k, d)) = given.zip(&w[2..]).find(|(k, d)| d.known().is_some_and(|d| d != **k)) {
        return Err(format!("expected the `kernel_shape` of the weight {}, found {k} for {d}", show(w)));
    }
    let Some(kernel) = kernel_of(w) else {
        out.extend(x[2..].iter().zip(&w[2..]).map(|(d, k)| Dim::symbol(&format!("window({d}, {k})"))));
        return Ok(Info::new(dtype, out));
    };
    let window = Window::new(a, kernel)?;
    for i in 0..x.len() - 2 {
        out.push(window.out(i, &x[i + 2], false)?);
    }
    Ok(Info::new(dtype, out))
}

fn conv_transpose(a: &Args) -> Infer<Info> {
    let dtype = a.same_type(0, 1)?;
    let (Some(x), Some(w)) = (a.shape(0)?, a.shape(1)?) else { return Ok(Info::new(dtype, None)) };
    if x.len() != w.len() || x.len() < 3 {
        return Err(format!(
            "expected picture [N, C, ...] and weight [C, M/g, ...], found {} and {}",
            show(x),
            show(w)
        ));
    }
    let group = a.attrs.int("group", 1);
    if let (Some(c), Some(d)) = (x[1].known(), w[0].known())
        && c != d
    {
        return Err(format!("{c} channels in, but the weight {} takes {d}", show(w)));
    }
    let kernel = kernel_of(w).ok_or("expected a weight with known kernel sizes")?;
    let window = Window::new(a, kernel)?;
    let n = x.len() - 2;
    let extra = a.attrs.ints("output_padding").map_or(vec![0; n], <[i64]>::to_vec);
    let fixed = a.attrs.ints("output_shape");
    let mut out = vec![x[0].clone(), w[1].mul(&Dim::Known(group))];
    for i in 0..n {
        let size = &x[i + 2];
        out.push(if let Some(d) = fixed.and_then(|f| f.get((f.len() + i).checked_sub(n)?)) {
            Dim::Known(*d)
        } else if window.auto.starts_with("SAME") {
            size.mul(&Dim::Known(window.strides[i]))
        } else {
            let add = window.extent(i).saturating_add(extra.get(i).copied().unwrap_or(0));
            let less = window.pad(i).saturating_add(window.strides[i]);
            size.mul(&Dim::Known(window.strides[i])).add(&Dim::Known(add.saturating_sub(less)))
        });
    }
    Ok(Info::new(dtype, out))
}

fn pool(a: &Args) -> Infer {
    let dtype = a.dtype(0)?;
    let Some(x) = a.shape(0)? else { return Ok(vec![Info::new(dtype, None), Info::new(DType::I64, None)]) };
    let kernel = a.attrs.ints("kernel_shape").ok_or("expected the attribute kernel_shape")?.to_vec();
    if x.len() != kernel.len() + 2 {
        return Err(format!("expected {} dimensions, found {}", kernel.len() + 2, show(x)));
    }
    let window = Window::new(a, kernel)?;
    let mut out = x[..2].to_vec();
    for i in 0..x.len() - 2 {
        out.push(window.out(i, &x[i + 2], a.attrs.int("ceil_mode", 0) != 0)?);
    }
    Ok(vec![Info::new(dtype, out.clone()), Info::new(DType::I64, out)])
}

fn resize(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let Some(x) = a.shape(0)? else { return Ok(Info::new(dtype, None)) };
    // Sizes and scales are for the axes that are named, or for all.
    let axes = match a.attrs.ints("axes") {
        Some(axes) => axes.iter().map(|i| axis(*i, x.len())).collect::<Infer<Vec<_>>>()?,
        None => (0..x.len()).collect(),
    };
    let sizes = a.ints(3).filter(|s| s.len() == axes.len()).map(<[Dim]>::to_vec);
    let sizes = match a.attrs.text("keep_aspect_ratio_policy", "stretch") {
        "stretch" => sizes,
        policy => sizes.and_then(|s| same_scale(x, &axes, &s, policy == "not_larger")),
    };
    let scales = a.get(2).and_then(|v| v.tensor()).and_then(|t| t.to_f32()).filter(|s| s.len() == axes.len());
    let mut out = x.clone();
    for (i, at) in axes.into_iter().enumerate() {
        let d = &x[at];
        out[at] = match (&sizes, &scales) {
            (Some(sizes), _) => sizes[i].clone(),
            (None, Some(scales)) => match (d.known(), scales[i]) {
                (Some(n), s) => Dim::Known((n as f64 * f64::from(s)).floor() as i64),
                (None, s) if s.fract() == 0.0 => d.mul(&Dim::Known(s as i64)),
                (None, s) => Dim::symbol(&format!("resize({d}, {s})")),
            },
            (None, None) => return Ok(Info::new(dtype, None)),
        };
    }
    Ok(Info::new(dtype, out))
}

/// Sizes that keep the ratio between the axes: one scale for all, the smallest or the largest asked for.
fn same_scale(x: &[Dim], axes: &[usize], wanted: &[Dim], smallest: bool) -> Option<Shape> {
    let from = axes.iter().map(|at| x[*at].known()).collect::<Option<Vec<_>>>()?;
    let to = wanted.iter().map(Dim::known).collect::<Option<Vec<_>>>()?;
    let scales = from.iter().zip(&to).map(|(n, m)| *m as f32 / *n as f32);
    let scale = if smallest { scales.fold(f32::MAX, f32::min) } else { scales.fold(0.0, f32::max) };
    Some(from.into_iter().map(|n| Dim::Known((scale * n as f32).round() as i64)).collect())
}

fn recurrent(op: &str, a: &Args) -> Infer {
    let dtype = a.dtype(0)?;
    let hidden = match (a.attrs.get("hidden_size"), a.shape(2)?.and_then(|r| r.last())) {
        (Some(Attr::Int(h)), _) => Dim::Known(*h),
        (_, Some(h)) => h.clone(),
        _ => return Ok(vec![Info::new(dtype, None); 3]),
    };
    let Some([first, second, _]) = a.shape(0)?.map(Vec::as_slice) else {
        return Ok(vec![Info::new(dtype, None); 3]);
    };
    let directions = Dim::Known(if a.attrs.text("direction", "forward") == "bidirectional" { 2 } else { 1 });
    // Layout 0 is [T, B, ...], layout 1 is [B, T, ...].
    let [all, last] = match a.attrs.int("layout", 0) {
        0 => [
            vec![first.clone(), directions.clone(), second.clone(), hidden.clone()],
            vec![directions, second.clone(), hidden],
        ],
        _ => [
            vec![first.clone(), second.clone(), directions.clone(), hidden.clone()],
            vec![first.clone(), directions, hidden],
        ],
    };
    let (all, last) = (Info::new(dtype, all), Info::new(dtype, last));
    Ok(if op == "LSTM" { vec![all, last.clone(), last] } else { vec![all, last] })
}
