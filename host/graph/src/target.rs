//! What a graph is meant for.

/// The kind of processor that a graph is meant for: where several forms of the same are possible, the one that is fast
/// there is taken. Every form runs everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Few threads and large caches.
    #[default]
    Cpu,
    /// Thousands of threads, and a price for each operator.
    Gpu,
}
