//! What can go wrong with a graph, always with the place.

use std::path::PathBuf;

/// An error in a graph: where, what was expected, what was found.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A node that does not fit its operator.
    #[error("graph `{graph}`, node `{node}` ({op}): {message}")]
    Node {
        /// Name of the graph.
        graph: String,
        /// Name of the node.
        node: String,
        /// Operator of the node.
        op: String,
        /// What was expected and what was found.
        message: String,
    },
    /// Something about a whole graph: a missing port, a cycle, a duplicate name.
    #[error("graph `{graph}`: {message}")]
    Graph {
        /// Name of the graph.
        graph: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A tensor whose data do not fit its type or shape.
    #[error("tensor `{name}`: {message}")]
    Tensor {
        /// Name of the tensor, or what it is for.
        name: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A model file that is not what it says.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
}

/// A result whose error is a [`GraphError`].
pub type Result<T, E = GraphError> = std::result::Result<T, E>;
