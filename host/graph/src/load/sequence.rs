//! Sequences of tensors whose lengths are known: while a model is read they are lists of values, and nothing
//! is left of them. PyTorch's exporter writes `split` and `unbind` so.

use super::{Import, Step};
use crate::{Attr, Attrs, AttrsExt, Dim, Tensor, ValueId};

/// What a node of sequences gives.
pub(super) enum Made {
    Sequence(Vec<ValueId>),
    Tensor(ValueId),
}

/// Whether the node takes or makes a sequence and is followed here.
pub(super) fn follows(op: &str) -> bool {
    matches!(
        op,
        "ConcatFromSequence"
            | "SequenceAt"
            | "SequenceConstruct"
            | "SequenceEmpty"
            | "SequenceErase"
            | "SequenceInsert"
            | "SequenceLength"
            | "SplitToSequence"
    )
}

impl Import<'_> {
    /// Follows one node; `names` are its inputs as the file calls them.
    pub(super) fn sequence(&mut self, op: &str, names: &[String], attrs: &Attrs) -> Step<Made> {
        let text = |e: crate::GraphError| e.to_string();
        Ok(match op {
            "SequenceEmpty" => Made::Sequence(vec![]),
            "SequenceConstruct" => {
                Made::Sequence((0..names.len()).map(|i| self.tensor_of(names, i)).collect::<Step<_>>()?)
            }
            "SplitToSequence" => {
                let x = self.tensor_of(names, 0)?;
                Made::Sequence(self.split(x, names, attrs)?)
            }
            "SequenceLength" => {
                let length = self.sequence_of(names, 0)?.len();
                Made::Tensor(self.graph.constant(Tensor::scalar_i64(length as i64)))
            }
            "SequenceAt" => {
                let all = self.sequence_of(names, 0)?.clone();
                let at = self.position(names, 1, all.len(), None)?;
                let found = all.get(at).copied();
                Made::Tensor(
                    found.ok_or_else(|| format!("expected a position below {}, found {at}", all.len()))?,
                )
            }
            "SequenceErase" => {
                let mut all = self.sequence_of(names, 0)?.clone();
                let at = self.position(names, 1, all.len(), all.len().checked_sub(1))?;
                if at >= all.len() {
                    return Err(format!("expected a position below {}, found {at}", all.len()));
                }
                all.remove(at);
                Made::Sequence(all)
            }
            "SequenceInsert" => {
                let mut all = self.sequence_of(names, 0)?.clone();
                let x = self.tensor_of(names, 1)?;
                let at = self.position(names, 2, all.len(), Some(all.len()))?;
                all.insert(at.min(all.len()), x);
                Made::Sequence(all)
            }
            _ => {
                let mut all = self.sequence_of(names, 0)?.clone();
                let axis = attrs.int("axis", 0);
                if attrs.int("new_axis", 0) != 0 {
                    for x in &mut all {
                        *x = self.graph.unsqueeze(*x, &[axis]).map_err(text)?;
                    }
                }
                Made::Tensor(self.graph.concat(&all, axis).map_err(text)?)
            }
        })
    }

    fn tensor_of(&self, names: &[String], i: usize) -> Step<ValueId> {
        let found = names.get(i).and_then(|n| self.values.get(n)).copied();
        found.ok_or_else(|| format!("expected a tensor as input {i}"))
    }

    fn sequence_of(&self, names: &[String], i: usize) -> Step<&Vec<ValueId>> {
        names.get(i).and_then(|n| self.sequences.get(n)).ok_or_else(|| {
            format!("expected a sequence of known length as input {i}\nhint: sequences that are inputs of a model are not supported")
        })
    }

    /// The integers of an input that is a literal; `None` where it is left out.
    fn literal(&self, names: &[String], i: usize) -> Step<Option<Vec<i64>>> {
        let Some(v) = names.get(i).and_then(|n| self.values.get(n)) else { return Ok(None) };
        let ints = self.graph.value(*v).ints.as_ref();
        let known = ints.and_then(|d| d.iter().map(Dim::known).collect::<Option<Vec<_>>>());
        known.map(Some).ok_or_else(|| format!("expected literal numbers as input {i}"))
    }

    /// A place in a sequence of `length`, counted from its end where it is negative.
    fn position(&self, names: &[String], i: usize, length: usize, default: Option<usize>) -> Step<usize> {
        match (self.literal(names, i)?, default) {
            (Some(at), _) => {
                let at = *at.first().ok_or("expected a position, found an empty list")?;
                let at = if at < 0 { at.saturating_add(length as i64) } else { at };
                usize::try_from(at).map_err(|_| format!("expected a position within {length}, found {at}"))
            }
            (None, Some(at)) => Ok(at),
            (None, None) => Err("expected a position".into()),
        }
    }

    /// The parts of `x`: of the sizes that input 1 lists, of its one size, or of size 1.
    fn split(&mut self, x: ValueId, names: &[String], attrs: &Attrs) -> Step<Vec<ValueId>> {
        let text = |e: crate::GraphError| e.to_string();
        let dims = self.graph.dims(x).map_err(text)?;
        let axis = attrs.int("axis", 0);
        let at = if axis < 0 { axis + dims.len() as i64 } else { axis };
        let size =
            usize::try_from(at).ok().and_then(|at| dims.get(at)).ok_or("expected an axis that is there")?;
        let scalar = names.get(1).and_then(|n| self.values.get(n));
        let scalar = scalar.is_none_or(|v| self.graph.value(*v).shape.as_ref().is_some_and(Vec::is_empty));
        let given = self.literal(names, 1)?;
        let sizes = match given.as_deref() {
            Some(sizes) if !scalar => sizes.to_vec(),
            each => {
                let each = each.and_then(|v| v.first().copied()).unwrap_or(1);
                let n =
                    size.known().ok_or_else(|| format!("expected a known size to split, found {size}"))?;
                if each < 1 || n / each > MOST {
                    return Err(format!(
                        "expected at most {MOST} parts of size 1 or more, found {n} by {each}"
                    ));
                }
                (0..n).step_by(each as usize).map(|i| each.min(n - i)).collect()
            }
        };
        let list = self.graph.int_list(&sizes);
        let attr = [("axis".to_owned(), Attr::Int(axis))].into();
        let mut parts =
            self.graph.add_node("Split", &[Some(x), Some(list)], attr, sizes.len()).map_err(text)?;
        if names.get(1).is_none_or(String::is_empty) && attrs.int("keepdims", 1) == 0 {
            for part in &mut parts {
                *part = self.graph.squeeze(*part, &[axis]).map_err(text)?;
            }
        }
        Ok(parts)
    }
}

/// A split has at most this many parts, so that memory follows what a file holds.
const MOST: i64 = 100_000;
