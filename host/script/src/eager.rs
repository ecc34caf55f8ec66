//! Operations on real numbers: the same emission as in a trace, into a graph of its own that runs at
//! once. The sessions are kept by operation, arguments, types and sizes.

use crate::{
    Fault, Tensor,
    host::MEMORY_HINT,
    ops::{Arg, Call, Entry},
    tensor::Operand,
};
use ekphrasis_graph::{Dim, Graph, Origin, Shape, ValueId, product};
use ekphrasis_runtime::{DeviceTensor, Runtime, RuntimeError, Session, SessionOptions};
use std::{cell::RefCell, collections::HashMap, fmt::Write, rc::Rc};

/// Sessions kept before all are dropped; only scripts that make new shapes without end reach it.
const KEPT: usize = 1024;

/// Runs operations at once.
pub(crate) struct Eager {
    runtime: Option<Runtime>,
    /// Most bytes that one result may take.
    limit: usize,
    plans: RefCell<HashMap<String, Rc<Plan>>>,
}

/// How the results of one operation come about.
struct Plan {
    session: Option<Session>,
    results: Vec<Give>,
}

enum Give {
    Operand(usize),
    Literal(DeviceTensor),
    Output(usize),
}

fn failed(e: RuntimeError) -> Fault {
    Fault::new(e.to_string())
}

impl Eager {
    pub fn new(runtime: Option<Runtime>, limit: usize) -> Self {
        Self { runtime, limit, plans: RefCell::default() }
    }

    pub fn runtime(&self) -> Result<&Runtime, Fault> {
        self.runtime.as_ref().ok_or_else(|| {
            Fault::new("computing on real numbers needs ONNX Runtime, which is not started here")
                .hint("`ekphrasis doctor` says where it was looked for")
        })
    }

    pub fn run(&self, entry: &Entry, args: &[Arg], operands: &[Operand]) -> Result<Vec<Tensor>, Fault> {
        if operands.is_empty() {
            return Err(Fault::new("expected at least one tensor"));
        }
        let runtime = self.runtime()?;
        let mut feeds = vec![];
        for operand in operands {
            feeds.push(match operand {
                Operand::Tensor(Tensor::Eager(t)) => t.clone(),
                Operand::Tensor(t) => t.eager(entry.op.name)?.clone(),
                Operand::Number(n) => DeviceTensor::from_tensor(n).map_err(failed)?,
            });
        }
        let mut key = format!("{} {args:?}", entry.op.name);
        for t in &feeds {
            let _ = write!(key, " {}{:?}", t.dtype(), t.dims());
        }
        let known = self.plans.borrow().get(&key).cloned();
        let plan = match known {
            Some(plan) => plan,
            None => {
                let plan = Rc::new(self.plan(runtime, entry, args, &feeds)?);
                let mut plans = self.plans.borrow_mut();
                if plans.len() >= KEPT {
                    plans.clear();
                }
                plans.insert(key, plan.clone());
                plan
            }
        };
        let names: Vec<String> = (0..feeds.len()).map(|i| format!("operand{i}")).collect();
        let outputs = match &plan.session {
            Some(session) => {
                let ports: Vec<_> = session.inputs().iter().map(|p| p.name.as_str()).collect();
                let given: Vec<(&str, &DeviceTensor)> = (names.iter().map(String::as_str).zip(&feeds))
                    .filter(|(n, _)| ports.contains(n))
                    .collect();
                session.run(&given).map_err(failed)?
            }
            None => vec![],
        };
        let results = plan.results.iter().map(|give| match give {
            Give::Operand(i) => feeds.get(*i).cloned(),
            Give::Literal(t) => Some(t.clone()),
            Give::Output(i) => outputs.get(*i).cloned(),
        });
        results
            .map(|r| r.map(Tensor::Eager).ok_or_else(|| Fault::new("the runtime gave too few results")))
            .collect()
    }

    fn plan(
        &self,
        runtime: &Runtime,
        entry: &Entry,
        args: &[Arg],
        feeds: &[DeviceTensor],
    ) -> Result<Plan, Fault> {
        let mut graph = Graph::new(entry.op.name);
        let mut ids = vec![];
        for (i, t) in feeds.iter().enumerate() {
            let dims: Shape = t.dims().iter().map(|d| Dim::from(*d)).collect();
            ids.push(graph.input(&format!("operand{i}"), t.dtype(), dims)?);
        }
        let out = (entry.op.emit)(&mut Call::new(&mut graph, true, entry, args, &ids))?;
        let mut ports: Vec<ValueId> = vec![];
        let mut results = vec![];
        for id in out {
            let value = graph.value(id);
            let bytes = value.shape.as_deref().map(product).and_then(|n| n.known()).unwrap_or(0);
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(value.dtype.size());
            if bytes > self.limit {
                return Err(Fault::new(format!(
                    "the result {} would take {} MB (limit {} MB)",
                    value.describe(),
                    bytes >> 20,
                    self.limit >> 20
                ))
                .hint(MEMORY_HINT));
            }
            results.push(match &value.origin {
                Origin::Input => Give::Operand(ids.iter().position(|i| *i == id).unwrap_or(0)),
                Origin::Constant(t) | Origin::Initializer(t) => {
                    Give::Literal(DeviceTensor::from_tensor(t).map_err(failed)?)
                }
                Origin::Node(_) => {
                    let at = ports.iter().position(|p| *p == id).unwrap_or_else(|| {
                        ports.push(id);
                        ports.len() - 1
                    });
                    Give::Output(at)
                }
            });
        }
        for (i, id) in ports.iter().enumerate() {
            graph.output(&format!("result{i}"), *id)?;
        }
        let session = match ports.is_empty() {
            true => None,
            false => Some(runtime.session(&graph, &SessionOptions::default()).map_err(failed)?),
        };
        Ok(Plan { session, results })
    }
}
