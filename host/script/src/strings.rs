//! The functions of `string` that may run long, kept to the clock and the memory limit: `find`, `match`,
//! `gmatch`, `gsub` and `rep`.

use crate::{
    Fault,
    host::{Clock, Host, MEMORY_HINT},
    pattern::{Capture, Matcher},
};
use mlua::{IntoLua, Lua, LuaString, MultiValue, Table, Value};
use std::{cell::Cell, rc::Rc};

/// These functions in a table.
pub(crate) fn functions(lua: &Lua, host: &Host) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, find) in [("find", true), ("match", false)] {
        let clock = host.clock.clone();
        type Args = (LuaString, LuaString, Option<i64>, Option<bool>);
        let search = move |lua: &Lua, (text, pattern, init, plain): Args| {
            let plain = find && plain.unwrap_or(false);
            look(lua, &clock, (&text.as_bytes(), &pattern.as_bytes()), init, plain, find)
        };
        table.raw_set(name, lua.create_function(search)?)?;
    }
    let clock = host.clock.clone();
    let gmatch = move |lua: &Lua, (text, pattern): (LuaString, LuaString)| {
        let (clock, text, pattern) = (clock.clone(), text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
        let (at, last) = (Cell::new(0), Cell::new(None));
        lua.create_function(move |lua, ()| {
            let mut m = Matcher::new(&text, &pattern, &clock);
            while let Some((from, to)) = m.search(at.get(), false)? {
                // An empty match right where the last one ended would be that one again.
                if last.get() == Some(to) {
                    at.set(from + 1);
                    if from + 1 > text.len() {
                        break;
                    }
                    continue;
                }
                at.set(to);
                last.set(Some(to));
                return values(lua, &text, &m.captures(from, to)?);
            }
            at.set(text.len() + 1);
            Ok(MultiValue::from_vec(vec![Value::Nil]))
        })
    };
    table.raw_set("gmatch", lua.create_function(gmatch)?)?;
    let (clock, most) = (host.clock.clone(), host.limits.memory);
    let gsub = move |lua: &Lua, (text, pattern, by, n): (LuaString, LuaString, Value, Option<i64>)| {
        replace(lua, &clock, most, (&text.as_bytes(), &pattern.as_bytes()), &by, n)
    };
    table.raw_set("gsub", lua.create_function(gsub)?)?;
    let clock = host.clock.clone();
    let rep = move |lua: &Lua, (text, n, between): (LuaString, i64, Option<LuaString>)| {
        clock.check()?;
        let n = usize::try_from(n).unwrap_or(0);
        let (text, between) = (text.as_bytes().to_vec(), between.map_or(vec![], |b| b.as_bytes().to_vec()));
        if (text.len() + between.len()).saturating_mul(n) > most {
            let limit = most >> 20;
            let message = format!("string.rep: the result is longer than the memory limit of {limit} MB");
            return Err(Fault::new(message).hint(MEMORY_HINT).into());
        }
        let mut out = [&text[..], &between[..]].concat().repeat(n);
        out.truncate(out.len().saturating_sub(between.len()));
        lua.create_string(out)
    };
    table.raw_set("rep", lua.create_function(rep)?)?;
    Ok(table)
}

fn value(lua: &Lua, text: &[u8], capture: &Capture) -> mlua::Result<Value> {
    match capture {
        Capture::Text(from, to) => lua.create_string(&text[*from..*to])?.into_lua(lua),
        Capture::Position(at) | Capture::Open(at) => Ok(Value::Integer(*at as i64 + 1)),
    }
}

fn values(lua: &Lua, text: &[u8], captures: &[Capture]) -> mlua::Result<MultiValue> {
    captures.iter().map(|c| value(lua, text, c)).collect()
}

/// Where to start, counted from 0; `None` behind the end.
fn start(init: Option<i64>, len: usize) -> Option<usize> {
    let at = match init.unwrap_or(1) {
        i if i > 0 => i - 1,
        0 => 0,
        i => (len as i64).saturating_add(i).max(0),
    };
    usize::try_from(at).ok().filter(|a| *a <= len)
}

fn look(
    lua: &Lua,
    clock: &Rc<Clock>,
    (text, pattern): (&[u8], &[u8]),
    init: Option<i64>,
    plain: bool,
    find: bool,
) -> mlua::Result<MultiValue> {
    let nothing = || Ok(MultiValue::from_vec(vec![Value::Nil]));
    let Some(at) = start(init, text.len()) else { return nothing() };
    if find && (plain || !pattern.iter().any(|c| b"^$*+?.([%-".contains(c))) {
        let found = find_plain(clock, text, pattern, at)?;
        return found.map_or_else(nothing, |i| {
            Ok([i as i64 + 1, (i + pattern.len()) as i64].map(Value::Integer).into_iter().collect())
        });
    }
    let anchored = pattern.first() == Some(&b'^');
    let mut m = Matcher::new(text, &pattern[usize::from(anchored)..], clock);
    let Some((from, to)) = m.search(at, anchored)? else { return nothing() };
    let captures = m.captures(from, to)?;
    if !find {
        return values(lua, text, &captures);
    }
    let mut out = vec![Value::Integer(from as i64 + 1), Value::Integer(to as i64)];
    if captures != [Capture::Text(from, to)] || pattern.contains(&b'(') {
        for c in &captures {
            out.push(value(lua, text, c)?);
        }
    }
    Ok(MultiValue::from_vec(out))
}

fn find_plain(clock: &Clock, text: &[u8], part: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    let mut work = 0;
    for i in at..=text.len().saturating_sub(part.len()) {
        if text[i..].starts_with(part) {
            return Ok(Some(i));
        }
        work += 1 + part.len() / 64;
        if work > 1 << 16 {
            clock.check()?;
            work = 0;
        }
    }
    Ok(None)
}

fn replace(
    lua: &Lua,
    clock: &Rc<Clock>,
    most: usize,
    (text, pattern): (&[u8], &[u8]),
    by: &Value,
    n: Option<i64>,
) -> mlua::Result<(LuaString, i64)> {
    let anchored = pattern.first() == Some(&b'^');
    let mut m = Matcher::new(text, &pattern[usize::from(anchored)..], clock);
    let (mut out, mut at, mut count): (Vec<u8>, usize, i64) = (vec![], 0, 0);
    while count < n.unwrap_or(i64::MAX) {
        let to = m.match_at(at)?;
        if let Some(to) = to {
            count += 1;
            let captures = m.captures(at, to)?;
            put(lua, &mut out, text, (at, to), &captures, by)?;
            if out.len() > most {
                return Err(Fault::new(format!(
                    "gsub: the result is longer than the memory limit of {} MB",
                    most >> 20
                ))
                .hint(MEMORY_HINT)
                .into());
            }
        }
        match to {
            Some(to) if to > at => at = to,
            _ => match text.get(at) {
                Some(c) => {
                    out.push(*c);
                    at += 1;
                }
                None => break,
            },
        }
        if anchored {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok((lua.create_string(out)?, count))
}

fn put(
    lua: &Lua,
    out: &mut Vec<u8>,
    text: &[u8],
    (from, to): (usize, usize),
    captures: &[Capture],
    by: &Value,
) -> mlua::Result<()> {
    let new = match by {
        Value::Table(table) => table.get(value(lua, text, &captures[0])?)?,
        Value::Function(f) => f.call(values(lua, text, captures)?)?,
        other => match lua.coerce_string(other.clone())? {
            Some(template) => return fill(lua, out, text, (from, to), captures, &template.as_bytes()),
            None => {
                return Err(Fault::new(format!(
                    "gsub: expected text, a table or a function as replacement, found {}",
                    crate::json::describe(by)
                ))
                .into());
            }
        },
    };
    match &new {
        Value::Nil | Value::Boolean(false) => out.extend_from_slice(&text[from..to]),
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            if let Some(s) = lua.coerce_string(new)? {
                out.extend_from_slice(&s.as_bytes());
            }
        }
        bad => {
            let found = crate::json::describe(bad);
            return Err(Fault::new(format!("gsub: expected text as replacement, found {found}")).into());
        }
    }
    Ok(())
}

fn fill(
    lua: &Lua,
    out: &mut Vec<u8>,
    text: &[u8],
    (from, to): (usize, usize),
    captures: &[Capture],
    template: &[u8],
) -> mlua::Result<()> {
    let mut chars = template.iter();
    while let Some(c) = chars.next() {
        if *c != b'%' {
            out.push(*c);
            continue;
        }
        match chars.next() {
            Some(b'%') => out.push(b'%'),
            Some(b'0') => out.extend_from_slice(&text[from..to]),
            Some(d @ b'1'..=b'9') => {
                let i = usize::from(d - b'1');
                let capture = captures.get(i).ok_or_else(|| {
                    Fault::new(format!("gsub: invalid capture index %{} in the replacement", *d as char))
                })?;
                if let Some(s) = lua.coerce_string(value(lua, text, capture)?)? {
                    out.extend_from_slice(&s.as_bytes());
                }
            }
            _ => return Err(Fault::new("gsub: invalid use of '%' in the replacement").into()),
        }
    }
    Ok(())
}
