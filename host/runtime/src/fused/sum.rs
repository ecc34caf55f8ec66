//! Sums and means over dimensions, on CUDA: which nodes become one, and their kernels.
//!
//! Numbers are added in an order that depends on shapes alone. ONNX Runtime does so too where results must be the same
//! each time, but then by cuDNN, which takes up to ten times as long.

use super::{
    DOMAIN,
    source::{Sizes, index},
};
use crate::cuda::kernels::{ENTRY, THREADS};
use ekphrasis_graph::{AttrsExt, DType, Graph, GraphError, Node, NodeId, Result};
use std::{borrow::Cow, collections::HashSet, fmt::Write};

/// The operator's name.
pub(super) const NAME: &str = "Sum";

/// Blocks that keep a GPU busy; where results are fewer, several share the work on one.
const BUSY: usize = 512;

/// The least numbers that a thread adds before a result is worth several blocks.
const LEAST: usize = 8;

/// Results beside each other that a block of the second kind computes.
const COLUMNS: usize = 32;

/// The graph with our operator in the place of sums and means of f32.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let which: HashSet<NodeId> =
        graph.nodes().filter(|(_, n)| axes(graph, n).is_some()).map(|(id, _)| id).collect();
    if which.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut new = graph.clone();
    new.replace_nodes(&which, |g, _, node| {
        let axes = axes(graph, node).unwrap_or_default();
        let attrs = [
            ("axes", axes.into()),
            ("keep", i64::from(node.attrs.int("keepdims", 1) != 0).into()),
            ("mean", i64::from(node.op == "ReduceMean").into()),
        ];
        let attrs = attrs.map(|(name, value): (&str, ekphrasis_graph::Attr)| (name.to_owned(), value)).into();
        let op = format!("{DOMAIN}::{NAME}");
        let made = g.add_node_named(&node.name, &op, &node.inputs[..1], attrs, &[true, true])?;
        let (Some(old), Some(Some(new))) = (node.outputs.first().copied().flatten(), made.first()) else {
            return Err(g.error("a sum has no result"));
        };
        if let Some(shape) = &graph.value(old).shape {
            g.assume_shape(*new, shape.clone());
        }
        Ok::<_, GraphError>(vec![Some(*new)])
    })?;
    Ok(Cow::Owned(new))
}

/// The dimensions that a node sums over, counted from the front, if our operator can do what it does.
fn axes(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    if !matches!(node.op.as_str(), "ReduceSum" | "ReduceMean") {
        return None;
    }
    let x = graph.value(node.inputs.first().copied()??);
    let rank = x.shape.as_ref().filter(|_| x.dtype == DType::F32)?.len() as i64;
    let mut axes = match node.inputs.get(1).copied().flatten() {
        Some(axes) => graph.value(axes).tensor()?.as_ints()?,
        None => vec![],
    };
    if axes.is_empty() {
        if node.attrs.int("noop_with_empty_axes", 0) != 0 {
            return None;
        }
        axes = (0..rank).collect();
    }
    axes.iter_mut().for_each(|a| *a += if *a < 0 { rank } else { 0 });
    (rank > 0 && axes.iter().all(|a| (0..rank).contains(a))).then_some(axes)
}

/// The shape of a sum over `axes`.
pub(super) fn shape(dims: &[i64], axes: &[i64], keep: bool) -> Vec<i64> {
    let summed = |i: usize| axes.contains(&(i as i64));
    let all = dims.iter().enumerate();
    all.filter(|(i, _)| keep || !summed(*i)).map(|(i, d)| if summed(i) { 1 } else { *d }).collect()
}

/// Sizes and strides of dimensions, the last first; those that are beside each other are one.
type Dims = Vec<(usize, usize)>;

/// How a sum is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The dimensions that stay.
    kept: Dims,
    /// Those that are summed over.
    summed: Dims,
    /// Results.
    pub results: usize,
    /// Numbers in each.
    pub terms: usize,
    /// Parts of a result that blocks compute by themselves; more than one need a second pass.
    pub parts: usize,
    /// Whether the terms of a result lie beside each other.
    rows: bool,
}

impl Plan {
    /// The plan for a tensor of these sizes.
    pub fn new(dims: &[i64], axes: &[i64]) -> Self {
        let sizes: Vec<usize> = dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
        let (mut kept, mut summed): (Dims, Dims) = (vec![], vec![]);
        let (mut stride, mut last) = (1, None);
        // From the last dimension to the first.
        for (i, size) in sizes.iter().enumerate().rev() {
            if *size != 1 {
                let is_summed = axes.contains(&(i as i64));
                let list = if is_summed { &mut summed } else { &mut kept };
                match list.last_mut() {
                    Some(inner) if last == Some(is_summed) => inner.0 *= size,
                    _ => list.push((*size, stride)),
                }
                last = Some(is_summed);
            }
            stride *= size;
        }
        let product = |list: &[(usize, usize)]| list.iter().map(|(size, _)| size).product::<usize>();
        let (results, terms) = (product(&kept), product(&summed));
        let rows = summed.first().is_some_and(|(_, stride)| *stride == 1) || kept.is_empty();
        let (blocks, each) = match rows {
            true => (results, terms.div_ceil(THREADS)),
            false => (results.div_ceil(COLUMNS), terms.div_ceil(THREADS / COLUMNS)),
        };
        let parts = (BUSY / blocks.max(1)).min(each / LEAST).max(1);
        Self { kept, summed, results, terms, parts, rows }
    }

    /// Blocks of the first pass.
    pub fn blocks(&self) -> usize {
        self.parts * if self.rows { self.results } else { self.results.div_ceil(COLUMNS) }
    }

    /// The first pass: `out[part * results + result]` is the sum of a part of the terms, of all where there is one
    /// part; then it is divided by their number `divisor`, if there is one. Its parameters are both addresses and
    /// `sizes`.
    pub fn source(&self, divisor: Option<usize>, sizes: &mut Sizes) -> String {
        let index = index(self.results.max(1) * self.terms.max(1));
        let (base, term) = (place(&self.kept, "result", sizes), place(&self.summed, "t", sizes));
        let ending = match divisor.filter(|_| self.parts == 1) {
            Some(n) => format!(" / (float){}", sizes.write(n)),
            None => String::new(),
        };
        let share = sizes.write(self.terms.div_ceil(self.parts));
        let (terms, results) = (sizes.write(self.terms), sizes.write(self.results));
        // Results beside each other in a block; threads that share one are as far apart.
        let columns = if self.rows { 1 } else { COLUMNS };
        let (lanes, tree) = (THREADS / columns, tree(THREADS / 2, columns));
        let parameters = sizes.parameters(index);
        format!(
            "extern \"C\" __global__ void {ENTRY}(const float* __restrict__ in, float* __restrict__ out{parameters}) {{
    const {index} results = {results}, groups = (results + {columns}u - 1u) / {columns}u;
    const {index} result = blockIdx.x % groups * {columns}u + threadIdx.x % {columns}u, part = blockIdx.x / groups;
    const {index} begin = part * {share}, end = begin + {share} < {terms} ? begin + {share} : {terms};
    float sum = 0.0f;
    if (result < results) {{
        const float* x = in + {base};
        for ({index} t = begin + threadIdx.x / {columns}u; t < end; t += {lanes}u) sum += x[{term}];
    }}
    __shared__ float all[{THREADS}];
    all[threadIdx.x] = sum;
{tree}    if (threadIdx.x < {columns}u && result < results) out[part * results + result] = all[threadIdx.x]{ending};
}}
"
        )
    }

    /// The second pass, over the parts of all results, one after the other.
    pub fn second(&self) -> Self {
        let (parts, results) = (self.parts as i64, self.results as i64);
        Self { parts: 1, ..Self::new(&[parts, results], &[0]) }
    }
}

/// Where number `variable` of the dimensions lies.
fn place(dims: &[(usize, usize)], variable: &str, sizes: &mut Sizes) -> String {
    let (mut terms, mut before) = (vec![], 1);
    for (i, (size, stride)) in dims.iter().enumerate() {
        let mut term = variable.to_owned();
        if i > 0 {
            let _ = write!(term, " / {}", sizes.write(before));
        }
        if i + 1 < dims.len() {
            let _ = write!(term, " % {}", sizes.write(*size));
        }
        if *stride != 1 {
            let _ = write!(term, " * {}", sizes.write(*stride));
        }
        terms.push(term);
        before *= size;
    }
    if terms.is_empty() { "0".into() } else { terms.join(" + ") }
}

/// Adds what the threads of a block hold, halving their number from `from` threads down to `to`.
fn tree(from: usize, to: usize) -> String {
    let mut text = "    __syncthreads();\n".to_owned();
    let mut half = from;
    while half >= to {
        let _ = writeln!(
            text,
            "    if (threadIdx.x < {half}u) all[threadIdx.x] += all[threadIdx.x + {half}u];\n    __syncthreads();"
        );
        half /= 2;
    }
    text
}
