//! The one table of tensor operations. A row says what it is called, how, what it does, and how it is
//! emitted into a graph; tracing, eager evaluation, documentation and stubs all come from the row.
//!
//! To add an operation, add one row to the file of its family.

mod args;
mod call;
mod elementwise;
mod indexing;
mod linear;
mod parts;
mod reduce;
mod shaping;

pub(crate) use args::{Arg, Parsed};
pub(crate) use call::axis_in;
pub use call::{Call, Options};
pub(crate) use linear::emit_linear;

use crate::{Fault, signature::Signature};
use ekphrasis_graph::ValueId;
use std::collections::HashMap;

/// What an emission gives: the values of the results, in order.
pub type Emit = Result<Vec<ValueId>, Fault>;

/// One operation on tensors, called as a method of its first operand.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Its name; as in PyTorch where PyTorch has it.
    pub name: &'static str,
    /// Its parameters beside the tensor itself, and its results.
    pub signature: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Adds its nodes.
    pub emit: fn(&mut Call) -> Emit,
}

const fn op(
    name: &'static str,
    signature: &'static str,
    doc: &'static str,
    emit: fn(&mut Call) -> Emit,
) -> Op {
    Op { name, signature, doc, emit }
}

/// An operation with its signature taken apart.
#[derive(Debug)]
pub(crate) struct Entry {
    pub op: Op,
    pub signature: Signature<'static>,
    /// Whether it is a function of the module `tensor` and takes no tensor before its arguments.
    pub function: bool,
}

/// Methods of a tensor, by family.
pub fn methods() -> impl Iterator<Item = &'static Op> {
    let families =
        [elementwise::ROWS, reduce::ROWS, shaping::ROWS, parts::ROWS, indexing::ROWS, linear::ROWS];
    families.into_iter().flatten()
}

/// Functions of the module `tensor` that take tensors.
pub fn functions() -> impl Iterator<Item = &'static Op> {
    parts::FUNCTIONS.iter()
}

/// The operations by name: methods plain, functions as `tensor.concat`.
pub(crate) fn entries() -> HashMap<String, std::rc::Rc<Entry>> {
    let entry = |op: &Op, function| {
        let signature = Signature::parse(op.signature);
        std::rc::Rc::new(Entry { op: *op, signature, function })
    };
    let methods = methods().map(|o| (o.name.to_owned(), entry(o, false)));
    methods.chain(functions().map(|o| (format!("tensor.{}", o.name), entry(o, true)))).collect()
}
