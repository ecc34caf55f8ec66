//! Documented userdata classes: each row of a class is registered with Lua and listed for the stubs,
//! so that what a script can call and what is written about it are one thing.

use crate::error::Fault;
use mlua::{
    AnyUserData, FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, Lua, MultiValue, Table, UserDataFields,
    UserDataMethods, UserDataRegistry,
};

/// What is written about a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDoc {
    /// Its name.
    pub name: String,
    /// Its type as LuaLS writes it; a trailing `?` on the name's side is `optional`.
    pub ty: String,
    /// Whether it may be missing.
    pub optional: bool,
    /// What it is.
    pub doc: String,
}

/// What is written about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Its name.
    pub name: String,
    /// `(axis?: integer): Tensor`
    pub signature: String,
    /// What it does.
    pub doc: String,
}

/// How a class is reached from a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Objects with methods, called with `:`.
    Object,
    /// A global table of functions, called with `.`.
    Module,
    /// A table that a script returns or gets: fields only.
    Table,
}

/// What is written about a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassDoc {
    /// Its name, as `Tensor` or `ekphrasis.Reward`.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// How it is reached.
    pub form: Form,
    /// Fields.
    pub fields: Vec<FieldDoc>,
    /// Methods, or the functions of a module.
    pub methods: Vec<FunctionDoc>,
    /// Operators as LuaLS writes them: `add(Tensor|number): Tensor`.
    pub operators: Vec<String>,
}

impl ClassDoc {
    /// An empty description.
    pub fn new(name: &str, form: Form, doc: &str) -> Self {
        let (name, doc) = (name.into(), doc.into());
        Self { name, doc, form, fields: vec![], methods: vec![], operators: vec![] }
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, ty: &str, doc: &str) -> Self {
        let optional = name.ends_with('?');
        let name = name.trim_end_matches('?').into();
        self.fields.push(FieldDoc { name, ty: ty.into(), optional, doc: doc.into() });
        self
    }

    /// Adds a method or function.
    pub fn function(mut self, name: &str, signature: &str, doc: &str) -> Self {
        self.methods.push(FunctionDoc { name: name.into(), signature: signature.into(), doc: doc.into() });
        self
    }
}

type Row<T> = Box<dyn FnOnce(&mut UserDataRegistry<T>)>;

/// A userdata class under construction.
///
/// ```
/// use ekphrasis_script::Class;
/// struct Dice(u32);
/// let class = Class::<Dice>::new("Dice", "A die with some sides.")
///     .field("sides", "integer", "How many sides it has.", |_, dice| Ok(dice.0))
///     .method("opposite", "(side: integer): integer", "The side below.", |_, dice, side: u32| {
///         Ok(dice.0 + 1 - side)
///     });
/// let lua = mlua::Lua::new();
/// let doc = class.register(&lua)?;
/// assert_eq!(doc.methods[0].name, "opposite");
/// lua.globals().set("dice", lua.create_any_userdata(Dice(6))?)?;
/// assert_eq!(lua.load("return dice:opposite(2) + dice.sides").eval::<u32>()?, 11);
/// # Ok::<(), mlua::Error>(())
/// ```
pub struct Class<T: 'static> {
    doc: ClassDoc,
    rows: Vec<Row<T>>,
    fallback: bool,
}

impl<T: 'static> Class<T> {
    /// A class without rows.
    pub fn new(name: &str, doc: &str) -> Self {
        Self { doc: ClassDoc::new(name, Form::Object, doc), rows: vec![], fallback: true }
    }

    /// Adds a field that is computed when it is read.
    pub fn field<R: IntoLua + 'static>(
        mut self,
        name: &'static str,
        ty: &str,
        doc: &str,
        get: impl Fn(&Lua, &T) -> mlua::Result<R> + 'static,
    ) -> Self {
        self.doc = self.doc.field(name, ty, doc);
        self.rows.push(Box::new(move |r| r.add_field_method_get(name.trim_end_matches('?'), get)));
        self
    }

    /// Adds a method.
    pub fn method<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
        mut self,
        name: &'static str,
        signature: &str,
        doc: &str,
        call: impl Fn(&Lua, &T, A) -> mlua::Result<R> + 'static,
    ) -> Self {
        self.doc = self.doc.function(name, signature, doc);
        self.rows.push(Box::new(move |r| r.add_method(name, call)));
        self
    }

    /// Adds a method that gets the object as Lua holds it, to pass it on to other scripts.
    pub fn method_on<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
        mut self,
        name: &'static str,
        signature: &str,
        doc: &str,
        call: impl Fn(&Lua, AnyUserData, A) -> mlua::Result<R> + 'static,
    ) -> Self {
        self.doc = self.doc.function(name, signature, doc);
        self.rows.push(Box::new(move |r| {
            r.add_function(name, move |lua, mut args: MultiValue| {
                let this = AnyUserData::from_lua(args.pop_front().unwrap_or(mlua::Value::Nil), lua)?;
                call(lua, this, A::from_lua_multi(args, lua)?)
            });
        }));
        self
    }

    /// Adds an operator; `doc` as LuaLS writes it, as `len: integer`.
    pub fn operator<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
        mut self,
        name: mlua::MetaMethod,
        doc: &str,
        call: impl Fn(&Lua, A) -> mlua::Result<R> + 'static,
    ) -> Self {
        self.fallback &= name != mlua::MetaMethod::Index;
        if !doc.is_empty() {
            self.doc.operators.push(doc.into());
        }
        self.rows.push(Box::new(move |r| r.add_meta_function(name.name(), call)));
        self
    }

    /// What is written about it.
    pub fn doc(&self) -> &ClassDoc {
        &self.doc
    }

    /// Registers it with a Lua and gives what is written about it. Reading a name that the class does
    /// not have is an error with the nearest name.
    pub fn register(self, lua: &Lua) -> mlua::Result<ClassDoc> {
        let Self { doc, rows, fallback } = self;
        let class = doc.name.clone();
        let names: Vec<String> = (doc.fields.iter().map(|f| f.name.clone()))
            .chain(doc.methods.iter().map(|m| m.name.clone()))
            .collect();
        lua.register_userdata_type::<T>(move |registry| {
            for row in rows {
                row(registry);
            }
            if fallback {
                registry.add_meta_function("__index", move |_, (_, key): (mlua::Value, mlua::Value)| {
                    let key = key.to_string().unwrap_or_default();
                    let what = format!("field or method of {class}");
                    Err::<(), _>(Fault::unknown(&what, &key, names.iter().map(String::as_str)).into())
                });
            }
        })?;
        Ok(doc)
    }
}

/// A documented global table of functions under construction.
pub struct Module {
    pub(crate) doc: ClassDoc,
    pub(crate) table: Table,
}

impl Module {
    /// A module without functions.
    pub fn new(lua: &Lua, name: &str, doc: &str) -> mlua::Result<Self> {
        Ok(Self { doc: ClassDoc::new(name, Form::Module, doc), table: lua.create_table()? })
    }

    /// Adds a function.
    pub fn function<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
        mut self,
        lua: &Lua,
        name: &str,
        signature: &str,
        doc: &str,
        call: impl Fn(&Lua, A) -> mlua::Result<R> + 'static,
    ) -> mlua::Result<Self> {
        self.doc = self.doc.function(name, signature, doc);
        self.table.raw_set(name, lua.create_function(call)?)?;
        Ok(self)
    }
}
