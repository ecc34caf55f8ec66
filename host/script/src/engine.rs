//! The engine: one sandboxed Lua, scripts loaded into it, calls under limits.

use crate::{
    Class, ClassDoc, Fault, Kind, Limits, ScriptError,
    class::Module,
    eager::Eager,
    error::Source,
    host::{Clock, Host},
    json, kind, params,
    sandbox::Sandbox,
};
use ekphrasis_runtime::Runtime;
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use serde_json::Value as Json;
use std::{
    cell::{Cell, RefCell},
    fs,
    path::Path,
    rc::Rc,
};

/// A Lua for scripts; clones share it.
#[derive(Clone)]
pub struct Engine(Rc<Inner>);

struct Inner {
    sandbox: Sandbox,
    host: Host,
    docs: RefCell<Vec<ClassDoc>>,
}

/// A script that is loaded; clones share it.
#[derive(Clone, Debug)]
pub struct Script(Rc<Loaded>);

#[derive(Debug)]
struct Loaded {
    name: String,
    kind: Kind,
    doc: String,
    path: String,
    hash: String,
    text: Rc<str>,
    defaults: Json,
    table: Table,
}

/// One update of a loss.
#[derive(Clone, Debug)]
pub struct Update {
    /// The role whose parameters it changes.
    pub role: String,
    /// Its name in the log.
    pub name: String,
    /// Runs at every so many steps.
    pub every: u64,
    /// The loss.
    pub function: Function,
}

impl Script {
    /// File stem, by which configs select it.
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
    /// What it does.
    pub fn doc(&self) -> &str {
        &self.0.doc
    }
    /// The file as it was given.
    pub fn path(&self) -> &str {
        &self.0.path
    }
    /// BLAKE3 of its text, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }
    /// Its text.
    pub fn text(&self) -> &str {
        &self.0.text
    }
    /// The defaults of its parameters.
    pub fn defaults(&self) -> &Json {
        &self.0.defaults
    }

    /// Its parameters with overrides from a config; unknown names and wrong types are errors.
    pub fn params(&self, overrides: &Json) -> Result<Json, ScriptError> {
        params::merge(&self.0.defaults, overrides).map_err(|f| self.error(f))
    }

    /// An error about this script as a whole.
    pub fn error(&self, fault: Fault) -> ScriptError {
        ScriptError::new(self.path(), fault)
    }

    /// A function of its table by key.
    pub fn function(&self, key: &str) -> Result<Function, ScriptError> {
        match self.0.table.raw_get(key) {
            Ok(Value::Function(f)) => Ok(f),
            Ok(other) => Err(self.error(Fault::new(format!(
                "`{key}`: expected a function, found {}",
                json::describe(&other)
            )))),
            Err(e) => Err(self.error(Fault::new(e.to_string()))),
        }
    }

    /// The updates of a loss, in order; a loss for one role is one update.
    pub fn updates(&self) -> Result<Vec<Update>, ScriptError> {
        let read = |t: &Table| -> mlua::Result<Update> {
            let role: String = t.raw_get("role")?;
            let name = t.raw_get::<Option<String>>("name").ok().flatten().unwrap_or_else(|| role.clone());
            let every = t.raw_get::<Option<i64>>("every").ok().flatten().unwrap_or(1);
            match u64::try_from(every) {
                Ok(every) if every > 0 => Ok(Update { role, name, every, function: t.raw_get("loss")? }),
                _ => Err(Fault::new(format!("`every`: expected at least 1, found {every}")).into()),
            }
        };
        let failed = |e: mlua::Error| match e.downcast_ref::<Fault>() {
            Some(fault) => self.error(fault.clone()),
            None => self.error(Fault::new(e.to_string())),
        };
        if self.0.table.contains_key("updates").unwrap_or(false) {
            let list = kind::updates(&self.0.table).map_err(|f| self.error(f))?;
            return list.iter().map(|t| read(t).map_err(failed)).collect();
        }
        Ok(vec![read(&self.0.table).map_err(failed)?])
    }
}

impl Engine {
    /// Starts a Lua with limits; without a runtime, tensors can be traced but not computed.
    pub fn new(limits: Limits, runtime: Option<Runtime>) -> Result<Self, ScriptError> {
        let host = Host {
            eager: Rc::new(Eager::new(runtime, limits.memory)),
            clock: Rc::new(Clock::default()),
            ledger: Rc::new(Cell::new(0)),
            limits,
            sources: Rc::default(),
            print: Rc::new(RefCell::new(Box::new(|_: &str| {}))),
        };
        let failed = |e: mlua::Error| ScriptError::new("the script engine", Fault::new(e.to_string()));
        let sandbox = Sandbox::new(host.clone()).map_err(failed)?;
        let engine = Self(Rc::new(Inner { sandbox, host, docs: RefCell::default() }));
        engine.0.docs.borrow_mut().extend(kind::docs());
        engine.register(crate::tensor_class::class())?;
        engine.module(crate::tensor_class::module(engine.lua()).map_err(failed)?)?;
        engine.register(crate::handle::class())?;
        engine.register(crate::model::class())?;
        engine.register(crate::layers::class())?;
        Ok(engine)
    }

    /// The Lua itself, for making arguments.
    pub fn lua(&self) -> &Lua {
        &self.0.sandbox.lua
    }

    /// Where `print` of scripts goes; nowhere until this is set.
    pub fn on_print(&self, print: impl FnMut(&str) + 'static) {
        *self.0.host.print.borrow_mut() = Box::new(print);
    }

    /// Adds a class, so that its objects can be given to scripts.
    pub fn register<T: 'static>(&self, class: Class<T>) -> Result<(), ScriptError> {
        let name = class.doc().name.clone();
        let doc = class.register(self.lua()).map_err(|e| self.failed(&name, &e))?;
        self.0.docs.borrow_mut().push(doc);
        Ok(())
    }

    /// Adds a global table of functions for scripts that are loaded from here on.
    pub fn module(&self, module: Module) -> Result<(), ScriptError> {
        let Module { doc, table } = module;
        let set = self.0.sandbox.modules.raw_set(doc.name.as_str(), table);
        set.map_err(|e| self.failed(&doc.name, &e))?;
        self.0.docs.borrow_mut().push(doc);
        Ok(())
    }

    /// What is written about all that scripts can reach, for the stubs.
    pub fn docs(&self) -> Vec<ClassDoc> {
        self.0.docs.borrow().clone()
    }

    fn failed(&self, path: &str, error: &mlua::Error) -> ScriptError {
        ScriptError::from_lua(&self.0.host.sources, path, error)
    }

    /// Loads a script from a file.
    pub fn load(&self, kind: Kind, path: &Path) -> Result<Script, ScriptError> {
        let shown = path.display().to_string();
        let bytes = fs::read(path).map_err(|e| {
            ScriptError::new(&shown, Fault::new(format!("cannot read the {} script: {e}", kind.name())))
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            ScriptError::new(
                &shown,
                Fault::new(format!("expected a script in UTF-8, found other bytes at {at}")),
            )
        })?;
        let name = path.file_stem().map_or_else(|| shown.clone(), |s| s.to_string_lossy().into_owned());
        self.load_named(kind, &name, &shown, &text)
    }

    /// Loads a script from text; `name` serves as its path in errors.
    pub fn load_text(&self, kind: Kind, name: &str, text: &str) -> Result<Script, ScriptError> {
        let stem =
            Path::new(name).file_stem().map_or_else(|| name.into(), |s| s.to_string_lossy().into_owned());
        self.load_named(kind, &stem, name, text)
    }

    fn load_named(&self, kind: Kind, name: &str, path: &str, text: &str) -> Result<Script, ScriptError> {
        let chunk = self.chunk_name(path);
        let text: Rc<str> = text.into();
        let source = Source { path: path.into(), text: text.clone() };
        self.0.host.sources.borrow_mut().insert(chunk.clone(), source);
        let run = || -> mlua::Result<MultiValue> {
            let env: Table = self.0.sandbox.environment.call(())?;
            let chunk =
                self.lua().load(&*text).set_name(format!("={chunk}")).set_mode(mlua::chunk::ChunkMode::Text);
            chunk.set_environment(env).call(())
        };
        let values = self.limited(run).map_err(|e| self.failed(path, &e))?;
        let fail = |fault: Fault| ScriptError::new(path, fault);
        let table = match (values.len(), values.front()) {
            (1, Some(Value::Table(table))) => table.clone(),
            (_, first) => {
                let found = first.map_or("nothing".into(), json::describe);
                return Err(fail(
                    Fault::new(format!("expected the script to return one table, found {found}"))
                        .hint(format!("return {{ api = 1, doc = \"...\", ... }}  -- a {}", kind.name())),
                ));
            }
        };
        kind.check(&table).map_err(fail)?;
        let given: Value = table.raw_get("params").map_err(|e| self.failed(path, &e))?;
        let defaults = match json::from_lua(&given).map_err(|f| fail(f.at("`params`")))? {
            Json::Object(map) => Json::Object(map),
            Json::Null => Json::Object(Default::default()),
            Json::Array(list) if list.is_empty() => Json::Object(Default::default()),
            _ => return Err(fail(Fault::new("`params`: expected names with defaults, found a list"))),
        };
        Ok(Script(Rc::new(Loaded {
            name: name.into(),
            kind,
            doc: table.raw_get("doc").map_err(|e| self.failed(path, &e))?,
            path: path.into(),
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            text,
            defaults,
            table,
        })))
    }

    /// A name for Lua, which cuts long ones, that no other script has.
    fn chunk_name(&self, path: &str) -> String {
        const LONGEST: usize = 50;
        let tail: String = match path.char_indices().rev().nth(LONGEST) {
            Some((at, c)) => format!("...{}", &path[at + c.len_utf8()..]),
            None => path.into(),
        };
        let sources = self.0.host.sources.borrow();
        let taken = |name: &str| sources.get(name).is_some_and(|s| s.path != path);
        if !taken(&tail) {
            return tail;
        }
        let mut n = 2;
        while taken(&format!("{tail}#{n}")) {
            n += 1;
        }
        format!("{tail}#{n}")
    }

    fn limited<R>(&self, work: impl FnOnce() -> R) -> R {
        self.0.host.clock.limited(self.0.host.limits.wall, work)
    }

    /// Calls a function of a script by its key, under the limits.
    pub fn call(
        &self,
        script: &Script,
        key: &str,
        args: impl IntoLuaMulti,
    ) -> Result<MultiValue, ScriptError> {
        let function = script.function(key)?;
        self.call_function(script, &function, args)
    }

    /// Calls a function that a script gave, under the limits.
    pub fn call_function(
        &self,
        script: &Script,
        function: &Function,
        args: impl IntoLuaMulti,
    ) -> Result<MultiValue, ScriptError> {
        self.limited(|| function.call(args)).map_err(|e| self.failed(script.path(), &e))
    }

    /// Plain data as a Lua value, such as parameters.
    pub fn value(&self, data: &Json) -> Result<Value, ScriptError> {
        json::to_lua(self.lua(), data).map_err(|e| self.failed("parameters", &e))
    }
}
