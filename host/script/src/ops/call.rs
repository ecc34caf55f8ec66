//! One call of an operation while it is emitted: its operands as values of the graph, its arguments
//! with errors that name them.

use super::{Arg, Entry};
use crate::Fault;
use ekphrasis_graph::{DType, Dim, Graph, Shape, Tensor, ValueId};

type Get<T> = Result<T, Fault>;

/// A call under emission.
pub struct Call<'a> {
    /// The graph that gets the nodes.
    pub g: &'a mut Graph,
    /// Whether the graph is run at once, on real numbers.
    pub eager: bool,
    pub(super) entry: &'a Entry,
    pub(super) args: &'a [Arg],
    pub(super) tensors: &'a [ValueId],
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        g: &'a mut Graph,
        eager: bool,
        entry: &'a Entry,
        args: &'a [Arg],
        tensors: &'a [ValueId],
    ) -> Self {
        Self { g, eager, entry, args, tensors }
    }

    fn arg(&self, i: usize) -> &'a Arg {
        self.args.get(i + usize::from(!self.entry.function)).unwrap_or(&Arg::Nil)
    }

    fn name(&self, i: usize) -> &'static str {
        self.entry.signature.parameters.get(i).map_or("?", |p| p.name)
    }

    fn expected<T>(&self, i: usize, what: &str, found: &Arg) -> Get<T> {
        Err(Fault::new(format!("`{}`: expected {what}, found {}", self.name(i), found.describe()))
            .hint(format!("{}{}", self.entry.op.name, self.entry.op.signature)))
    }

    fn value(&self, i: usize, arg: &Arg) -> Get<ValueId> {
        match arg {
            Arg::Tensor(t) => match self.tensors.get(*t) {
                Some(id) => Ok(*id),
                None => self.expected(i, "a tensor", arg),
            },
            _ => self.expected(i, "a tensor", arg),
        }
    }

    /// The tensor whose method is called.
    pub fn this(&self) -> Get<ValueId> {
        match self.args.first() {
            Some(Arg::Tensor(t)) if !self.entry.function => {
                self.tensors.get(*t).copied().ok_or_else(|| Fault::new("expected a tensor"))
            }
            other => Err(Fault::new(format!(
                "expected a tensor, found {}",
                other.map_or("nothing".into(), Arg::describe)
            ))),
        }
    }

    /// A tensor argument.
    pub fn tensor(&self, i: usize) -> Get<ValueId> {
        self.value(i, self.arg(i))
    }

    /// A tensor argument that may be left out.
    pub fn tensor_or_none(&self, i: usize) -> Get<Option<ValueId>> {
        match self.arg(i) {
            Arg::Nil => Ok(None),
            arg => self.value(i, arg).map(Some),
        }
    }

    /// A list of at least one tensor.
    pub fn tensors(&self, i: usize) -> Get<Vec<ValueId>> {
        match self.arg(i) {
            Arg::List(list) if !list.is_empty() => list.iter().map(|a| self.value(i, a)).collect(),
            arg => self.expected(i, "a list of tensors", arg),
        }
    }

    /// A whole number.
    pub fn int(&self, i: usize) -> Get<i64> {
        match whole(self.arg(i)) {
            Some(v) => Ok(v),
            None => self.expected(i, "a whole number", self.arg(i)),
        }
    }

    /// A whole number, or the default where it is left out.
    pub fn int_or(&self, i: usize, default: i64) -> Get<i64> {
        if *self.arg(i) == Arg::Nil { Ok(default) } else { self.int(i) }
    }

    /// A whole number that may be left out.
    pub fn int_or_none(&self, i: usize) -> Get<Option<i64>> {
        if *self.arg(i) == Arg::Nil { Ok(None) } else { self.int(i).map(Some) }
    }

    /// A number, or the default where it is left out.
    pub fn number_or(&self, i: usize, default: f64) -> Get<f64> {
        Ok(self.number_or_none(i)?.unwrap_or(default))
    }

    /// A number that may be left out.
    pub fn number_or_none(&self, i: usize) -> Get<Option<f64>> {
        match self.arg(i) {
            Arg::Nil => Ok(None),
            Arg::Int(v) => Ok(Some(*v as f64)),
            Arg::Number(v) => Ok(Some(*v)),
            arg => self.expected(i, "a number", arg),
        }
    }

    /// A boolean, or the default where it is left out.
    pub fn flag_or(&self, i: usize, default: bool) -> Get<bool> {
        match self.arg(i) {
            Arg::Nil => Ok(default),
            Arg::Bool(v) => Ok(*v),
            arg => self.expected(i, "true or false", arg),
        }
    }

    /// Text, or the default where it is left out.
    pub fn text_or(&self, i: usize, default: &'a str) -> Get<&'a str> {
        match self.arg(i) {
            Arg::Nil => Ok(default),
            Arg::Text(v) => Ok(v),
            arg => self.expected(i, "text", arg),
        }
    }

    /// A list of whole numbers; one number is a list of one.
    pub fn ints(&self, i: usize) -> Get<Vec<i64>> {
        let arg = self.arg(i);
        let list = match arg {
            Arg::List(list) => list.iter().map(whole).collect(),
            one => whole(one).map(|v| vec![v]),
        };
        list.map_or_else(|| self.expected(i, "a list of whole numbers", arg), Ok)
    }

    /// A list of sizes; text is a symbol such as `"B"`.
    pub fn sizes(&self, i: usize) -> Get<Vec<Dim>> {
        let arg = self.arg(i);
        let Arg::List(list) = arg else { return self.expected(i, "a list of sizes", arg) };
        list.iter()
            .map(|a| match a {
                Arg::Text(s) => Ok(Dim::parse(s)),
                other => match whole(other) {
                    Some(n) => Ok(Dim::Known(n)),
                    None => self.expected(i, "sizes that are whole numbers or symbols", arg),
                },
            })
            .collect()
    }

    /// Named options; a name that is not among `known` is an error.
    pub fn options(&self, i: usize, known: &[&str]) -> Get<Options<'_, 'a>> {
        let table = match self.arg(i) {
            Arg::Nil => None,
            Arg::List(list) if list.is_empty() => None,
            Arg::Table(table) => Some(table),
            arg => return self.expected(i, "a table of options", arg),
        };
        if let Some(bad) = table.and_then(|t| t.keys().find(|k| !known.contains(&k.as_str()))) {
            return Err(Fault::unknown("option", bad, known.iter().copied()));
        }
        Ok(Options { call: self, i, table })
    }

    /// The dimensions of a value.
    pub fn dims(&self, x: ValueId) -> Get<Shape> {
        Ok(self.g.dims(x)?.to_vec())
    }

    /// `axis` of `x` counted from the front.
    pub fn axis_of(&self, x: ValueId, axis: i64) -> Get<usize> {
        axis_in(axis, self.g.rank(x)?)
    }

    /// The axis argument `i` on `x`, counted from the front.
    pub fn axis(&self, i: usize, x: ValueId, default: i64) -> Get<usize> {
        let axis = self.int_or(i, default)?;
        self.axis_of(x, axis)
    }

    /// The axes argument `i` on `x`, counted from the front; all axes where it is left out.
    pub fn axes(&self, i: usize, x: ValueId) -> Get<Vec<i64>> {
        let rank = self.g.rank(x)?;
        if *self.arg(i) == Arg::Nil {
            return Ok((0..rank as i64).collect());
        }
        let mut axes = vec![];
        for axis in self.ints(i)? {
            let axis = axis_in(axis, rank)? as i64;
            if axes.contains(&axis) {
                return Err(Fault::new(format!("`{}`: axis {axis} stands twice", self.name(i))));
            }
            axes.push(axis);
        }
        Ok(axes)
    }

    /// `x` as floats.
    pub fn float(&mut self, x: ValueId) -> Get<ValueId> {
        if self.g.value(x).dtype.is_float() { Ok(x) } else { Ok(self.g.cast(x, DType::F32)?) }
    }

    /// Two operands of one type: bool, then integers, then floats.
    pub fn promoted(&mut self, a: ValueId, b: ValueId) -> Get<(ValueId, ValueId)> {
        cast_promoted(self.g, a, b)
    }

    /// A scalar literal of the type of `like`.
    pub fn scalar(&mut self, like: ValueId, value: f64) -> ValueId {
        self.g.scalar_like(like, value)
    }

    /// A literal `i64` scalar.
    pub fn int_scalar(&mut self, value: i64) -> ValueId {
        self.g.constant(Tensor::scalar_i64(value))
    }

    /// The size of `x` along an axis as an `i64` scalar.
    pub fn size_value(&mut self, x: ValueId, axis: usize) -> Get<ValueId> {
        let shape = self.g.shape_of(x)?;
        let at = self.int_scalar(axis as i64);
        Ok(self.g.gather(shape, at, 0)?)
    }
}

/// `axis` of `rank` dimensions counted from the front.
pub(crate) fn axis_in(axis: i64, rank: usize) -> Get<usize> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at).ok().filter(|a| *a < rank).ok_or_else(|| {
        Fault::new(format!(
            "expected an axis from {} to {} of a tensor with {rank} dimensions, found {axis}",
            -(rank as i64),
            rank as i64 - 1
        ))
    })
}

fn whole(arg: &Arg) -> Option<i64> {
    match arg {
        Arg::Int(v) => Some(*v),
        Arg::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
        _ => None,
    }
}

/// Casts the narrower of two operands: bool, then integers, then floats.
pub(crate) fn cast_promoted(g: &mut Graph, a: ValueId, b: ValueId) -> Get<(ValueId, ValueId)> {
    let order = |d: DType| match d {
        DType::Bool => 0,
        DType::F64 => 4,
        DType::F32 => 3,
        d if d.is_float() => 2,
        _ => 1,
    };
    let (p, q) = (g.value(a).dtype, g.value(b).dtype);
    if p == q {
        return Ok((a, b));
    }
    Ok(if order(p) >= order(q) { (a, g.cast(b, p)?) } else { (g.cast(a, q)?, b) })
}

/// Named options of a call.
pub struct Options<'c, 'a> {
    call: &'c Call<'a>,
    i: usize,
    table: Option<&'a std::collections::BTreeMap<String, Arg>>,
}

impl<'a> Options<'_, 'a> {
    fn get(&self, name: &str) -> &'a Arg {
        self.table.and_then(|t| t.get(name)).unwrap_or(&Arg::Nil)
    }

    fn expected<T>(&self, name: &str, what: &str) -> Get<T> {
        Err(Fault::new(format!("option `{name}`: expected {what}, found {}", self.get(name).describe())))
    }

    /// A tensor that may be left out.
    pub fn tensor(&self, name: &str) -> Get<Option<ValueId>> {
        match self.get(name) {
            Arg::Nil => Ok(None),
            arg => self.call.value(self.i, arg).map(Some),
        }
    }

    /// A whole number.
    pub fn int(&self, name: &str, default: i64) -> Get<i64> {
        match self.get(name) {
            Arg::Nil => Ok(default),
            arg => whole(arg).map_or_else(|| self.expected(name, "a whole number"), Ok),
        }
    }

    /// A number.
    pub fn number(&self, name: &str, default: f64) -> Get<f64> {
        match self.get(name) {
            Arg::Nil => Ok(default),
            Arg::Int(v) => Ok(*v as f64),
            Arg::Number(v) => Ok(*v),
            _ => self.expected(name, "a number"),
        }
    }

    /// `n` whole numbers; one number stands for all.
    pub fn ints(&self, name: &str, n: usize, default: i64) -> Get<Vec<i64>> {
        match self.get(name) {
            Arg::Nil => Ok(vec![default; n]),
            Arg::List(list) if list.len() == n => match list.iter().map(whole).collect() {
                Some(list) => Ok(list),
                None => self.expected(name, "whole numbers"),
            },
            arg => match whole(arg) {
                Some(v) => Ok(vec![v; n]),
                None => self.expected(name, &format!("a whole number or a list of {n}")),
            },
        }
    }
}
