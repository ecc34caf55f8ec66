//! `Loop`, `Scan` and `SequenceMap`: the body takes the place of the node as often as it runs.
//!
//! How often must be known when the model is read. A `Loop` of known count whose condition only the data
//! decide runs to its count: once the condition fails, what it carries stays as it is.

use super::{
    Import, Step,
    body::{Body, Item},
    function::{self, Flat},
    tensor_type,
};
use crate::{Attrs, AttrsExt, Tensor, ValueId, infer};

impl Import<'_> {
    /// Reads a `Loop` node.
    pub(super) fn repeat(&mut self, mut flat: Flat) -> Step<Vec<Item>> {
        let count = match self.input_of(&flat.node, 0)? {
            None => None,
            Some(Item::Tensor(id)) => Some(self.number(id).ok_or_else(|| {
                let name = &self.graph.value(id).name;
                format!("how often it runs, `{name}`, is not known before the model runs\n{EXPORT}")
            })?),
            Some(Item::Sequence(_)) => return Err("expected a count as input 0, found a sequence".into()),
        };
        let condition = self.condition(&flat, 1)?;
        let mut carried = self.inputs_from(&flat, 2)?;
        let place = flat.place();
        self.with_body(&mut flat, "body", |import, body| {
            let scans = (body.outputs.len()).checked_sub(carried.len() + 1);
            let scans = scans.ok_or_else(|| {
                format!(
                    "expected at least {} outputs of `body`, found {}",
                    carried.len() + 1,
                    body.outputs.len()
                )
            })?;
            let mut scanned: Vec<Vec<ValueId>> = vec![vec![]; scans];
            let mut condition = condition;
            // Whether it still runs, where only the data decide.
            let mut running: Option<ValueId> = None;
            let mut pass = 0;
            while count.is_none_or(|n| pass < n) {
                match condition.map(|c| (c, import.truth(c))) {
                    None | Some((_, Some(true))) => {}
                    Some((_, Some(false))) => break,
                    Some((c, None)) => running = Some(import.still(running, c, count, scans)?),
                }
                let iteration = import.graph.constant(Tensor::scalar_i64(pass));
                let holds = import.always();
                let mut fed = vec![Item::Tensor(iteration), Item::Tensor(holds)];
                fed.extend(carried.iter().cloned());
                let mut made = import.pass(body, &format!("{place}/{pass}"), &fed)?.into_iter();
                // It counts even where the node has none, as in ONNX Runtime.
                condition = made.next().map(|c| tensor(c, "a condition")).transpose()?;
                for own in &mut carried {
                    let Some(next) = made.next() else { break };
                    *own = match running {
                        None => next,
                        Some(running) => import.select(running, next, own.clone())?,
                    };
                }
                for (all, one) in scanned.iter_mut().zip(made) {
                    all.push(tensor(one, "a tensor to stack")?);
                }
                pass += 1;
            }
            let ports = body.outputs.len() - scans;
            for (i, all) in scanned.into_iter().enumerate() {
                carried.push(Item::Tensor(import.stack(body, ports + i, &all, 0)?));
            }
            Ok(carried)
        })
    }

    /// Whether a loop still runs, given whether it ran before and a condition that only the data decide.
    fn still(
        &mut self,
        before: Option<ValueId>,
        condition: ValueId,
        count: Option<i64>,
        scans: usize,
    ) -> Step<ValueId> {
        let name = &self.graph.value(condition).name;
        if scans > 0 {
            return Err(format!(
                "how many values it stacks depends on `{name}`, which is not known before the model runs\n{EXPORT}"
            ));
        }
        if count.is_none_or(|n| n > function::NODES as i64) {
            return Err(format!(
                "whether it goes on, `{name}`, is not known before the model runs, and no count ends it\n{EXPORT}"
            ));
        }
        match before {
            None => Ok(condition),
            Some(before) => self.graph.and(before, condition).map_err(|e| e.to_string()),
        }
    }

    /// Reads a `Scan` node.
    pub(super) fn scan(&mut self, mut flat: Flat) -> Step<Vec<Item>> {
        let attributes = std::mem::take(&mut flat.node.attribute);
        let (bodies, rest) = attributes.into_iter().partition(|a| a.name == "body");
        flat.node.attribute = bodies;
        let attrs = self.attrs(rest)?;
        let inputs = self.inputs_from(&flat, 0)?;
        let elements =
            usize::try_from(attrs.int("num_scan_inputs", 0)).ok().filter(|n| *n > 0 && *n <= inputs.len());
        let elements =
            elements.ok_or_else(|| format!("expected `num_scan_inputs` from 1 to {}", inputs.len()))?;
        let mut carried = inputs;
        let mut columns = vec![];
        for (i, item) in carried.split_off(carried.len() - elements).into_iter().enumerate() {
            let (axis, backwards) = direction(&attrs, "scan_input", i);
            let mut column = self.unstack(tensor(item, "a tensor to scan")?, axis)?;
            if backwards {
                column.reverse();
            }
            columns.push(column);
        }
        let length = columns[0].len();
        if let Some(other) = columns.iter().find(|c| c.len() != length) {
            return Err(format!("expected inputs of one length to scan, found {length} and {}", other.len()));
        }
        let place = flat.place();
        self.with_body(&mut flat, "body", |import, body| {
            let states = carried.len();
            let scans = body.outputs.len().checked_sub(states);
            let scans = scans.ok_or_else(|| {
                format!("expected at least {states} outputs of `body`, found {}", body.outputs.len())
            })?;
            let mut scanned: Vec<Vec<ValueId>> = vec![vec![]; scans];
            for pass in 0..length {
                let fed: Vec<Item> =
                    carried.iter().cloned().chain(columns.iter().map(|c| Item::Tensor(c[pass]))).collect();
                let mut made = import.pass(body, &format!("{place}/{pass}"), &fed)?;
                for (all, one) in scanned.iter_mut().zip(made.split_off(states)) {
                    all.push(tensor(one, "a tensor to stack")?);
                }
                carried = made;
            }
            for (i, mut all) in scanned.into_iter().enumerate() {
                let (axis, backwards) = direction(&attrs, "scan_output", i);
                if backwards {
                    all.reverse();
                }
                carried.push(Item::Tensor(import.stack(body, states + i, &all, axis)?));
            }
            Ok(carried)
        })
    }

    /// Reads a `SequenceMap` node.
    pub(super) fn map(&mut self, mut flat: Flat) -> Step<Vec<Item>> {
        let inputs = self.inputs_from(&flat, 0)?;
        let Some(Item::Sequence(first)) = inputs.first().cloned() else {
            return Err("expected a sequence of known length as input 0".into());
        };
        let place = flat.place();
        self.with_body(&mut flat, "body", |import, body| {
            let mut mapped: Vec<Vec<ValueId>> = vec![vec![]; body.outputs.len()];
            for pass in 0..first.len() {
                let element = |item: &Item| match item {
                    Item::Tensor(id) => Ok(Item::Tensor(*id)),
                    Item::Sequence(all) if all.len() == first.len() => Ok(Item::Tensor(all[pass])),
                    Item::Sequence(all) => Err(format!(
                        "expected sequences of one length, found {} and {}",
                        first.len(),
                        all.len()
                    )),
                };
                let fed = inputs.iter().map(element).collect::<Step<Vec<_>>>()?;
                let made = import.pass(body, &format!("{place}/{pass}"), &fed)?;
                for (all, one) in mapped.iter_mut().zip(made) {
                    all.push(tensor(one, "a tensor")?);
                }
            }
            Ok(mapped.into_iter().map(|all| Item::Sequence(all.into())).collect())
        })
    }

    fn inputs_from(&self, flat: &Flat, from: usize) -> Step<Vec<Item>> {
        let all = (from..flat.node.input.len()).map(|i| {
            self.input_of(&flat.node, i)?.ok_or_else(|| format!("expected an input {i}, found none"))
        });
        all.collect()
    }

    /// A number that is known.
    fn number(&self, id: ValueId) -> Option<i64> {
        match self.graph.value(id).ints.as_deref() {
            Some([one]) => one.known(),
            _ => None,
        }
    }

    /// The elements of a tensor along an axis.
    fn unstack(&mut self, x: ValueId, axis: i64) -> Step<Vec<ValueId>> {
        let g = &mut self.graph;
        let dims = g.dims(x).map_err(|e| e.to_string())?;
        let at = infer::axis(axis, dims.len())?;
        let length = dims[at].known().ok_or_else(|| {
            format!(
                "how often it runs, {} (axis {axis} of `{}`), is not known before the model runs\n{EXPORT}",
                dims[at],
                g.value(x).name
            )
        })?;
        if length > function::NODES as i64 {
            return Err(format!("expected at most {} elements to scan, found {length}", function::NODES));
        }
        let parts = match length {
            0 => return Ok(vec![]),
            1 => vec![x],
            n => {
                let sizes = g.int_list(&vec![1; n as usize]);
                let attrs = Attrs::from([("axis".to_owned(), (at as i64).into())]);
                g.add_node("Split", &[Some(x), Some(sizes)], attrs, n as usize).map_err(|e| e.to_string())?
            }
        };
        parts.into_iter().map(|p| g.squeeze(p, &[at as i64]).map_err(|e| e.to_string())).collect()
    }

    /// What an output of the body gave in all passes, as one tensor.
    fn stack(&mut self, body: &Body, output: usize, all: &[ValueId], axis: i64) -> Step<ValueId> {
        let g = &mut self.graph;
        if all.is_empty() {
            let port = &body.outputs[output];
            let (dtype, shape) = tensor_type(port)?;
            let dims = shape.and_then(|s| {
                s.iter().map(|d| d.known().and_then(|n| n.try_into().ok())).collect::<Option<Vec<usize>>>()
            });
            let mut dims = dims
                .ok_or_else(|| format!("it runs no times, and the sizes of `{}` are not known", port.name))?;
            let at = infer::axis(axis, dims.len() + 1)?;
            dims.insert(at, 0);
            return Tensor::new(dtype, &dims, vec![]).map(|t| g.constant(t)).map_err(|e| e.to_string());
        }
        let parts = all.iter().map(|one| g.unsqueeze(*one, &[axis]));
        let parts = parts.collect::<crate::Result<Vec<_>>>().map_err(|e| e.to_string())?;
        g.concat(&parts, axis).map_err(|e| e.to_string())
    }
}

const EXPORT: &str =
    "hint: fix the sizes that it depends on, or export the model with the loop traced and so unrolled";

fn tensor(item: Item, expected: &str) -> Step<ValueId> {
    match item {
        Item::Tensor(id) => Ok(id),
        Item::Sequence(_) => Err(format!("expected {expected}, found a sequence")),
    }
}

/// Axis and direction of an input or output of `Scan`.
fn direction(attrs: &Attrs, of: &str, at: usize) -> (i64, bool) {
    let number =
        |what: &str| attrs.ints(&format!("{of}_{what}")).and_then(|all| all.get(at).copied()).unwrap_or(0);
    (number("axes"), number("directions") != 0)
}
