//! Random numbers as pure functions of a seed and a name.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator for item `index` of the stream `name` under `seed`.
///
/// Streams with different names or indices are independent, so items can be made in any order, on any
/// number of threads, and none shifts when another draws more numbers.
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}
