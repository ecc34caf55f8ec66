//! Tensors as scripts see them: one class, traced into a graph or eager on real numbers.

use crate::{
    Fault,
    host::Host,
    ops::{Arg, Call, Entry, Parsed},
};
use ekphrasis_graph::{DType, Dim, Graph, Shape, Tensor as Literal, ValueId, show_shape};
use ekphrasis_runtime::DeviceTensor;
use mlua::{FromLua, IntoLua, Lua, Value};
use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

/// A graph into which tensors are traced; clones share it.
#[derive(Clone, Debug)]
pub struct Trace(Rc<RefCell<Graph>>);

impl Trace {
    /// Starts to trace into a graph.
    pub fn new(graph: Graph) -> Self {
        Self(Rc::new(RefCell::new(graph)))
    }

    /// Works on the graph. The graph is borrowed meanwhile: no tensor operation may run inside.
    pub fn with<R>(&self, work: impl FnOnce(&mut Graph) -> R) -> R {
        work(&mut self.0.borrow_mut())
    }

    /// The tensor for a value of the graph.
    pub fn tensor(&self, id: ValueId) -> Tensor {
        Tensor::Traced { trace: self.clone(), id }
    }

    /// The graph as it is now.
    pub fn graph(&self) -> Graph {
        self.0.borrow().clone()
    }

    /// Whether both trace into one graph.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// A tensor in a script.
#[derive(Clone)]
pub enum Tensor {
    /// A value of a graph under construction.
    Traced {
        /// The graph.
        trace: Trace,
        /// The value.
        id: ValueId,
    },
    /// Real numbers.
    Eager(DeviceTensor),
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {}", self.describe())
    }
}

impl Tensor {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Traced { trace, id } => trace.with(|g| g.value(*id).dtype),
            Self::Eager(t) => t.dtype(),
        }
    }

    /// Dimensions; an error where a traced tensor's rank is unknown.
    pub fn shape(&self) -> Result<Shape, Fault> {
        match self {
            Self::Traced { trace, id } => Ok(trace.with(|g| g.dims(*id).map(<[Dim]>::to_vec))?),
            Self::Eager(t) => Ok(t.dims().iter().map(|d| Dim::from(*d)).collect()),
        }
    }

    /// `f32[B, 64]`
    pub fn describe(&self) -> String {
        match self {
            Self::Traced { trace, id } => trace.with(|g| g.value(*id).describe()),
            Self::Eager(t) => {
                let dims: Shape = t.dims().iter().map(|d| Dim::from(*d)).collect();
                format!("{}{}", t.dtype(), show_shape(&dims))
            }
        }
    }

    /// The value that stands for this tensor in a trace: its own, or a constant with its numbers.
    pub fn id_in(&self, trace: &Trace) -> Result<ValueId, Fault> {
        match self {
            Self::Traced { trace: own, id } if own.is(trace) => Ok(*id),
            Self::Traced { trace: own, .. } => Err(Fault::new(format!(
                "a tensor of graph `{}` cannot be used in graph `{}`",
                own.with(|g| g.name.clone()),
                trace.with(|g| g.name.clone())
            ))
            .hint("use only tensors that were made from the argument of this very function")),
            Self::Eager(t) => {
                let literal = t.to_tensor().map_err(|e| Fault::new(e.to_string()))?;
                Ok(trace.with(|g| g.constant(literal)))
            }
        }
    }

    /// Its real numbers; an error for a traced tensor.
    pub fn eager(&self, what: &str) -> Result<&DeviceTensor, Fault> {
        match self {
            Self::Eager(t) => Ok(t),
            Self::Traced { .. } => Err(Fault::new(format!(
                "{what} needs numbers, but this tensor ({}) is traced: it has none until the graph runs",
                self.describe()
            ))
            .hint("keep to tensor operations here; where(), clamp() and masks replace `if`")),
        }
    }

    /// The tensor in a Lua value, if it is one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_userdata()?.borrow::<TensorObject>().ok()?;
        Some(object.tensor.clone())
    }
}

/// What Lua holds. Its numbers count against the memory limit as long as Lua keeps it.
pub(crate) struct TensorObject {
    pub tensor: Tensor,
    _charge: Option<Charge>,
}

struct Charge {
    bytes: usize,
    ledger: Rc<Cell<usize>>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.set(self.ledger.get().saturating_sub(self.bytes));
    }
}

impl IntoLua for Tensor {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let charge = match (&self, Host::get(lua)) {
            (Self::Eager(t), Ok(host)) => {
                let bytes = t.len().saturating_mul(t.dtype().size());
                host.charge(lua, bytes)?;
                Some(Charge { bytes, ledger: host.ledger.clone() })
            }
            _ => None,
        };
        Ok(Value::UserData(lua.create_any_userdata(TensorObject { tensor: self, _charge: charge })?))
    }
}

impl FromLua for Tensor {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        Self::from_value(&value).ok_or_else(|| {
            Fault::new(format!("expected a tensor, found {}", crate::json::describe(&value))).into()
        })
    }
}

/// An operand: a tensor, or a number that becomes a scalar of the type that fits.
pub(crate) enum Operand {
    Tensor(Tensor),
    Number(Literal),
}

/// Runs one operation on what Lua gave: traces it if a tensor is traced, else computes it.
pub(crate) fn dispatch(
    lua: &Lua,
    entry: &Entry,
    this: Option<Tensor>,
    values: impl IntoIterator<Item = Value>,
) -> mlua::Result<Vec<Tensor>> {
    run(lua, entry, this, values).map_err(|f| f.at(entry.op.name).into())
}

fn run(
    lua: &Lua,
    entry: &Entry,
    this: Option<Tensor>,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Tensor>, Fault> {
    let mut parsed = Parsed::default();
    if let Some(this) = this {
        parsed.tensors.push(this);
        parsed.args.push(Arg::Tensor(0));
    }
    for value in values {
        parsed.push(&value)?;
    }
    let given = parsed.args.len() - usize::from(!entry.function).min(parsed.args.len());
    let most = entry.signature.parameters.len();
    if given > most {
        return Err(Fault::new(format!("expected at most {most} arguments, found {given}"))
            .hint(format!("{}{}", entry.op.name, entry.op.signature)));
    }
    let trace = parsed.tensors.iter().find_map(|t| match t {
        Tensor::Traced { trace, .. } => Some(trace.clone()),
        Tensor::Eager(_) => None,
    });
    let (args, operands) = lift(entry, parsed);
    let shapes = || {
        let all = operands.iter().map(|o| match o {
            Operand::Tensor(t) => t.describe(),
            Operand::Number(n) => n.as_scalar().unwrap_or_default().to_string(),
        });
        all.collect::<Vec<String>>().join(", ")
    };
    let result = match trace {
        Some(trace) => traced(&trace, entry, &args, &operands),
        None => Host::get(lua)?.eager.run(entry, &args, &operands),
    };
    result.map_err(|f| Fault { message: format!("{} (on {})", f.message, shapes()), hint: f.hint })
}

fn traced(trace: &Trace, entry: &Entry, args: &[Arg], operands: &[Operand]) -> Result<Vec<Tensor>, Fault> {
    let mut ids = vec![];
    for operand in operands {
        ids.push(match operand {
            Operand::Tensor(t) => t.id_in(trace)?,
            Operand::Number(n) => trace.with(|g| g.constant(n.clone())),
        });
    }
    let out = trace.with(|g| (entry.op.emit)(&mut Call::new(g, false, entry, args, &ids)))?;
    Ok(out.into_iter().map(|id| trace.tensor(id)).collect())
}

/// Makes operands of the numbers that stand where a tensor or a number may stand.
fn lift(entry: &Entry, parsed: Parsed) -> (Vec<Arg>, Vec<Operand>) {
    let Parsed { mut args, tensors } = parsed;
    let like = tensors.iter().map(Tensor::dtype).find(|d| *d != DType::Bool).unwrap_or(DType::F32);
    let mut operands: Vec<Operand> = tensors.into_iter().map(Operand::Tensor).collect();
    let before = usize::from(!entry.function);
    for (i, arg) in args.iter_mut().enumerate() {
        let either = i.checked_sub(before).is_none_or(|i| {
            entry.signature.parameters.get(i).is_some_and(|p| p.ty.contains("Tensor|number"))
        });
        let number = match arg {
            Arg::Int(v) => *v as f64,
            Arg::Number(v) => *v,
            _ => continue,
        };
        if either {
            let dtype = if number.fract() != 0.0 && !like.is_float() { DType::F32 } else { like };
            operands.push(Operand::Number(Literal::scalar(dtype, number)));
            *arg = Arg::Tensor(operands.len() - 1);
        }
    }
    (args, operands)
}
