//! `If`: where the condition is known when the model is read, the branch that is taken takes its place.
//! Exporters write such nodes where a shape decides, as in `squeeze`. Where only the data decide, both
//! branches are computed, and each output is selected.
//!
//! So a branch that is not taken must not be one that fails. Its gradient is zero; where its derivative is
//! infinite, though, zero times that is no number, as with any selection after the fact.

use super::{Import, Step, body::Item, function::Flat};
use crate::{Graph, Tensor, ValueId};

impl Import<'_> {
    /// Reads an `If` node.
    pub(super) fn branch(&mut self, mut flat: Flat) -> Step<Vec<Item>> {
        let condition = self.condition(&flat, 0)?.ok_or("expected a condition as input 0")?;
        match self.truth(condition) {
            Some(true) => self.taken(&mut flat, "then_branch"),
            Some(false) => self.taken(&mut flat, "else_branch"),
            None => {
                let yes = self.taken(&mut flat, "then_branch")?;
                let no = self.taken(&mut flat, "else_branch")?;
                let pairs = yes.into_iter().zip(no);
                pairs.map(|(yes, no)| self.select(condition, yes, no)).collect()
            }
        }
    }

    fn taken(&mut self, flat: &mut Flat, name: &'static str) -> Step<Vec<Item>> {
        let (place, expected) = (flat.place(), flat.node.output.len());
        self.with_body(flat, name, |import, body| match body.outputs.len() {
            n if n == expected => import.pass(body, &place, &[]),
            n => Err(format!("expected {expected} outputs of `{name}`, found {n}")),
        })
    }

    /// The condition that a node takes as input `at`.
    pub(super) fn condition(&self, flat: &Flat, at: usize) -> Step<Option<ValueId>> {
        match self.input_of(&flat.node, at)? {
            None => Ok(None),
            Some(Item::Tensor(id)) => Ok(Some(id)),
            Some(Item::Sequence(_)) => Err(format!("expected a condition as input {at}, found a sequence")),
        }
    }

    /// What a condition is, if that follows from literals, shapes and scalars among the initializers.
    pub(super) fn truth(&self, id: ValueId) -> Option<bool> {
        number(&self.graph, id, &mut { STEPS }).map(|n| n != 0.0)
    }

    /// The first of two where a condition holds, else the other.
    pub(super) fn select(&mut self, condition: ValueId, yes: Item, no: Item) -> Step<Item> {
        match (yes, no) {
            (Item::Tensor(yes), Item::Tensor(no)) => self.select_tensor(condition, yes, no).map(Item::Tensor),
            (Item::Sequence(yes), Item::Sequence(no)) if yes.len() == no.len() => {
                let pairs = yes.iter().zip(no.iter());
                let chosen = pairs.map(|(yes, no)| self.select_tensor(condition, *yes, *no));
                Ok(Item::Sequence(chosen.collect::<Step<Vec<_>>>()?.into()))
            }
            _ => Err(self.undecided(condition, "a tensor or sequence and another")),
        }
    }

    fn select_tensor(&mut self, condition: ValueId, yes: ValueId, no: ValueId) -> Step<ValueId> {
        if yes == no {
            return Ok(yes);
        }
        let [a, b] = [yes, no].map(|id| self.graph.value(id));
        if a.dtype != b.dtype || a.shape != b.shape || a.shape.is_none() {
            return Err(self.undecided(condition, &format!("{} and {}", a.describe(), b.describe())));
        }
        let scalar = self.graph.value(condition).shape.as_ref().is_some_and(Vec::is_empty);
        let condition = match scalar {
            true => condition,
            false => {
                let shape = self.graph.int_list(&[]);
                self.graph.reshape_to(condition, shape).map_err(|e| e.to_string())?
            }
        };
        self.graph.select(condition, yes, no).map_err(|e| e.to_string())
    }

    fn undecided(&self, condition: ValueId, found: &str) -> String {
        format!(
            "its condition `{}` is not known before the model runs; then both results must have one type and shape, found {found}\n\
             hint: fix the sizes that it depends on, or export the model without control flow",
            self.graph.value(condition).name
        )
    }

    /// A condition that always holds.
    pub(super) fn always(&mut self) -> ValueId {
        self.graph.constant(Tensor::scalar_bool(true))
    }
}

/// A condition is followed through this many nodes.
const STEPS: usize = 64;

/// The number that a scalar surely is.
fn number(g: &Graph, id: ValueId, left: &mut usize) -> Option<f64> {
    *left = left.checked_sub(1)?;
    let value = g.value(id);
    match (value.tensor(), value.ints.as_deref()) {
        (Some(t), _) => return t.as_scalar(),
        (_, Some([one])) => return one.known().map(|n| n as f64),
        _ => {}
    }
    let (_, node) = g.producer(id)?;
    let mut input = |i: usize| number(g, node.inputs.get(i).copied().flatten()?, left);
    let truth = |is: bool| Some(f64::from(u8::from(is)));
    match node.op.as_str() {
        "Reshape" | "Squeeze" | "Unsqueeze" => input(0),
        "Not" => truth(input(0)? == 0.0),
        "And" => truth(input(0)? != 0.0 && input(1)? != 0.0),
        "Or" => truth(input(0)? != 0.0 || input(1)? != 0.0),
        "Equal" => truth(input(0)? == input(1)?),
        "Less" => truth(input(0)? < input(1)?),
        "LessOrEqual" => truth(input(0)? <= input(1)?),
        "Greater" => truth(input(0)? > input(1)?),
        "GreaterOrEqual" => truth(input(0)? >= input(1)?),
        _ => None,
    }
}
