//! Models as scripts see them: one method for each graph.

use crate::{Class, Fault, Tensor};
use mlua::{Lua, MetaMethod, Value, Variadic};
use std::rc::Rc;

/// What stands behind a model in a script: inlining its graphs into a trace, or running them.
pub trait ModelCalls {
    /// Names of its graphs.
    fn graphs(&self) -> Vec<String>;
    /// Calls one of them with its inputs in order; gives its outputs in order.
    fn call(&self, lua: &Lua, graph: &str, inputs: Vec<Tensor>) -> mlua::Result<Vec<Tensor>>;
    /// The same model in training mode (statistics of the batch) or evaluation mode.
    fn mode(&self, train: bool) -> Rc<dyn ModelCalls>;
}

/// The userdata: `handle:encode(image)`, `handle:train()`, `handle:eval()`.
#[derive(Clone)]
pub struct ModelHandle(pub Rc<dyn ModelCalls>);

impl mlua::IntoLua for ModelHandle {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        Ok(Value::UserData(lua.create_any_userdata(self)?))
    }
}

pub(crate) fn class() -> Class<ModelHandle> {
    Class::<ModelHandle>::new(
        "ModelHandle",
        "A model: each of its graphs is a method, as captioner:encode(image), generator:generate(noise, tokens).",
    )
    .method(
        "train",
        "(): ModelHandle",
        "The model in training mode: batch normalisation by the statistics of the batch.",
        |_, this, ()| Ok(ModelHandle(this.0.mode(true))),
    )
    .method(
        "eval",
        "(): ModelHandle",
        "The model in evaluation mode: batch normalisation by the running statistics.",
        |_, this, ()| Ok(ModelHandle(this.0.mode(false))),
    )
    .operator(MetaMethod::Index, "", |lua, (this, key): (mlua::AnyUserData, Value)| {
        let model = this.borrow::<ModelHandle>()?.0.clone();
        let graph = key.to_string()?;
        let graphs = model.graphs();
        if !graphs.contains(&graph) {
            let known = graphs.iter().map(String::as_str).chain(["train", "eval"]);
            return Err(Fault::unknown("graph of this model", &graph, known).into());
        }
        lua.create_function(move |lua, (this, inputs): (Value, Variadic<Tensor>)| {
            if this.as_userdata().is_none_or(|u| !u.is::<ModelHandle>()) {
                return Err(Fault::new(format!("expected the model before its inputs, found {}", this.type_name()))
                    .hint(format!("call it with a colon: model:{graph}(...)"))
                    .into());
            }
            let out = model.call(lua, &graph, inputs.into_iter().collect())?;
            Ok(Variadic::from_iter(out))
        })
    })
}
