//! The matrix that is packed: a vector or two of its columns beside each other for each step of the sum.

use super::{
    product::{Matrix, Threads},
    scratch::Scratch,
    tile::{LARGEST, Tiles},
    turn::{self, turn},
};
use crate::fused::Shared;
use std::slice;

/// Numbers that a thread packs at once.
const SHARE: usize = 16 * 1024;

/// Steps that are turned at once.
const TURNED: usize = 64;

/// One or two vectors of columns.
pub(super) struct Panel {
    pub column: usize,
    pub width: usize,
}

/// So many columns in panels; the last vector may reach past them.
pub(super) fn panels_of(columns: usize, lanes: usize) -> impl Iterator<Item = Panel> {
    let whole = columns.next_multiple_of(lanes);
    let panel = move |column| Panel { column, width: (whole - column).min(2 * lanes) };
    (0..columns).step_by(2 * lanes).map(panel)
}

/// All panels, one after the other; zeros where a matrix has no more columns.
pub(super) struct Panels {
    numbers: Scratch,
    steps: usize,
}

impl Panels {
    /// Packs what some steps take of a matrix.
    pub fn of(
        tiles: &Tiles,
        threads: &impl Threads,
        matrix: &Matrix,
        all_steps: &[usize],
    ) -> ort::Result<Self> {
        let (steps, lanes) = (all_steps.len(), tiles.lanes);
        let mut numbers = Scratch::take(matrix.lines.len().next_multiple_of(lanes) * steps);
        let target = Shared(numbers.as_mut_ptr());
        let all: Vec<Panel> = panels_of(matrix.lines.len(), lanes).collect();
        let share = (SHARE / (2 * lanes)).max(1);
        let shares = steps.div_ceil(share);
        let fill = |i: usize| {
            let (panel, start) = (&all[i / shares], i % shares * share);
            let some = &all_steps[start..steps.min(start + share)];
            let place = target.at(panel.column * steps + start * panel.width);
            // SAFETY: panels lie one after the other, steps in them, and nobody else writes these.
            let to = unsafe { slice::from_raw_parts_mut(place, some.len() * panel.width) };
            fill(matrix, some, panel, to);
        };
        threads.each(all.len() * shares, fill)?;
        Ok(Self { numbers, steps })
    }

    /// The numbers of a panel, step by step.
    pub fn at(&self, panel: &Panel) -> &[f32] {
        &self.numbers[panel.column * self.steps..][..panel.width * self.steps]
    }
}

/// Writes the numbers of some steps of a panel.
fn fill(matrix: &Matrix, steps: &[usize], panel: &Panel, to: &mut [f32]) {
    let width = panel.width;
    let lines = &matrix.lines[panel.column..matrix.lines.len().min(panel.column + width)];
    if lines.len() < width {
        to.fill(0.0);
    }
    let apart = match lines {
        [a, b, ..] if b > a => b - a,
        _ => 1,
    };
    let regular = lines.windows(2).all(|pair| pair[0] + apart == pair[1]);
    if !regular {
        for (step, to) in steps.iter().zip(to.chunks_exact_mut(width)) {
            to.iter_mut().zip(lines).for_each(|(to, line)| *to = matrix.numbers[line + step]);
        }
        return;
    }
    if apart == 1 {
        for (step, to) in steps.iter().zip(to.chunks_exact_mut(width)) {
            to[..lines.len()].copy_from_slice(&matrix.numbers[step + lines[0]..][..lines.len()]);
        }
        return;
    }
    // Steps near to each other are rows to be turned together, not too many at once for the first cache.
    let (mut start, mut between) = (0, None);
    while start < steps.len() {
        let some = near(&steps[start..]);
        let (first, part) = (some[0], &mut to[start * width..][..some.len() * width]);
        start += some.len();
        let span = some[some.len() - 1] - first + 1;
        let from = turn::From { place: matrix.numbers[first + lines[0]..].as_ptr(), row: apart };
        if span == some.len() {
            // SAFETY: all numbers of these steps and lines have been checked, and the part has room for them.
            unsafe { turn(from, turn::To { place: part.as_mut_ptr(), row: width }, lines.len(), span) }
            continue;
        }
        let all = between.get_or_insert([0f32; TURNED * LARGEST[1]]);
        // SAFETY: as above; what lies between two steps is there, too.
        unsafe { turn(from, turn::To { place: all.as_mut_ptr(), row: width }, lines.len(), span) }
        for (step, to) in some.iter().zip(part.chunks_exact_mut(width)) {
            to[..lines.len()].copy_from_slice(&all[(step - first) * width..][..lines.len()]);
        }
    }
}

/// The first of these steps, as far as each comes after the one before, and none far from the first.
fn near(steps: &[usize]) -> &[usize] {
    let end = steps[0] + TURNED;
    let more = steps.windows(2).take_while(|pair| pair[0] < pair[1] && pair[1] < end).count();
    &steps[..more + 1]
}
