//! Work shared out to all cores.

use rayon::prelude::*;

/// `of` each number below `count`, in order, on all cores, at least `grain` numbers at a time. Those done together
/// share a `scratch`.
pub(crate) fn each<S: Default, T: Send>(
    count: usize,
    grain: usize,
    of: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    (0..count).into_par_iter().with_min_len(grain).map_init(S::default, |scratch, i| of(scratch, i)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_comes_once_and_in_order() {
        for count in [0, 1, 2, 15, 16, 17, 1000] {
            for grain in [0, 1, 16, 5000] {
                let all = super::each(count, grain, |(), i| i);
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
