//! Where the numbers lie that a convolution's window sees.

use super::{product::Threads, scratch::Scratch};
use crate::fused::Shared;
use ekphrasis_graph::{AttrsExt, Node};
use ort::operator::KernelContext;
use std::{ops::Deref, slice};

/// Pictures whose channels lie so many numbers apart would all fall into the same few lines of the first cache.
const ALIAS: usize = 1024;

/// A window over pictures: for rows and for columns its size, how far it moves, how far its elements lie apart, and
/// how far before the picture it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub kernel: [i64; 2],
    pub strides: [i64; 2],
    pub dilations: [i64; 2],
    pub pads: [i64; 2],
}

impl Window {
    /// The window of a `Conv` over two dimensions, of one group, whose padding is said.
    pub fn of(node: &Node, kernel: [i64; 2]) -> Option<Self> {
        let pair = |name: &str| match node.attrs.ints(name) {
            Some(values) => <[i64; 2]>::try_from(values).ok(),
            None => Some([1, 1]),
        };
        let pads = node.attrs.ints("pads").unwrap_or(&[0; 4]);
        let window = Self {
            kernel,
            strides: pair("strides")?,
            dilations: pair("dilations")?,
            pads: [*pads.first()?, *pads.get(1)?],
        };
        let plain = node.attrs.int("group", 1) == 1 && node.attrs.text("auto_pad", "NOTSET") == "NOTSET";
        (plain && window.sane()).then_some(window)
    }

    fn sane(&self) -> bool {
        let positive = [self.kernel, self.strides, self.dilations].concat();
        positive.iter().all(|v| (1..1 << 20).contains(v))
            && self.pads.iter().all(|p| (0..1 << 20).contains(p))
    }

    /// As an operator's attribute.
    pub fn numbers(&self) -> Vec<i64> {
        [self.kernel, self.strides, self.dilations, self.pads].concat()
    }

    /// From an operator's attribute.
    pub fn read(context: &KernelContext) -> ort::Result<Self> {
        let read = || {
            let [a, b, c, d, e, f, g, h] = <[i64; 8]>::try_from(context.get::<Vec<i64>>("window")?).ok()?;
            let window = Self { kernel: [a, b], strides: [c, d], dilations: [e, f], pads: [g, h] };
            window.sane().then_some(window)
        };
        read().ok_or_else(|| ort::Error::new("expected a window, found another attribute"))
    }

    /// Elements of the window.
    pub fn size(&self) -> usize {
        (self.kernel[0] * self.kernel[1]) as usize
    }

    /// The rows and the columns of its elements.
    pub fn elements(&self) -> [Vec<usize>; 2] {
        [0, 1].map(|i| (0..self.kernel[i]).map(|k| (k * self.dilations[i]) as usize).collect())
    }

    /// Rows and columns from one place to the next.
    pub fn steps(&self) -> [usize; 2] {
        self.strides.map(|s| s as usize)
    }
}

/// Pictures `[N, C, height, width]` with zeros around them as far as a window sees them.
pub(super) struct Pictures<'a> {
    numbers: Numbers<'a>,
    /// Pictures and channels.
    dims: [usize; 2],
    /// Numbers from a row to the next, and from a channel to the next.
    row: usize,
    plane: usize,
}

/// Where they are.
enum Numbers<'a> {
    There(&'a [f32]),
    Copied(Scratch),
}

impl<'a> Pictures<'a> {
    /// Pictures of which so many rows and columns are seen, so many of them before the first. Copied only where they
    /// must be.
    pub fn of(
        threads: &impl Threads,
        numbers: &'a [f32],
        [n, c, height, width]: [usize; 4],
        [top, left]: [usize; 2],
        [down, across]: [usize; 2],
    ) -> ort::Result<Self> {
        if numbers.len() != n * c * height * width {
            let message = format!("expected {n}x{c}x{height}x{width} numbers, found {}", numbers.len());
            return Err(ort::Error::new(message));
        }
        let dims = [n, c];
        let inside = [top, left] == [0, 0] && down <= height && across <= width;
        if inside && !(height * width).is_multiple_of(ALIAS) {
            let (row, plane) = (width, height * width);
            return Ok(Self { numbers: Numbers::There(numbers), dims, row, plane });
        }
        let (row, mut plane) = (across, down * across);
        if plane.is_multiple_of(ALIAS) {
            plane += 16;
        }
        let mut copy = Scratch::take(n * c * plane);
        let target = Shared(copy.as_mut_ptr());
        // What lies in both.
        let (rows, columns) = (height.min(down.saturating_sub(top)), width.min(across.saturating_sub(left)));
        let one = |i: usize| {
            // SAFETY: the copy has a plane for each channel, and nobody else writes this one.
            let to = unsafe { slice::from_raw_parts_mut(target.at(i * plane), plane) };
            to.fill(0.0);
            let from = &numbers[i * height * width..][..height * width];
            for y in 0..rows {
                let to = &mut to[(y + top) * row + left..][..columns];
                to.copy_from_slice(&from[y * width..][..columns]);
            }
        };
        threads.each(n * c, one)?;
        Ok(Self { numbers: Numbers::Copied(copy), dims, row, plane })
    }

    /// Pictures as a window sees them that moves over so many rows and columns.
    pub fn under(
        threads: &impl Threads,
        numbers: &'a [f32],
        dims: [usize; 4],
        window: &Window,
        positions: [usize; 2],
    ) -> ort::Result<Self> {
        let covered = |i: usize| {
            (positions[i].max(1) - 1) * window.strides[i] as usize
                + (window.kernel[i] - 1) as usize * window.dilations[i] as usize
                + 1
        };
        Self::of(threads, numbers, dims, window.pads.map(|p| p as usize), [covered(0), covered(1)])
    }

    /// How far the elements of a window lie from where it begins, in every channel, for elements in these rows and
    /// columns: `[C, rows, columns]`.
    pub fn taps<'b>(&self, rows: &'b [usize], columns: &'b [usize]) -> impl Iterator<Item = usize> + use<'b> {
        let (plane, row) = (self.plane, self.row);
        (0..self.dims[1]).flat_map(move |c| {
            rows.iter().flat_map(move |y| columns.iter().map(move |x| c * plane + y * row + x))
        })
    }

    /// The steps of a sum through all channels of pictures and of a weight, whose rows are so wide and whose channels
    /// lie so far apart: rows and columns of the weight, each with that of the pictures which it sees.
    pub fn steps(
        &self,
        [down, across]: [&[(usize, usize)]; 2],
        [width, channel]: [usize; 2],
    ) -> [Vec<usize>; 2] {
        let seen = |sight: &[(usize, usize)]| sight.iter().map(|(_, at)| *at).collect::<Vec<_>>();
        let elements = down.iter().flat_map(|(y, _)| across.iter().map(move |(x, _)| y * width + x));
        let elements: Vec<usize> = elements.collect();
        let weights = (0..self.dims[1]).flat_map(|c| elements.iter().map(move |e| c * channel + e));
        [self.taps(&seen(down), &seen(across)).collect(), weights.collect()]
    }

    /// Where a window begins at each of its positions in every picture, which are some rows and columns apart:
    /// `[N, positions]`.
    pub fn places(
        &self,
        [rows, columns]: [usize; 2],
        [down, across]: [usize; 2],
    ) -> impl Iterator<Item = usize> + use<> {
        let (row, picture) = (self.row, self.dims[1] * self.plane);
        (0..self.dims[0]).flat_map(move |n| {
            (0..rows).flat_map(move |y| (0..columns).map(move |x| n * picture + y * down * row + x * across))
        })
    }
}

impl Deref for Pictures<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.numbers {
            Numbers::There(numbers) => numbers,
            Numbers::Copied(copy) => copy,
        }
    }
}

/// Four dimensions.
pub(super) fn four(shape: &[i64]) -> ort::Result<[usize; 4]> {
    let dims: Option<Vec<usize>> = shape.iter().map(|d| usize::try_from(*d).ok()).collect();
    dims.and_then(|d| d.try_into().ok())
        .ok_or_else(|| ort::Error::new(format!("expected 4 dimensions, found {shape:?}")))
}
