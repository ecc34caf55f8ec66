//! Rows written as columns.

use std::array;

/// Rows and columns that are turned at once: a quarter of a cache line.
pub(super) const SIDE: usize = 4;

/// A matrix in memory: where it begins, and how far its rows lie apart.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub place: *const f32,
    pub row: usize,
}

/// Where the turned one goes: where it begins, and how far its rows lie apart.
#[derive(Clone, Copy)]
pub(super) struct To {
    pub place: *mut f32,
    pub row: usize,
}

/// Writes the columns of a matrix as rows.
///
/// # Safety
/// All of `rows` times `columns` numbers must be there, in both.
pub(super) unsafe fn turn(from: From, to: To, rows: usize, columns: usize) {
    let (even, across) = (rows / SIDE * SIDE, columns / SIDE * SIDE);
    // SAFETY: within what the caller promises.
    unsafe {
        for r in (0..even).step_by(SIDE) {
            for c in (0..across).step_by(SIDE) {
                turn_block(
                    From { place: from.place.add(r * from.row + c), ..from },
                    To { place: to.place.add(c * to.row + r), ..to },
                );
            }
        }
        let one = |r: usize, c: usize| *to.place.add(c * to.row + r) = *from.place.add(r * from.row + c);
        for r in 0..rows {
            for c in if r < even { across } else { 0 }..columns {
                one(r, c);
            }
        }
    }
}

/// The same with `SIDE` rows and columns.
#[inline(always)]
unsafe fn turn_block(from: From, to: To) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such processor has SSE; for the places as the caller promises.
    unsafe {
        use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
        let [mut a, mut b, mut c, mut d] = array::from_fn(|i| _mm_loadu_ps(from.place.add(i * from.row)));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (i, row) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.place.add(i * to.row), row);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as the caller promises.
    unsafe {
        let row = |i: usize| from.place.add(i * from.row).cast::<[f32; SIDE]>().read_unaligned();
        let block: [[f32; SIDE]; SIDE] = array::from_fn(row);
        for i in 0..SIDE {
            to.place.add(i * to.row).cast::<[f32; SIDE]>().write_unaligned(array::from_fn(|j| block[j][i]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_turned() {
        for rows in 0..10 {
            for columns in 0..10 {
                let (wide, high) = (columns + 2, rows + 3);
                let from: Vec<f32> = (0..rows * wide).map(|i| i as f32).collect();
                let mut to = vec![-1.0; columns * high];
                let (a, b) =
                    (From { place: from.as_ptr(), row: wide }, To { place: to.as_mut_ptr(), row: high });
                // SAFETY: both are as large.
                unsafe { turn(a, b, rows, columns) };
                let expected = |c: usize, r: usize| if r < rows { (r * wide + c) as f32 } else { -1.0 };
                let expected: Vec<f32> =
                    (0..columns).flat_map(|c| (0..high).map(move |r| expected(c, r))).collect();
                assert_eq!(to, expected, "{rows} {columns}");
            }
        }
    }
}
