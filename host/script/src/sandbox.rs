//! The Lua that scripts run in: an allow-list of what they see, a clock and a memory limit.

use crate::{Fault, host::Host, strings};
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, VmState};

/// Instructions between two looks at the clock: some microseconds.
const EVERY: u32 = 1000;

/// Names that Lua has and scripts do not, with what to do instead.
const WITHHELD: &[(&str, &str)] = &[
    ("io", "scripts do not touch files; the host gives them what they work on"),
    ("os", "scripts do not reach for the system, and time would make runs differ"),
    ("require", "a script is one file; functions that several need belong in each"),
    ("package", "a script is one file"),
    ("debug", "it would open the sandbox"),
    ("load", "code is what stands in the script"),
    ("loadstring", "code is what stands in the script"),
    ("loadfile", "code is what stands in the script"),
    ("dofile", "a script is one file"),
    ("coroutine", "schedules and studies are durable without it"),
];

/// A sandboxed Lua and the function that makes environments.
pub(crate) struct Sandbox {
    pub lua: Lua,
    pub environment: Function,
    /// Globals that the host adds, by name; copied into each environment.
    pub modules: Table,
}

impl Sandbox {
    pub fn new(host: Host) -> mlua::Result<Self> {
        let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8;
        let lua = Lua::new_with(libs, LuaOptions::default())?;
        let lent = lua.create_table()?;
        let clock = host.clock.clone();
        lent.raw_set("check", lua.create_function(move |_, ()| Ok(clock.check()?))?)?;
        lent.raw_set("strings", strings::functions(&lua, &host)?)?;
        let fail = |_: &Lua, (message, hint): (String, Option<String>)| {
            let fault = Fault::new(message);
            Err::<(), _>(hint.map_or_else(|| fault.clone(), |h| fault.clone().hint(h)).into())
        };
        lent.raw_set("fail", lua.create_function(fail)?)?;
        lent.raw_set("unknown", lua.create_function(unknown)?)?;
        let print = host.print.clone();
        let say = move |_: &Lua, text: mlua::LuaString| {
            (print.borrow_mut())(&text.to_string_lossy());
            Ok(())
        };
        lent.raw_set("print", lua.create_function(say)?)?;
        let modules = lua.create_table()?;
        lent.raw_set("modules", &modules)?;
        let chunk = lua.load(include_str!("sandbox.lua")).set_name("=[sandbox]");
        let environment: Function = chunk.call((lua.globals(), lent))?;

        let clock = host.clock.clone();
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(EVERY), move |_, debug| {
            match clock.check() {
                Ok(()) => Ok(VmState::Continue),
                // The traceback of an error in a hook leaves out the function that was running.
                Err(fault) => {
                    let chunk = debug.source().short_src.map(|s| s.into_owned()).unwrap_or_default();
                    match debug.current_line() {
                        Some(line) => Err(fault.at(&format!("{chunk}:{line}")).into()),
                        None => Err(fault.into()),
                    }
                }
            }
        })?;
        lua.set_memory_limit(host.limits.memory)?;
        lua.set_app_data(host);
        Ok(Self { lua, environment, modules })
    }
}

fn unknown(_: &Lua, (name, known): (mlua::Value, Vec<String>)) -> mlua::Result<()> {
    let name = name.to_string().unwrap_or_default();
    let fault = match WITHHELD.iter().find(|(n, _)| *n == name) {
        Some((_, why)) => Fault::new(format!("`{name}` is not available in scripts")).hint(*why),
        None => match crate::error::nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => {
                Fault::new(format!("unknown global `{name}`")).hint(format!("did you mean `{near}`?"))
            }
            None => Fault::new(format!("unknown global `{name}`")).hint("write `local` before its first use"),
        },
    };
    Err(fault.into())
}
