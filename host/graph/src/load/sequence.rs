//! Sequences of tensors: as long as their lengths are known, they are only names for lists of values,
//! and nothing of them is left in the graph.
//!
//! PyTorch's exporters write `split`, `chunk` and `unbind` as `SplitToSequence` and `SequenceAt`, and
//! `stack` and `cat` of lists as `SequenceConstruct` and `ConcatFromSequence`.

use super::Step;
use crate::{Attrs, AttrsExt, Graph, Tensor, ValueId};
use std::{collections::HashMap, sync::Arc};

/// Most elements of one sequence, so that lists of lists stay small.
const LONGEST: usize = 4096;

/// Most elements of all sequences together.
const ALL: usize = 1 << 24;

/// Sequences by name.
#[derive(Default)]
pub(super) struct Sequences {
    known: HashMap<String, Arc<[ValueId]>>,
    elements: usize,
}

/// What a node of sequences gives.
pub(super) enum Given {
    Sequence(Vec<ValueId>),
    Tensor(ValueId),
}

/// A node that is being read.
pub(super) struct Call<'a> {
    pub op: &'a str,
    pub inputs: &'a [String],
    pub attrs: &'a Attrs,
    /// The values of those inputs that are tensors.
    pub tensors: &'a [Option<ValueId>],
}

impl Sequences {
    /// Remembers a sequence.
    pub fn insert(&mut self, name: &str, elements: impl Into<Arc<[ValueId]>>) -> Step<()> {
        let elements = elements.into();
        self.elements += elements.len();
        if self.elements > ALL {
            return Err(format!("expected sequences of at most {ALL} tensors in all, found more"));
        }
        self.known.insert(name.to_owned(), elements);
        Ok(())
    }

    /// The sequence that a name means.
    pub fn get(&self, name: &str) -> Option<Arc<[ValueId]>> {
        self.known.get(name).cloned()
    }

    /// Forgets what a name means, and says it.
    pub fn remove(&mut self, name: &str) -> Option<Arc<[ValueId]>> {
        self.known.remove(name)
    }

    /// Lets a name mean again what it meant.
    pub fn restore(&mut self, name: String, elements: Option<Arc<[ValueId]>>) {
        self.known.extend(elements.map(|elements| (name, elements)));
    }

    /// Whether a name means a sequence.
    pub fn contains(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// What the node gives, if it is one about sequences.
    pub fn add(&self, g: &mut Graph, call: &Call) -> Step<Option<Given>> {
        let own = |at: usize| -> Step<&Arc<[ValueId]>> {
            let name = call.inputs.get(at).map(String::as_str).unwrap_or_default();
            self.known.get(name).ok_or_else(|| {
                format!("expected a sequence of known length as input {at}, found `{name}`\nhint: export the model without sequences")
            })
        };
        let given = match call.op {
            "SequenceEmpty" => Given::Sequence(vec![]),
            "SequenceConstruct" => {
                Given::Sequence((0..call.inputs.len()).map(|i| call.tensor(i)).collect::<Step<Vec<_>>>()?)
            }
            "SplitToSequence" => Given::Sequence(split(g, call)?),
            "SequenceInsert" => {
                let mut elements = own(0)?.to_vec();
                let at = match call.tensors.get(2).copied().flatten() {
                    Some(_) => position_below(elements.len() + 1, call.number(g, 2)?, elements.len())?,
                    None => elements.len(),
                };
                elements.insert(at, call.tensor(1)?);
                Given::Sequence(elements)
            }
            "SequenceErase" => {
                let mut elements = own(0)?.to_vec();
                let at = match call.tensors.get(1).copied().flatten() {
                    Some(_) => call.number(g, 1)?,
                    None => -1,
                };
                elements.remove(position(at, elements.len())?);
                Given::Sequence(elements)
            }
            "SequenceAt" => {
                let elements = own(0)?;
                Given::Tensor(elements[position(call.number(g, 1)?, elements.len())?])
            }
            "SequenceLength" => {
                let length = own(0)?.len() as i64;
                Given::Tensor(g.constant(Tensor::scalar_i64(length)))
            }
            "ConcatFromSequence" => Given::Tensor(concat(g, call, own(0)?)?),
            "Identity" => match call.inputs.first().and_then(|name| self.known.get(name)) {
                Some(elements) => Given::Sequence(elements.to_vec()),
                None => return Ok(None),
            },
            _ => {
                let sequence = call.inputs.iter().find(|name| self.known.contains_key(*name));
                return match sequence {
                    Some(name) => Err(format!("input `{name}` is a sequence, which it does not take here")),
                    None => Ok(None),
                };
            }
        };
        match &given {
            Given::Sequence(elements) if elements.len() > LONGEST => {
                Err(format!("expected a sequence of at most {LONGEST} tensors, found {}", elements.len()))
            }
            _ => Ok(Some(given)),
        }
    }
}

impl Call<'_> {
    fn tensor(&self, at: usize) -> Step<ValueId> {
        self.tensors.get(at).copied().flatten().ok_or_else(|| format!("expected a tensor as input {at}"))
    }

    /// The literal integers of an input.
    fn ints(&self, g: &Graph, at: usize) -> Step<Vec<i64>> {
        let value = g.value(self.tensor(at)?);
        let known = value.ints.as_ref().and_then(|all| all.iter().map(crate::Dim::known).collect());
        let ints = known.or_else(|| value.tensor().and_then(|t| t.as_ints()));
        ints.ok_or_else(|| format!("expected literal numbers as input {at}, found `{}`", value.name))
    }

    fn number(&self, g: &Graph, at: usize) -> Step<i64> {
        match self.ints(g, at)?.as_slice() {
            [one] => Ok(*one),
            other => Err(format!("expected one number as input {at}, found {}", other.len())),
        }
    }
}

/// An index that may count from the end.
fn position(index: i64, len: usize) -> Step<usize> {
    position_below(len, index, len)
}

/// The same up to another bound: one may insert behind the last.
fn position_below(bound: usize, index: i64, len: usize) -> Step<usize> {
    let at = if index < 0 { index.saturating_add(len as i64) } else { index };
    let inside = usize::try_from(at).ok().filter(|at| *at < bound);
    inside.ok_or_else(|| format!("position {index} is outside of a sequence of {len}"))
}

fn split(g: &mut Graph, call: &Call) -> Step<Vec<ValueId>> {
    let x = call.tensor(0)?;
    let dims = g.dims(x).map_err(|e| e.to_string())?.to_vec();
    let axis = call.attrs.int("axis", 0);
    let at = position(axis, dims.len())
        .map_err(|_| format!("expected an `axis` of {} dimensions, found {axis}", dims.len()))?;
    let given = call.tensors.get(1).copied().flatten();
    let scalar = given.is_none_or(|id| g.value(id).shape.as_ref().is_some_and(Vec::is_empty));
    let sizes = match scalar {
        false => call.ints(g, 1)?,
        true => {
            let size = if given.is_some() { call.number(g, 1)? } else { 1 };
            let all = dims[at].known().ok_or_else(|| {
                format!("expected a known size of dimension {at} to split, found {}", dims[at])
            })?;
            if size < 1 || all / size >= LONGEST as i64 {
                return Err(format!(
                    "expected at most {LONGEST} parts of size 1 or more, found size {size} of {all}"
                ));
            }
            let mut sizes = vec![size; (all / size) as usize];
            sizes.extend(Some(all % size).filter(|rest| *rest > 0));
            sizes
        }
    };
    if sizes.len() > LONGEST {
        return Err(format!("expected at most {LONGEST} parts, found {}", sizes.len()));
    }
    let parts = match sizes.as_slice() {
        [_] => vec![x],
        [] => vec![],
        sizes => {
            let list = g.int_list(sizes);
            let attrs = [("axis".to_owned(), (at as i64).into())].into_iter().collect();
            g.add_node("Split", &[Some(x), Some(list)], attrs, sizes.len()).map_err(|e| e.to_string())?
        }
    };
    if given.is_some() || call.attrs.int("keepdims", 1) != 0 {
        return Ok(parts);
    }
    let squeezed = parts.into_iter().map(|part| g.squeeze(part, &[at as i64]));
    squeezed.collect::<crate::Result<_>>().map_err(|e| e.to_string())
}

fn concat(g: &mut Graph, call: &Call, elements: &[ValueId]) -> Step<ValueId> {
    if elements.is_empty() {
        return Err("expected a sequence that is not empty".into());
    }
    let axis = match call.attrs.get("axis") {
        Some(_) => call.attrs.int("axis", 0),
        None => return Err("expected an `axis`".into()),
    };
    let mut parts = elements.to_vec();
    if call.attrs.int("new_axis", 0) != 0 {
        parts = (parts.into_iter().map(|part| g.unsqueeze(part, &[axis])))
            .collect::<crate::Result<_>>()
            .map_err(|e| e.to_string())?;
    }
    g.concat(&parts, axis).map_err(|e| e.to_string())
}
