//! Memory that operators write and forget, kept from one run to the next.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

/// What is not in use. A fresh allocation of some megabytes costs as much as to fill it, page by page.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(vec![]);

/// Numbers of any values, given back when dropped.
pub(super) struct Scratch {
    numbers: Vec<f32>,
    len: usize,
}

impl Scratch {
    /// So many numbers: the smallest free memory that holds them.
    pub fn take(len: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = (0..free.len()).filter(|i| free[*i].len() >= len).min_by_key(|i| free[*i].len());
        let found = fits.or_else(|| (0..free.len()).max_by_key(|i| free[*i].len()));
        let mut numbers = found.map(|i| free.swap_remove(i)).unwrap_or_default();
        drop(free);
        if numbers.len() < len {
            // Not `resize`, which would copy what was there.
            numbers = vec![0.0; len];
        }
        Self { numbers, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.numbers));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.len]
    }
}
