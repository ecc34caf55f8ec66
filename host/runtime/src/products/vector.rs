//! Vectors of numbers, one register each.

/// A vector register.
///
/// # Safety
/// Its functions may be called only where the processor has its instructions.
pub(super) unsafe trait Vector: Copy {
    /// Numbers in it.
    const LANES: usize;

    unsafe fn zero() -> Self;

    /// The same number in all places.
    unsafe fn all(number: f32) -> Self;

    /// The numbers from `place` on.
    unsafe fn load(place: *const f32) -> Self;

    unsafe fn store(self, place: *mut f32);

    /// `self + a b`, rounded once where the processor can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// A register with so many numbers and its instructions.
    macro_rules! register {
        ($register:ty, $lanes:literal, $zero:ident, $all:ident, $load:ident, $store:ident, $add_product:ident) => {
            // SAFETY: each function is one instruction.
            unsafe impl Vector for $register {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: as the caller promises, here and below.
                    unsafe { $zero() }
                }

                #[inline(always)]
                unsafe fn all(number: f32) -> Self {
                    // SAFETY: as above.
                    unsafe { $all(number) }
                }

                #[inline(always)]
                unsafe fn load(place: *const f32) -> Self {
                    // SAFETY: as above.
                    unsafe { $load(place) }
                }

                #[inline(always)]
                unsafe fn store(self, place: *mut f32) {
                    // SAFETY: as above.
                    unsafe { $store(place, self) }
                }

                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $add_product(a, b, self) }
                }
            }
        };
    }

    register!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps
    );
    register!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps
    );
}

/// What every processor has: the compiler finds the instructions.
#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

// SAFETY: ordinary numbers.
unsafe impl Vector for Four {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 4])
    }

    #[inline(always)]
    unsafe fn all(number: f32) -> Self {
        Self([number; 4])
    }

    #[inline(always)]
    unsafe fn load(place: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { place.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, place: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { place.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let one = |i: usize| match cfg!(target_arch = "aarch64") {
            true => a.0[i].mul_add(b.0[i], self.0[i]),
            false => self.0[i] + a.0[i] * b.0[i],
        };
        Self([one(0), one(1), one(2), one(3)])
    }
}
