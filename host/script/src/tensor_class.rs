//! The class `Tensor` and the module `tensor`, from the table of operations.

use crate::{
    Class, Fault, Tensor,
    class::Module,
    host::{Host, MEMORY_HINT},
    json, ops,
    tensor::{TensorObject, dispatch},
};
use ekphrasis_graph::{DType, Dim, Tensor as Literal};
use ekphrasis_runtime::DeviceTensor;
use mlua::{IntoLua, Lua, MetaMethod, MultiValue, Value};

/// Elements up to which `tostring` shows numbers.
const SHOWN: usize = 64;

/// The class with one method for each row.
pub(crate) fn class() -> Class<TensorObject> {
    let entries = ops::entries();
    let mut class = Class::<TensorObject>::new(
        "Tensor",
        "A tensor: real numbers, or a value of a graph under construction. Axes count from 0; negative \
         ones from the end.",
    )
    .method(
        "shape",
        "(): (integer|string)[]",
        "Sizes; a size not known yet is a symbol such as \"B\".",
        |_, t, ()| Ok(t.tensor.shape()?.iter().map(size).collect::<Vec<_>>()),
    )
    .method("size", "(axis: integer): integer|string", "The size along one axis.", |_, t, axis: i64| {
        let shape = t.tensor.shape()?;
        Ok(size(&shape[ops::axis_in(axis, shape.len())?]))
    })
    .method("rank", "(): integer", "Number of axes.", |_, t, ()| Ok(t.tensor.shape()?.len()))
    .method("dtype", "(): string", "Element type: f32, i64, bool.", |_, t, ()| Ok(t.tensor.dtype().name()))
    .method("item", "(): number|integer|boolean", "The only element, as a Lua number.", |_, t, ()| {
        let numbers = Numbers::read(t.tensor.eager("item()")?)?;
        match numbers.len() {
            1 => Ok(numbers.get(0)),
            n => {
                Err(Fault::new(format!("item: expected one element, found {n} ({})", t.tensor.describe()))
                    .into())
            }
        }
    })
    .method("tolist", "(): any", "The elements as nested lists.", |lua, t, ()| {
        let eager = t.tensor.eager("tolist()")?;
        nest(lua, &Numbers::read(eager)?, eager.dims(), &mut 0)
    })
    .operator(MetaMethod::Len, "len: integer", |_, (t, _): (Tensor, Value)| match t.shape()?.first() {
        Some(d) => d
            .known()
            .ok_or_else(|| Fault::new(format!("#: the size {d} is known when the graph runs")).into()),
        None => Err(Fault::new("#: a scalar has no size").into()),
    })
    .operator(MetaMethod::ToString, "", |_, t: Tensor| Ok(show(&t)))
    .operator(MetaMethod::Lt, "", |_, _: MultiValue| Err::<bool, _>(comparison().into()))
    .operator(MetaMethod::Le, "", |_, _: MultiValue| Err::<bool, _>(comparison().into()));

    let operators = [
        (MetaMethod::Add, "add"),
        (MetaMethod::Sub, "sub"),
        (MetaMethod::Mul, "mul"),
        (MetaMethod::Div, "div"),
        (MetaMethod::Pow, "pow"),
        (MetaMethod::Unm, "neg"),
    ];
    for (meta, name) in operators {
        let Some(entry) = entries.get(name).cloned() else { continue };
        let unary = name == "neg";
        let doc = if unary { "unm: Tensor".into() } else { format!("{name}(Tensor|number): Tensor") };
        class = class.operator(meta, &doc, move |lua, (a, b): (Value, Value)| {
            let values = if unary { vec![a] } else { vec![a, b] };
            one(dispatch(lua, &entry, None, values)?)
        });
    }
    for op in ops::methods() {
        let Some(entry) = entries.get(op.name).cloned() else { continue };
        class = class.method(op.name, op.signature, op.doc, move |lua, this, args: MultiValue| {
            let out = dispatch(lua, &entry, Some(this.tensor.clone()), args)?;
            out.into_iter().map(|t| t.into_lua(lua)).collect::<mlua::Result<MultiValue>>()
        });
    }
    class
}

fn comparison() -> Fault {
    Fault::new("`<` and `<=` compare numbers, not tensors")
        .hint("a:lt(b), a:le(b), a:gt(b), a:ge(b) give a bool tensor")
}

fn one(tensors: Vec<Tensor>) -> mlua::Result<Tensor> {
    tensors.into_iter().next().ok_or_else(|| Fault::new("an operation without a result").into())
}

/// The module `tensor`: joining, and tensors made of numbers.
pub(crate) fn module(lua: &Lua) -> mlua::Result<Module> {
    let mut module = Module::new(lua, "tensor", "Makes and joins tensors.")?;
    let entries = ops::entries();
    for op in ops::functions() {
        let Some(entry) = entries.get(&format!("tensor.{}", op.name)).cloned() else { continue };
        module = module.function(lua, op.name, op.signature, op.doc, move |lua, args: MultiValue| {
            one(dispatch(lua, &entry, None, args)?)
        })?;
    }
    let sizes = "(sizes: integer[], dtype?: string): Tensor";
    module
        .function(
            lua,
            "zeros",
            sizes,
            "Zeros, f32 unless said.",
            |lua, (dims, dtype): (Value, Option<String>)| full(lua, &dims, 0.0, dtype),
        )?
        .function(
            lua,
            "ones",
            sizes,
            "Ones, f32 unless said.",
            |lua, (dims, dtype): (Value, Option<String>)| full(lua, &dims, 1.0, dtype),
        )?
        .function(
            lua,
            "full",
            "(sizes: integer[], value: number, dtype?: string): Tensor",
            "One number everywhere, f32 unless said.",
            |lua, (dims, value, dtype): (Value, f64, Option<String>)| full(lua, &dims, value, dtype),
        )?
        .function(lua, "arange", "(n: integer): Tensor", "0, 1, ... n - 1, i64.", |lua, n: i64| {
            let n = usize::try_from(n)
                .map_err(|_| Fault::new(format!("arange: expected 0 or more, found {n}")))?;
            room(lua, "arange", &[n], DType::I64)?;
            let all: Vec<i64> = (0..n as i64).collect();
            eager(DeviceTensor::from_i64(&[n], all))
        })?
        .function(
            lua,
            "from",
            "(list: any, dtype?: string): Tensor",
            "A number or nested lists of numbers or booleans; i64 if all are whole and written so, else f32.",
            |_, (list, dtype): (Value, Option<String>)| {
                let (mut dims, mut data) = (vec![], vec![]);
                collect(&list, 0, &mut dims, &mut data)?;
                let dtype = dtype_named(dtype)?.unwrap_or_else(|| natural(&data));
                literal(&dims, &data, dtype)
            },
        )
}

fn eager(tensor: ekphrasis_runtime::Result<DeviceTensor>) -> mlua::Result<Tensor> {
    tensor.map(Tensor::Eager).map_err(|e| Fault::new(e.to_string()).into())
}

fn dtype_named(name: Option<String>) -> Result<Option<DType>, Fault> {
    let Some(name) = name else { return Ok(None) };
    let known = ["f32", "f64", "i64", "i32", "bool"];
    let dtype = DType::from_name(&name).filter(|_| known.contains(&name.as_str()));
    dtype.map(Some).ok_or_else(|| Fault::unknown("type", &name, known))
}

/// Refuses a tensor that would not fit the memory limit before it is made.
fn room(lua: &Lua, what: &str, dims: &[usize], dtype: DType) -> Result<(), Fault> {
    let bytes = dims.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
    let limit = Host::get(lua)?.limits.memory;
    match bytes > limit {
        true => Err(Fault::new(format!(
            "{what}: {dims:?} of {dtype} would take {} MB (limit {} MB)",
            bytes >> 20,
            limit >> 20
        ))
        .hint(MEMORY_HINT)),
        false => Ok(()),
    }
}

fn full(lua: &Lua, sizes: &Value, value: f64, dtype: Option<String>) -> mlua::Result<Tensor> {
    let wrong = |found: String| {
        Fault::new(format!("expected a list of sizes that are whole numbers, found {found}"))
            .hint("for the shape of another tensor: x:zeros_like(), x:ones_like(), x:full_like(value)")
    };
    let table = sizes.as_table().ok_or_else(|| wrong(json::describe(sizes)))?;
    let mut dims = vec![];
    for i in 1..=table.raw_len() {
        match table.raw_get(i)? {
            Value::Integer(n) if n >= 0 => dims.push(n as usize),
            other => return Err(wrong(json::describe(&other)).into()),
        }
    }
    let dtype = dtype_named(dtype)?.unwrap_or(DType::F32);
    room(lua, "full", &dims, dtype)?;
    let n: usize = dims.iter().product();
    let one = Literal::scalar(dtype, value);
    let tensor = Literal::new(dtype, &dims, one.bytes().repeat(n)).map_err(Fault::from)?;
    eager(DeviceTensor::from_tensor(&tensor))
}

#[derive(Clone, Copy)]
enum Item {
    Int(i64),
    Number(f64),
    Bool(bool),
}

fn collect(value: &Value, depth: usize, dims: &mut Vec<usize>, data: &mut Vec<Item>) -> mlua::Result<()> {
    match value {
        Value::Table(list) if depth < 8 => {
            let n = list.raw_len();
            match dims.get(depth) {
                None if data.is_empty() => dims.push(n),
                Some(m) if *m == n => {}
                m => {
                    let expected = m.map_or("a number".into(), |m| format!("{m} elements"));
                    return Err(Fault::new(format!(
                        "from: expected {expected} at depth {depth}, found a list of {n}"
                    ))
                    .into());
                }
            }
            for i in 1..=n {
                collect(&list.raw_get(i)?, depth + 1, dims, data)?;
            }
            return Ok(());
        }
        Value::Integer(v) if depth == dims.len() => data.push(Item::Int(*v)),
        Value::Number(v) if depth == dims.len() => data.push(Item::Number(*v)),
        Value::Boolean(v) if depth == dims.len() => data.push(Item::Bool(*v)),
        other => {
            let found = json::describe(other);
            return Err(Fault::new(format!(
                "from: expected numbers in lists of equal lengths, found {found}"
            ))
            .into());
        }
    }
    Ok(())
}

fn natural(data: &[Item]) -> DType {
    match () {
        () if data.is_empty() => DType::F32,
        () if data.iter().all(|i| matches!(i, Item::Bool(_))) => DType::Bool,
        () if data.iter().all(|i| matches!(i, Item::Int(_))) => DType::I64,
        () => DType::F32,
    }
}

fn literal(dims: &[usize], data: &[Item], dtype: DType) -> mlua::Result<Tensor> {
    let mut bytes = vec![];
    for item in data {
        let whole = Literal::scalar_i64;
        let scalar = match (item, dtype) {
            // Through f64, large whole numbers would change.
            (Item::Int(v), DType::I64) => whole(*v),
            (Item::Int(v), _) => Literal::scalar(dtype, *v as f64),
            (Item::Number(v), _) => Literal::scalar(dtype, *v),
            (Item::Bool(v), _) => Literal::scalar(dtype, f64::from(u8::from(*v))),
        };
        bytes.extend_from_slice(scalar.bytes());
    }
    let tensor = Literal::new(dtype, dims, bytes).map_err(Fault::from)?;
    eager(DeviceTensor::from_tensor(&tensor))
}

/// Elements of a tensor as Lua values.
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

impl Numbers {
    fn read(t: &DeviceTensor) -> Result<Self, Fault> {
        let failed = |e: ekphrasis_runtime::RuntimeError| Fault::new(e.to_string());
        let tensor = t.to_tensor().map_err(failed)?;
        let numbers = match t.dtype() {
            DType::F32 => tensor.to_f32().map(Self::F32),
            DType::F64 => tensor.to_f64().map(Self::F64),
            DType::Bool => tensor.as_ints().map(|v| Self::Bool(v.iter().map(|b| *b != 0).collect())),
            _ => tensor.as_ints().map(Self::Int),
        };
        numbers.ok_or_else(|| {
            Fault::new(format!("elements of type {} cannot be read here", t.dtype()))
                .hint("convert with x:float()")
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Int(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    fn get(&self, i: usize) -> Value {
        let value = match self {
            Self::F32(v) => v.get(i).map(|v| Value::Number(f64::from(*v))),
            Self::F64(v) => v.get(i).map(|v| Value::Number(*v)),
            Self::Int(v) => v.get(i).map(|v| Value::Integer(*v)),
            Self::Bool(v) => v.get(i).map(|v| Value::Boolean(*v)),
        };
        value.unwrap_or(Value::Nil)
    }

    fn show(&self, i: usize) -> String {
        match self {
            Self::F32(v) => v.get(i).map(f32::to_string),
            Self::F64(v) => v.get(i).map(f64::to_string),
            Self::Int(v) => v.get(i).map(i64::to_string),
            Self::Bool(v) => v.get(i).map(bool::to_string),
        }
        .unwrap_or_default()
    }
}

fn nest(lua: &Lua, numbers: &Numbers, dims: &[usize], at: &mut usize) -> mlua::Result<Value> {
    let Some((n, rest)) = dims.split_first() else {
        *at += 1;
        return Ok(numbers.get(*at - 1));
    };
    let table = lua.create_table()?;
    for i in 1..=*n {
        table.raw_set(i, nest(lua, numbers, rest, at)?)?;
    }
    Ok(Value::Table(table))
}

/// A size for Lua: a number, or its symbol as text.
enum Size {
    Number(i64),
    Symbol(String),
}

fn size(dim: &Dim) -> Size {
    dim.known().map_or_else(|| Size::Symbol(dim.to_string()), Size::Number)
}

impl IntoLua for Size {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Self::Number(n) => Ok(Value::Integer(n)),
            Self::Symbol(s) => s.into_lua(lua),
        }
    }
}

fn show(t: &Tensor) -> String {
    let head = format!("Tensor {}", t.describe());
    let Tensor::Eager(numbers) = t else { return format!("{head} (traced)") };
    if numbers.len() > SHOWN {
        return head;
    }
    match Numbers::read(numbers) {
        Ok(n) => format!("{head} {{{}}}", (0..n.len()).map(|i| n.show(i)).collect::<Vec<_>>().join(", ")),
        Err(_) => head,
    }
}
