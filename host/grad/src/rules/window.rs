//! The sliding window of a convolution or a pooling.

use crate::Ctx;
use ekphrasis_graph::{AttrsExt, Result, ValueId};

/// Kernel, strides, dilations and padding over the spatial dimensions.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub kernel: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    /// All begins, then all ends.
    pub pads: Vec<i64>,
}

impl Window {
    /// The window that slides over `large` and gives `small`; automatic padding needs known sizes.
    pub fn of(c: &Ctx, kernel: Vec<i64>, large: ValueId, small: ValueId) -> Result<Self> {
        let n = kernel.len();
        let list = |name: &str, len: usize, default| {
            c.attrs().ints(name).filter(|v| v.len() == len).map_or(vec![default; len], <[i64]>::to_vec)
        };
        let mut window = Self {
            strides: list("strides", n, 1),
            dilations: list("dilations", n, 1),
            pads: list("pads", 2 * n, 0),
            kernel,
        };
        let auto = c.attrs().text("auto_pad", "NOTSET");
        if auto == "VALID" {
            window.pads = vec![0; 2 * n];
        } else if auto.starts_with("SAME") || c.attrs().ints("output_shape").is_some() {
            let (large, small) = (spatial(c, large)?, spatial(c, small)?);
            let extra = list("output_padding", n, 0);
            for i in 0..n {
                let covered = (small[i] - 1) * window.strides[i] + window.extent(i) + extra[i];
                let total = (covered - large[i]).max(0);
                let less = total / 2;
                let begin = if auto == "SAME_UPPER" { less } else { total - less };
                window.pads[i] = begin;
                window.pads[i + n] = total - begin;
            }
        }
        Ok(window)
    }

    /// Number of spatial dimensions.
    pub fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// How far one window reaches.
    pub fn extent(&self, i: usize) -> i64 {
        self.dilations[i] * (self.kernel[i] - 1) + 1
    }

    /// Whether every stride is 1.
    pub fn dense(&self) -> bool {
        self.strides.iter().all(|s| *s == 1)
    }

    /// Whether windows tile the input: neither overlap nor padding.
    pub fn tiles(&self) -> bool {
        self.strides == self.kernel
            && self.dilations.iter().all(|d| *d == 1)
            && self.pads.iter().all(|p| *p == 0)
    }
}

/// Sizes of the spatial dimensions of `[N, C, ...]`.
pub(crate) fn spatial(c: &Ctx, x: ValueId) -> Result<Vec<i64>> {
    let dims = c.g.dims(x)?;
    let known = dims.iter().skip(2).map(ekphrasis_graph::Dim::known).collect::<Option<Vec<_>>>();
    known.ok_or_else(|| {
        let v = c.g.value(x);
        c.error(format!("expected known spatial sizes, found {} (`{}`)", v.describe(), v.name))
    })
}
