//! Products of matrices that may lie anywhere: what is packed, and what each thread computes.

use super::{
    panels::{Panels, panels_of},
    result::{Part, Places, Results},
    tile::{LARGEST, Tile, Tiles, tiles},
};
use ort::operator::ComputeContext;
use std::{mem::MaybeUninit, slice};

/// Steps of a sum that are added up before they join the rest: the columns' numbers stay in the first cache, and the
/// rounding errors of long sums stay small.
const BLOCK: usize = 256;

/// Tiles below each other that a thread computes at once.
const MOST: usize = 8;

/// Parts into which the work is cut where there is enough of it.
const PARTS: usize = 16;

/// Terms that a thread computes at once.
const TERMS: usize = 4;

/// The sums of a thread.
const SUMS: usize = TERMS * MOST * LARGEST[0] * LARGEST[1];

/// What runs tasks on the threads of a session.
pub(super) trait Threads {
    /// Runs `task` for all numbers below `count`.
    fn each(&self, count: usize, task: impl Fn(usize) + Send + Sync) -> ort::Result<()>;
}

impl Threads for ComputeContext {
    fn each(&self, count: usize, task: impl Fn(usize) + Send + Sync) -> ort::Result<()> {
        self.par_for(count, 0, task)
    }
}

/// A matrix in memory by the places of its lines: rows of the left one, columns of the right one. How far the number of
/// each step of the sum lies from there says a [`Term`].
pub(super) struct Matrix<'a> {
    pub numbers: &'a [f32],
    pub lines: Vec<usize>,
}

/// One of several products of the same lines.
pub(super) struct Term {
    /// Of the left matrix and of the right one.
    pub steps: [Vec<usize>; 2],
    /// How far its results lie behind their places.
    pub behind: usize,
}

impl Matrix<'_> {
    /// Whether all its numbers are there.
    fn has(&self, steps: &[usize]) -> bool {
        let last = |places: &[usize]| places.iter().max().copied();
        let (Some(line), Some(step)) = (last(&self.lines), last(steps)) else { return true };
        line + step < self.numbers.len() && u32::try_from(step).is_ok()
    }
}

/// Computes `left * right` of each term, adds to each column its bias, and writes the results. The smaller of the two
/// matrices is packed, the other is read where it lies.
///
/// # Errors
/// When a number would lie outside of what is there.
///
/// # Safety
/// No two results may have the same place.
pub(super) unsafe fn multiply(
    threads: &impl Threads,
    matrices: [Matrix; 2],
    terms: Vec<Term>,
    bias: Option<&[f32]>,
    places: Places,
) -> ort::Result<()> {
    // SAFETY: as the caller promises.
    unsafe { multiply_by(tiles(), threads, matrices, terms, bias, places) }
}

/// The same with a processor's tiles.
pub(super) unsafe fn multiply_by(
    tiles: &Tiles,
    threads: &impl Threads,
    mut matrices: [Matrix; 2],
    mut terms: Vec<Term>,
    bias: Option<&[f32]>,
    mut places: Places,
) -> ort::Result<()> {
    check(&matrices, &terms, bias, &places).map_err(ort::Error::new)?;
    if places.rows.is_empty() || places.columns.is_empty() {
        return Ok(());
    }
    let turned = places.rows.len() < places.columns.len();
    if turned {
        matrices.reverse();
        terms.iter_mut().for_each(|term| term.steps.reverse());
        places.turn();
    }
    for terms in terms.chunks(TERMS) {
        run(tiles, threads, &matrices, terms, &places.adding(bias, turned))?;
    }
    Ok(())
}

/// Whether all numbers and all results are there; what is wrong otherwise.
pub(super) fn check(
    [left, right]: &[Matrix; 2],
    terms: &[Term],
    bias: Option<&[f32]>,
    places: &Places,
) -> Result<(), String> {
    let (rows, columns) = (places.rows.len(), places.columns.len());
    let lines = rows == left.lines.len() && columns == right.lines.len();
    for Term { steps: [across, down], behind } in terms {
        let fits = lines
            && across.len() == down.len()
            && left.has(across)
            && right.has(down)
            && bias.is_none_or(|bias| bias.len() == columns)
            && places.fit(*behind);
        if !fits {
            let steps = across.len();
            return Err(format!("{rows} rows, {steps} steps and {columns} columns reach past their numbers"));
        }
    }
    Ok(())
}

/// The work of [`multiply`], whose conditions have been checked, with the right matrix packed.
fn run(
    tiles: &Tiles,
    threads: &impl Threads,
    [left, right]: &[Matrix; 2],
    terms: &[Term],
    results: &Results,
) -> ort::Result<()> {
    let pack = |term: &Term| Panels::of(tiles, threads, right, &term.steps[1]);
    let panels: Vec<Panels> = terms.iter().map(pack).collect::<ort::Result<_>>()?;
    let steps: Vec<Vec<u32>> =
        terms.iter().map(|t| t.steps[0].iter().map(|step| *step as u32).collect()).collect();
    let longest = steps.iter().map(Vec::len).max().unwrap_or(0);
    let (count, columns) = (left.lines.len(), right.lines.len());
    let (size, functions) = tiles.kind(count);
    let below = count.div_ceil(size);
    // Rows in whole tiles; the last one comes as often as it must.
    let mut rows = left.lines.clone();
    rows.resize(below * size, rows[count - 1]);
    let taken = (below / PARTS).clamp(1, MOST);
    let (rows, panels, steps) = (&rows[..], &panels[..], &steps[..]);
    let part = move |i: usize| {
        let mut memory = [MaybeUninit::<f32>::uninit(); SUMS];
        let some = i * taken..((i + 1) * taken).min(below);
        let (row, height) = (some.start * size, some.len() * size);
        for panel in panels_of(columns, tiles.lanes) {
            let add = functions[panel.width / tiles.lanes - 1];
            let (tile, all) = (size * panel.width, height * panel.width);
            // Terms by turns: they may read the same lines of memory. Even no steps give sums: zeros.
            for start in (0..longest.max(1)).step_by(BLOCK) {
                for (t, steps) in steps.iter().enumerate() {
                    let steps = &steps[start.min(steps.len())..steps.len().min(start + BLOCK)];
                    if steps.is_empty() && start > 0 {
                        continue;
                    }
                    let right = &panels[t].at(&panel)[start * panel.width..][..steps.len() * panel.width];
                    let sums = &mut memory[t * all..][..all];
                    for i in 0..some.len() {
                        let tile = Tile {
                            left: left.numbers.as_ptr(),
                            rows: rows[row + i * size..][..size].as_ptr(),
                            steps: steps.as_ptr(),
                            count: steps.len(),
                            right: right.as_ptr(),
                            sums: sums[i * tile..][..tile].as_mut_ptr().cast(),
                            fresh: start == 0,
                        };
                        // SAFETY: all rows and steps have been checked, the slices are as long as the tile needs,
                        // and these tiles are this processor's.
                        unsafe { add(&tile) }
                    }
                }
            }
            let (rows, columns) = (height.min(count - row), panel.width.min(columns - panel.column));
            for (t, term) in terms.iter().enumerate() {
                let sums = memory[t * all..][..all].as_mut_ptr().cast();
                // SAFETY: all tiles of all terms have been written.
                let sums = unsafe { slice::from_raw_parts_mut(sums, all) };
                let (column, width) = (panel.column, panel.width);
                results.write(Part { row, rows, column, columns, width, sums }, term.behind);
            }
        }
    };
    threads.each(below.div_ceil(taken), part)
}
