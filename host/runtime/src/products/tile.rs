//! The innermost loop: some rows of a product by some vectors of columns, in registers.

use super::vector::{Four, Vector};
use std::sync::LazyLock;

/// The most rows of a tile, and the most columns.
pub(super) const LARGEST: [usize; 2] = [10, 32];

/// A tile to compute.
pub(super) struct Tile {
    /// The numbers that rows and steps point into.
    pub left: *const f32,
    /// Where each row begins, as many as the tile has.
    pub rows: *const usize,
    /// How far each step of the sum lies from where a row begins.
    pub steps: *const u32,
    /// Steps.
    pub count: usize,
    /// For each step, a number for each column.
    pub right: *const f32,
    /// The sums, row by row.
    pub sums: *mut f32,
    /// Whether there are none yet.
    pub fresh: bool,
}

/// A function that adds a tile's products to its sums.
pub(super) type Add = unsafe fn(&Tile);

/// The tiles of a processor.
pub(super) struct Tiles {
    /// Numbers in a vector.
    pub lanes: usize,
    /// Rows of a tile, and the functions for tiles of one vector of columns and of two.
    pub kinds: &'static [(usize, [Add; 2])],
}

impl Tiles {
    /// The kind that wastes the least on so many rows.
    pub fn kind(&self, rows: usize) -> (usize, [Add; 2]) {
        let waste = |(size, _): &(usize, _)| (rows.next_multiple_of(*size), usize::MAX - size);
        self.kinds.iter().copied().min_by_key(waste).unwrap_or(FOUR.kinds[0])
    }
}

/// The tiles of this processor.
pub(super) fn tiles() -> &'static Tiles {
    static FOUND: LazyLock<&Tiles> = LazyLock::new(|| {
        let all = every();
        all.last().copied().unwrap_or(&FOUR)
    });
    &FOUND
}

/// All kinds of tiles that this processor has, the fastest last.
pub(super) fn every() -> Vec<&'static Tiles> {
    let mut all = vec![&FOUR];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(&x86::AVX2);
        }
        if is_x86_feature_detected!("avx512f") {
            all.push(&x86::AVX512);
        }
    }
    all
}

/// Sums, the numbers of the right for a step, and one number of the left for each row all stay in registers: the
/// compiler reads the latter together, so that there must be room for them.
///
/// # Safety
/// All places that a tile names must be there, and the processor must have `V`'s instructions.
#[inline(always)]
unsafe fn add<V: Vector, const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        let rows: [*const f32; ROWS] = std::array::from_fn(|r| tile.left.add(*tile.rows.add(r)));
        let mut right = tile.right;
        for step in 0..tile.count {
            let step = *tile.steps.add(step) as usize;
            let b: [V; VECTORS] = std::array::from_fn(|v| V::load(right.add(v * V::LANES)));
            right = right.add(VECTORS * V::LANES);
            for (row, sums) in rows.iter().zip(&mut sums) {
                let a = V::all(*row.add(step));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = sum.add_product(a, b);
                }
            }
        }
        let one = V::all(1.0);
        for (i, sum) in sums.iter().flatten().enumerate() {
            let place = tile.sums.add(i * V::LANES);
            let sum = if tile.fresh { *sum } else { V::load(place).add_product(*sum, one) };
            sum.store(place);
        }
    }
}

unsafe fn four<const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
    // SAFETY: as the caller promises.
    unsafe { add::<Four, ROWS, VECTORS>(tile) }
}

static FOUR: Tiles = Tiles { lanes: Four::LANES, kinds: &[(4, [four::<4, 1>, four::<4, 2>])] };

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Tile, Tiles, Vector, add};
    use std::arch::x86_64::{__m256, __m512};

    #[target_feature(enable = "avx512f")]
    unsafe fn avx512<const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
        // SAFETY: as the caller promises.
        unsafe { add::<__m512, ROWS, VECTORS>(tile) }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
        // SAFETY: as the caller promises.
        unsafe { add::<__m256, ROWS, VECTORS>(tile) }
    }

    pub(super) static AVX512: Tiles = Tiles {
        lanes: __m512::LANES,
        kinds: &[
            (8, [avx512::<8, 1>, avx512::<8, 2>]),
            (9, [avx512::<9, 1>, avx512::<9, 2>]),
            (10, [avx512::<10, 1>, avx512::<10, 2>]),
        ],
    };

    pub(super) static AVX2: Tiles =
        Tiles { lanes: __m256::LANES, kinds: &[(4, [avx2::<4, 1>, avx2::<4, 2>])] };
}
