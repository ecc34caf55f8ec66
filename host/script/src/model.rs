//! Builds the graphs of a model from its `model.lua`.

use crate::{Class, Engine, Fault, Kind, Script, ScriptError, Tensor, Trace, init::Init, json};
use ekphrasis_graph::{DType, Dim, Graph, Shape, Tensor as Literal};
use mlua::{AnyUserData, Function, Lua, Value};
use serde_json::{Map, Value as Json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

/// The graphs of a model: parameters and running statistics are initializers with initial values.
#[derive(Clone, Debug)]
pub struct BuiltModel {
    /// Graphs by name.
    pub graphs: BTreeMap<String, Graph>,
    /// Names of the running statistics, which no gradient changes.
    pub states: BTreeSet<String>,
}

struct Parameter {
    init: Init,
    state: bool,
    tensor: Arc<Literal>,
    graph: String,
}

/// Parameters by name, shared by the graphs of one model.
struct Parameters {
    seed: u64,
    all: BTreeMap<String, Parameter>,
}

/// `m` of `build(m, p)`.
pub(crate) struct ModelBuilder {
    parameters: Rc<RefCell<Parameters>>,
    graphs: Rc<RefCell<BTreeMap<String, Graph>>>,
}

/// `g` of `m:graph(name, function(g) ... end)`.
pub(crate) struct GraphBuilder {
    pub trace: Trace,
    name: String,
    parameters: Rc<RefCell<Parameters>>,
}

pub(crate) fn class() -> Class<ModelBuilder> {
    Class::<ModelBuilder>::new("ModelBuilder", "Collects the graphs of a model.").method(
        "graph",
        "(name: string, define: fun(g: GraphBuilder))",
        "Defines one graph of the model.",
        |lua, this, (name, define): (String, Function)| {
            if this.graphs.borrow().contains_key(&name) {
                return Err(Fault::new(format!("graph `{name}` is defined twice")).into());
            }
            let trace = Trace::new(Graph::new(&name));
            let builder = GraphBuilder {
                trace: trace.clone(),
                name: name.clone(),
                parameters: this.parameters.clone(),
            };
            define.call::<()>(lua.create_any_userdata(builder)?)?;
            let graph = trace.graph();
            if graph.outputs().is_empty() {
                return Err(Fault::new(format!("graph `{name}` has no output"))
                    .hint("g:output(name, tensor)")
                    .into());
            }
            this.graphs.borrow_mut().insert(name, graph);
            Ok(())
        },
    )
}

impl GraphBuilder {
    /// A parameter or running statistic: the tensor that this graph sees.
    pub fn parameter(&self, name: &str, dims: &[usize], init: Init, state: bool) -> Result<Tensor, Fault> {
        let mut shared = self.parameters.borrow_mut();
        let seed = shared.seed;
        if let Some(known) = shared.all.get(name) {
            let differs = |what: &str, first: String, now: String| {
                Err(Fault::new(format!(
                    "parameter `{name}`: {what} {now} here, but {first} in graph `{}`",
                    known.graph
                ))
                .hint("one name in several graphs is one parameter"))
            };
            if known.tensor.dims() != dims {
                return differs("shape", format!("{:?}", known.tensor.dims()), format!("{dims:?}"));
            }
            if known.init != init {
                return differs("init", format!("{:?}", known.init), format!("{init:?}"));
            }
            if known.state != state {
                let kind = |s| if s { "a state" } else { "trained" }.to_owned();
                return differs("it is", kind(known.state), kind(state));
            }
        } else {
            let tensor = Arc::new(init.draw(seed, name, dims)?);
            let graph = self.name.clone();
            shared.all.insert(name.into(), Parameter { init, state, tensor, graph });
        }
        let tensor = shared.all[name].tensor.clone();
        let id = self.trace.with(|g| match g.find(name) {
            Some(id) if g.value(id).tensor().is_some() => Ok(id),
            _ => g.initializer(name, tensor),
        })?;
        Ok(self.trace.tensor(id))
    }

    /// Adds an input port.
    pub fn input(&self, name: &str, dtype: &str, dims: &Value) -> Result<Tensor, Fault> {
        let known = ["f32", "f64", "i64", "i32", "bool"];
        let dtype = DType::from_name(dtype)
            .filter(|_| known.contains(&dtype))
            .ok_or_else(|| Fault::unknown("type", dtype, known).at(&format!("input `{name}`")))?;
        let shape = shape(dims).map_err(|f| f.at(&format!("input `{name}`")))?;
        let id = self.trace.with(|g| g.input(name, dtype, shape))?;
        Ok(self.trace.tensor(id))
    }

    /// Declares an output port.
    pub fn output(&self, name: &str, tensor: &Tensor) -> Result<(), Fault> {
        let id = tensor.id_in(&self.trace)?;
        Ok(self.trace.with(|g| g.output(name, id))?)
    }
}

/// Sizes from a Lua list: whole numbers and symbols.
fn shape(value: &Value) -> Result<Shape, Fault> {
    let wrong = |found: &Value| {
        Fault::new(format!(
            "expected a list of sizes, whole numbers or symbols, found {}",
            json::describe(found)
        ))
    };
    let table = value.as_table().ok_or_else(|| wrong(value))?;
    let mut dims = vec![];
    for i in 1..=table.raw_len() {
        dims.push(match table.raw_get(i).map_err(|e| Fault::new(e.to_string()))? {
            Value::Integer(n) if n >= 0 => Dim::Known(n),
            Value::Number(n) if n >= 0.0 && n.fract() == 0.0 => Dim::Known(n as i64),
            Value::String(s) => Dim::parse(&s.to_string_lossy()),
            other => return Err(wrong(&other)),
        });
    }
    Ok(dims)
}

/// Sizes that are all numbers, of a parameter.
pub(crate) fn numbers(value: &Value) -> Result<Vec<usize>, Fault> {
    shape(value)?
        .iter()
        .map(|d| {
            d.known()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| Fault::new(format!("a parameter's sizes are numbers, found {d}")))
        })
        .collect()
}

/// Runs `build(m, p)` of a model script.
///
/// `params` override the script's defaults; `host` is what the host knows (`vocabulary`, `image_size`,
/// `max_length`, `pad`, `bos`, `eos`) and is added to `p`. Initial values depend on `seed` and the
/// parameters' names alone.
///
/// # Errors
/// Whatever the script does wrong, with its line.
pub fn build_model(
    engine: &Engine,
    script: &Script,
    params: &Json,
    host: &Map<String, Json>,
    seed: u64,
) -> Result<BuiltModel, ScriptError> {
    if script.kind() != Kind::Model {
        let found = script.kind().name();
        return Err(script.error(Fault::new(format!("expected a model script, found a {found} script"))));
    }
    let mut merged = match script.params(params)? {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in host {
        if merged.insert(name.clone(), value.clone()).is_some() {
            return Err(script.error(
                Fault::new(format!("`params`: `{name}` is given by the host"))
                    .hint("take it out of `params`"),
            ));
        }
    }
    let parameters = Rc::new(RefCell::new(Parameters { seed, all: BTreeMap::new() }));
    let graphs = Rc::new(RefCell::new(BTreeMap::new()));
    let builder = ModelBuilder { parameters: parameters.clone(), graphs: graphs.clone() };
    let m = userdata(engine.lua(), builder).map_err(|f| script.error(f))?;
    engine.call(script, "build", (m, engine.value(&Json::Object(merged))?))?;
    let graphs = graphs.take();
    if graphs.is_empty() {
        return Err(
            script.error(Fault::new("`build` defined no graph").hint("m:graph(name, function(g) ... end)"))
        );
    }
    let states = parameters.borrow().all.iter().filter(|(_, p)| p.state).map(|(n, _)| n.clone()).collect();
    Ok(BuiltModel { graphs, states })
}

fn userdata<T: 'static>(lua: &Lua, value: T) -> Result<AnyUserData, Fault> {
    lua.create_any_userdata(value).map_err(|e| Fault::new(e.to_string()))
}
