//! What can go wrong when a graph is differentiated.

use ekphrasis_graph::GraphError;
use std::fmt;

/// A node on the way from the parameters to the loss whose operator has no gradient rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Operator.
    pub op: String,
    /// Name of the node.
    pub node: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (node `{}`)", self.op, self.node)
    }
}

/// An error in differentiation or in an optimiser's graph.
#[derive(Debug, thiserror::Error)]
pub enum GradError {
    /// Operators without a rule: all of them, not only the first.
    #[error(
        "graph `{graph}`: no gradient rule for {}\nhint: put `ekphrasis::StopGradient` before what should not be differentiated",
        missing.iter().map(Missing::to_string).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// Name of the graph.
        graph: String,
        /// Every node without a rule, in topological order.
        missing: Vec<Missing>,
    },
    /// A request that does not fit the graph: a seed of another shape, an optimiser without its state.
    #[error("graph `{graph}`: {message}")]
    Request {
        /// Name of the graph.
        graph: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A rule that does not cover the node as it is, or a node that could not be added.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// A result whose error is a [`GradError`].
pub type Result<T, E = GradError> = std::result::Result<T, E>;
