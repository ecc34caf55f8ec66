//! `GridSample`: pixels picked by index and weighed by their distance.

use super::{Kind::Definition, Row, gates::one, row};
use crate::{
    Case, Ctx, Grads,
    case::{any, at},
};
use ekphrasis_graph::{AttrsExt, DType, Result, ValueId};

pub(super) const ROWS: &[Row] = &[row("GridSample", Definition, grid_sample, || {
    let mut cases = vec![];
    for mode in ["bilinear", "nearest", "bicubic"] {
        for padding in ["zeros", "border", "reflection"] {
            for align in [0, 1] {
                let case = Case::of([any(&[2, 2, 3, 4]), at(&[2, 3, 2, 2], &PLACES)]).single();
                let case = case.attr("mode", mode).attr("padding_mode", padding).attr("align_corners", align);
                // Which pixel is the nearest does not change in small steps, and its gradient is absent.
                cases.push(if mode == "nearest" { case.constant() } else { case });
            }
        }
    }
    cases
})];

/// Places in and around a picture of 3 by 4, none of which is near the middle or the edge of a pixel.
const PLACES: [f64; 24] = [
    -0.79, 0.13, -0.39, 0.38, -1.3, -0.72, -0.8, -0.09, -0.07, 0.42, -1.05, 0.4, 1.1, 0.07, 0.72, -0.6,
    -1.41, 1.1, -0.08, 1.14, 0.9, -0.17, 1.14, -1.21,
];

/// How one axis of the picture is read.
struct Axis {
    size: i64,
    align: bool,
    padding: Padding,
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// A pixel's number along one axis, within the picture, and what it counts: each `[N, 1, P]`.
struct Tap {
    index: ValueId,
    weight: Option<ValueId>,
}

fn grid_sample(c: &mut Ctx) -> Result<Grads> {
    let (x, grid) = (c.x(0)?, c.x(1)?);
    let dims = c.g.dims(x)?.to_vec();
    let [_, channels, height, width] = dims.as_slice() else {
        return Err(c.error(format!("expected a picture [N, C, H, W], found {}", c.g.value(x).describe())));
    };
    let (Some(height), Some(width)) = (height.known(), width.known()) else {
        return Err(c.error(format!("expected a picture of known size, found {}", c.g.value(x).describe())));
    };
    let padding = match c.attrs().text("padding_mode", "zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => {
            return Err(c.error(format!("expected padding zeros, border or reflection, found {other}")));
        }
    };
    let align = c.attrs().int("align_corners", 0) != 0;

    let attrs = [("axis".to_owned(), (-1).into()), ("num_outputs".to_owned(), 2.into())].into();
    let places = c.g.add_node("Split", &[Some(grid)], attrs, 2)?;
    let line = c.g.int_list(&[0, 1, -1]);
    let mut taps = vec![];
    for (place, size) in places.into_iter().zip([width, height]) {
        let place = c.g.reshape_to(place, line)?;
        taps.push(Axis { size, align, padding }.taps(c, place)?);
    }
    let list = c.g.int_list(&[0, 0, height * width]);
    let pixels = c.g.reshape_to(x, list)?;
    let wide = match channels.known() {
        Some(n) => c.g.int_list(&[1, n, 1]),
        None => {
            let (shape, at, one) = (c.g.shape_of(x)?, c.g.int_list(&[1]), c.g.int_list(&[1]));
            let channels = c.g.op("Gather", &[shape, at], &[])?;
            c.g.concat(&[one, channels, one], 0)?
        }
    };
    let mut sum = None;
    for row in &taps[1] {
        let start = c.g.scale(row.index, width as f64)?;
        for column in &taps[0] {
            let index = c.g.add(start, column.index)?;
            let index = c.g.cast(index, DType::I64)?;
            let index = c.g.expand_to(index, wide)?;
            let mut part = c.g.op("GatherElements", &[pixels, index], &[("axis", 2.into())])?;
            let weight = match (row.weight, column.weight) {
                (Some(a), Some(b)) => Some(c.g.mul(a, b)?),
                (a, b) => a.or(b),
            };
            if let Some(weight) = weight {
                part = c.g.mul(part, weight)?;
            }
            sum = Some(match sum {
                Some(sum) => c.g.add(sum, part)?,
                None => part,
            });
        }
    }
    let sum = sum.ok_or_else(|| c.error("expected pixels"))?;
    let (of_x, of_grid) = (c.g.shape_of(x)?, c.g.shape_of(grid)?);
    let lead = c.g.slice(of_x, &[0], &[0], &[2], &[1])?;
    let places = c.g.slice(of_grid, &[0], &[1], &[3], &[1])?;
    let shape = c.g.concat(&[lead, places], 0)?;
    one(c.g.reshape_to(sum, shape)?)
}

impl Axis {
    /// The pixels that a place, from -1 to 1 across the picture, takes part of.
    fn taps(&self, c: &mut Ctx, place: ValueId) -> Result<Vec<Tap>> {
        let n = self.size as f64;
        let (scale, shift) = match self.align {
            true => ((n - 1.0) / 2.0, (n - 1.0) / 2.0),
            false => (n / 2.0, (n - 1.0) / 2.0),
        };
        let x = c.g.scale(place, scale)?;
        let x = c.g.shift(x, shift)?;
        match c.attrs().text("mode", "bilinear") {
            "nearest" => {
                let x = c.g.op("Round", &[x], &[])?;
                Ok(vec![self.tap(c, x, None)?])
            }
            "bilinear" => {
                let x = match self.padding {
                    Padding::Zeros => x,
                    _ => self.inside(c, x)?,
                };
                let low = c.g.floor(x)?;
                let high = c.g.shift(low, 1.0)?;
                let share = c.g.sub(x, low)?;
                let one = c.g.scalar_like(x, 1.0);
                let rest = c.g.sub(one, share)?;
                Ok(vec![self.tap(c, low, Some(rest))?, self.tap(c, high, Some(share))?])
            }
            "bicubic" => {
                let low = c.g.floor(x)?;
                let share = c.g.sub(x, low)?;
                let mut taps = vec![];
                for offset in [-1.0, 0.0, 1.0, 2.0] {
                    let at = c.g.shift(low, offset)?;
                    let weight = cubic(c, share, offset)?;
                    taps.push(self.tap(c, at, Some(weight))?);
                }
                Ok(taps)
            }
            other => Err(c.error(format!("expected mode bilinear, nearest or bicubic, found {other}"))),
        }
    }

    /// A pixel at a whole number that may lie outside of the picture.
    fn tap(&self, c: &mut Ctx, at: ValueId, weight: Option<ValueId>) -> Result<Tap> {
        let index = self.inside(c, at)?;
        if self.padding != Padding::Zeros {
            return Ok(Tap { index, weight });
        }
        let there = c.g.equal(index, at)?;
        let there = c.mask(there, at)?;
        let weight = match weight {
            Some(weight) => c.g.mul(weight, there)?,
            None => there,
        };
        Ok(Tap { index, weight: Some(weight) })
    }

    /// Brought back into the picture, by its edges as mirrors or by the nearest pixel.
    fn inside(&self, c: &mut Ctx, mut x: ValueId) -> Result<ValueId> {
        let last = (self.size - 1) as f64;
        let (low, range) = if self.align { (0.0, last) } else { (-0.5, self.size as f64) };
        if self.padding == Padding::Reflection && range > 0.0 {
            // A wave between the edges: low + range - |mod(|x - low|, 2 range) - range|.
            let from = c.g.shift(x, -low)?;
            let from = c.g.abs(from)?;
            let period = c.g.scalar_like(x, 2.0 * range);
            let phase = c.g.op("Mod", &[from, period], &[("fmod", 1.into())])?;
            let phase = c.g.shift(phase, -range)?;
            let phase = c.g.abs(phase)?;
            let high = c.g.scalar_like(x, low + range);
            x = c.g.sub(high, phase)?;
        }
        let (low, high) = (c.g.scalar_like(x, 0.0), c.g.scalar_like(x, last));
        c.g.op("Clip", &[x, low, high], &[])
    }
}

/// The weight of the pixel at `offset` from the one below the place (Keys 1981 with -0.75).
fn cubic(c: &mut Ctx, share: ValueId, offset: f64) -> Result<ValueId> {
    const A: f64 = -0.75;
    // The distance as a function of the share, which grows or falls with it.
    let d = match offset <= 0.0 {
        true => c.g.shift(share, -offset)?,
        false => {
            let far = c.g.scalar_like(share, offset);
            c.g.sub(far, share)?
        }
    };
    let factors = match offset {
        0.0 | 1.0 => [A + 2.0, -(A + 3.0), 0.0, 1.0],
        _ => [A, -5.0 * A, 8.0 * A, -4.0 * A],
    };
    let mut value = c.g.scale(d, factors[0])?;
    for factor in &factors[1..3] {
        let sum = c.g.shift(value, *factor)?;
        value = c.g.mul(sum, d)?;
    }
    c.g.shift(value, factors[3])
}
