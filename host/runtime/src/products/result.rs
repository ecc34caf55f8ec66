//! Where the results of a product go.

use super::turn::{self, SIDE, turn};
use crate::fused::Shared;
use std::marker::PhantomData;

/// Places of results: that of row `r` and column `c` is `rows[r] + columns[c]`.
pub(super) struct Places<'a> {
    target: Shared,
    len: usize,
    memory: PhantomData<&'a mut [f32]>,
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
}

impl<'a> Places<'a> {
    /// Places in some memory.
    pub fn of(numbers: &'a mut [f32], rows: Vec<usize>, columns: Vec<usize>) -> Self {
        let (target, len) = (Shared(numbers.as_mut_ptr()), numbers.len());
        Self { target, len, memory: PhantomData, rows, columns }
    }

    /// Whether all are there, so far behind.
    pub fn fit(&self, behind: usize) -> bool {
        let last = |places: &[usize]| places.iter().max().copied();
        let (Some(row), Some(column)) = (last(&self.rows), last(&self.columns)) else { return true };
        row + column + behind < self.len
    }

    /// Rows and columns change places.
    pub fn turn(&mut self) {
        std::mem::swap(&mut self.rows, &mut self.columns);
    }

    /// What is written: results with a bias for each column or for each row.
    pub fn adding<'b>(&'b self, bias: Option<&'b [f32]>, by_row: bool) -> Results<'b> {
        let (rows, columns) = (&self.rows[..], &self.columns[..]);
        let (row_bias, column_bias) = if by_row { (bias, None) } else { (None, bias) };
        Results { target: self.target, rows, columns, row_bias, column_bias }
    }
}

/// Results on their way.
pub(super) struct Results<'a> {
    target: Shared,
    rows: &'a [usize],
    columns: &'a [usize],
    row_bias: Option<&'a [f32]>,
    column_bias: Option<&'a [f32]>,
}

/// A part of a product, row by row.
pub(super) struct Part<'a> {
    /// Its first row and how many it has.
    pub row: usize,
    pub rows: usize,
    /// Its first column and how many it has.
    pub column: usize,
    pub columns: usize,
    /// Numbers from one row to the next.
    pub width: usize,
    pub sums: &'a mut [f32],
}

/// How far apart places are that lie equally far apart.
fn apart(places: &[usize]) -> Option<usize> {
    let step = match places {
        [a, b, ..] => b.checked_sub(*a)?,
        _ => 1,
    };
    places.windows(2).all(|pair| pair[0] + step == pair[1]).then_some(step)
}

impl Results<'_> {
    /// Writes a part, whose places nobody else writes.
    pub fn write(&self, part: Part, behind: usize) {
        let Part { row, rows, column, columns, width, sums } = part;
        if let Some(bias) = self.column_bias {
            let bias = &bias[column..][..columns];
            for sums in sums.chunks_exact_mut(width).take(rows) {
                sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
            }
        }
        if let Some(bias) = self.row_bias {
            for (sums, bias) in sums.chunks_exact_mut(width).zip(&bias[row..][..rows]) {
                sums.iter_mut().for_each(|sum| *sum += bias);
            }
        }
        let (rows, columns) = (&self.rows[row..][..rows], &self.columns[column..][..columns]);
        let target = self.target.at(behind);
        match apart(columns) {
            Some(1) => {
                for (row, sums) in rows.iter().zip(sums.chunks_exact(width)) {
                    let to = target.wrapping_add(row + columns[0]);
                    // SAFETY: the places have been checked, and nobody else writes them, here and below.
                    unsafe { to.copy_from_nonoverlapping(sums.as_ptr(), columns.len()) }
                }
            }
            Some(apart) => {
                // Rows side by side go together.
                let mut start = 0;
                while start < rows.len() {
                    let run = rows[start..].windows(2).take_while(|pair| pair[0] + 1 == pair[1]).count() + 1;
                    let from = &sums[start * width..];
                    let to = target.wrapping_add(rows[start] + columns[0]);
                    if run >= SIDE {
                        // SAFETY: as above.
                        unsafe { columns_of(from, width, to, apart, [run, columns.len()]) }
                        start += run;
                        continue;
                    }
                    // Rows alone: column by column, since columns lie far apart.
                    let alone =
                        rows[start..].windows(SIDE).take_while(|some| some[0] + SIDE - 1 != some[SIDE - 1]);
                    let count = (alone.count() + SIDE - 1).clamp(1, rows.len() - start);
                    // SAFETY: as above.
                    unsafe { self.scattered(&rows[start..][..count], columns, from, width, target) }
                    start += count;
                }
            }
            // SAFETY: as above.
            None => unsafe { self.scattered(rows, columns, sums, width, target) },
        }
    }

    /// Writes number by number.
    unsafe fn scattered(
        &self,
        rows: &[usize],
        columns: &[usize],
        sums: &[f32],
        width: usize,
        target: *mut f32,
    ) {
        for (c, column) in columns.iter().enumerate() {
            if let Some(later) = columns.get(c + SIDE) {
                rows.iter().step_by(SIDE).for_each(|row| fetch(target.wrapping_add(row + later), 1));
            }
            for (row, sums) in rows.iter().zip(sums.chunks_exact(width)) {
                // SAFETY: as the caller promises.
                unsafe { target.wrapping_add(row + column).write(sums[c]) }
            }
        }
    }
}

/// Writes columns as rows that lie so far apart. Few at once, so that they are written from front to back.
unsafe fn columns_of(sums: &[f32], width: usize, to: *mut f32, apart: usize, [rows, columns]: [usize; 2]) {
    for column in (0..columns).step_by(SIDE) {
        let place = to.wrapping_add(column * apart);
        for next in SIDE..2 * SIDE {
            fetch(place.wrapping_add(next * apart), rows);
        }
        let from = turn::From { place: sums[column..].as_ptr(), row: width };
        // SAFETY: the sums have these rows and columns; for the other as the caller promises.
        unsafe { turn(from, turn::To { place, row: apart }, rows, (columns - column).min(SIDE)) }
    }
}

/// Asks for memory that will be written soon. Where nothing is there, nothing happens.
fn fetch(place: *const f32, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in (0..len).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.wrapping_add(i).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (place, len);
}
