//! What a schedule script sees.

use crate::{Result, TrainError, runner::Runner};
use ekphrasis_script::{Class, Fault, Kind, uncounted};
use mlua::{Lua, LuaSerdeExt, Value as LuaValue};
use serde_json::{Map, Value};
use std::{cell::RefCell, rc::Rc};

/// The `host` of a schedule.
pub struct ScheduleHost(Rc<RefCell<Runner>>);

/// Runs the schedule of the config to its end.
pub fn run(runner: &Rc<RefCell<Runner>>) -> Result<Value> {
    let world = runner.borrow().world.clone();
    let (script, params) = world.chosen(Kind::Schedule, &world.config.schedule)?;
    let host =
        world.engine.lua().create_any_userdata(ScheduleHost(runner.clone())).map_err(TrainError::lua)?;
    let params = world.engine.value(&params)?;
    let outcome = world.engine.call(&script, "run", (host, params));
    if let Err(error) = outcome {
        // A stop is no error of the script.
        return Err(match world.stop.load(std::sync::atomic::Ordering::Relaxed) {
            true => TrainError::Stopped,
            false => error.into(),
        });
    }
    runner.borrow_mut().finish()
}

fn fault(error: TrainError) -> mlua::Error {
    match error {
        TrainError::Script(error) => mlua::Error::external(error),
        other => Fault::new(other.to_string()).into(),
    }
}

fn object(lua: &Lua, value: Option<LuaValue>) -> mlua::Result<Map<String, Value>> {
    match value {
        None | Some(LuaValue::Nil) => Ok(Map::new()),
        Some(value) => lua.from_value(value),
    }
}

/// The class `ScheduleHost`.
pub fn class() -> Class<ScheduleHost> {
    Class::<ScheduleHost>::new(
        "ScheduleHost",
        "The host of a schedule. Its calls are recorded: after a kill the schedule runs again from its top, finished \
         calls return what they returned, and the interrupted one goes on from its last checkpoint.",
    )
    .method(
        "train",
        "(phase: string, set?: table): table",
        "Trains a phase of the config, with single settings changed (`{ steps = 100 }`). Gives `steps`, `seconds`, \
         `mean` (of each metric over the call) and `milliseconds` (of each part of a step). Called again, a phase goes \
         on with its optimiser and with new batches.",
        |lua, host, (phase, set): (String, Option<LuaValue>)| {
            let set = object(lua, set)?;
            let result = uncounted(lua, || host.0.borrow_mut().train(&phase, &set)).map_err(fault)?;
            lua.to_value(&result)
        },
    )
    .method(
        "evaluate",
        "(label: string, splits?: string[]): table<string, table<string, number>>",
        "Scores the captioner's captions of whole splits (`val` unless splits are given) and notes the scores as \
         `captioner.<label>.<split>.<metric>` in the summary.",
        |lua, host, (label, splits): (String, Option<Vec<String>>)| {
            let splits = splits.unwrap_or_else(|| vec!["val".to_owned()]);
            let result = uncounted(lua, || host.0.borrow_mut().evaluate(&label, &splits)).map_err(fault)?;
            lua.to_value(result.get("splits").unwrap_or(&Value::Null))
        },
    )
    .method(
        "evaluate_gan",
        "(split?: string): table<string, number>",
        "R-precision of the generator by the scorer on a split (`val` unless given), noted as `gan.<metric>`.",
        |lua, host, split: Option<String>| {
            let split = split.unwrap_or_else(|| "val".to_owned());
            let result = uncounted(lua, || host.0.borrow_mut().evaluate_gan(&split)).map_err(fault)?;
            lua.to_value(&result)
        },
    )
    .method(
        "samples",
        "(label: string)",
        "Draws a sheet of samples into `samples/<label>.png`: pictures, what the generator paints from their captions, \
         and the captions of each evaluation so far.",
        |lua, host, label: String| uncounted(lua, || host.0.borrow_mut().samples(&label)).map(|_| ()).map_err(fault),
    )
    .method("has_phase", "(name: string): boolean", "Whether the config has this phase.", |_, host, name: String| {
        Ok(host.0.borrow().world.config.phases.contains_key(&name))
    })
    .method(
        "splits",
        "(wanted: string[]): string[]",
        "Those of the wanted splits that the data have, in the same order.",
        |_, host, wanted: Vec<String>| {
            let host = host.0.borrow();
            Ok(wanted.into_iter().filter(|s| host.world.data.splits.contains_key(s)).collect::<Vec<_>>())
        },
    )
    .method("has_model", "(role: string): boolean", "Whether the config names a model for this role.", |_, host, role: String| {
        Ok(host.0.borrow().world.models().keys().any(|r| r.name() == role))
    })
    .method("log", "(text: string)", "A line for the user.", |_, host, text: String| {
        host.0.borrow().world.note(&text);
        Ok(())
    })
}
