//! Products of our own on the CPU.
//!
//! A matrix product is fast where one matrix lies as the processor reads it: some vectors of columns beside each other
//! for each step of the sum. The other may lie anywhere, since it is read a number at a time, each of them for many
//! products. So one innermost [loop](tile), which runs at the speed of the processor's multipliers, serves products
//! whose left matrix is never made: the parts of pictures that a [window](window) sees. Of two matrices the smaller is
//! [packed](panels), and what goes through the loop is told by tables of [places](product).
//!
//! Milliseconds on two cores of an AMD EPYC (AVX-512) with all that has to be copied around them, the best of four
//! medians, and GFLOP/s:
//!
//! | N, C -> M, picture, kernel, stride | convolution | weight gradient |
//! |---|---|---|
//! | 16, 64 -> 64, 16x16, 3, 1 | 1.60, 189 | 1.61, 188 |
//! | 16, 128 -> 128, 8x8, 3, 1 | 1.61, 188 | 1.58, 191 |
//! | 16, 256 -> 256, 4x4, 3, 1 | 1.75, 172 | 1.69, 179 |
//! | 16, 512 -> 512, 2x2, 3, 1 | 1.22, of what is no padding 110 | 2.32, 130 |
//!
//! Sums have the same order whatever the number of threads, so that a step gives the same bits each time. Standard
//! operators stay where they are for other providers.

mod convolution;
mod found;
mod linear;
mod panels;
mod product;
mod result;
mod scratch;
mod tile;
mod transposed;
mod turn;
mod vector;
mod weight_gradient;
mod window;

#[cfg(test)]
mod tests;

use crate::fused::{DOMAIN, in_turn};
use ekphrasis_graph::Graph;
use ort::operator::OperatorDomain;
use std::borrow::Cow;

/// Adds the operators of [`rewrite`]'s graphs.
pub(crate) fn operators(domain: OperatorDomain) -> ort::Result<OperatorDomain> {
    let domain = domain.add(convolution::Conv)?.add(transposed::ConvTranspose)?;
    domain.add(weight_gradient::ConvWeightGradient)?.add(linear::Gemm)
}

/// The graph with our operators wherever they fit.
pub(crate) fn rewrite(graph: &Graph) -> ekphrasis_graph::Result<Cow<'_, Graph>> {
    // Weight gradients first: they too may be made of convolutions.
    in_turn(graph, &[weight_gradient::rewrite, convolution::rewrite, transposed::rewrite, linear::rewrite])
}
