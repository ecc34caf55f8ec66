//! What scripts must not do is stopped with an error that says what happened; what they may do works.

mod common;

use common::{error_of, script, tracer};
use ekphrasis_script::{Engine, Kind};
use std::time::{Duration, Instant};

/// Runs into the limits and comes back soon after.
fn stopped(body: &str) -> String {
    let engine = tracer();
    let start = Instant::now();
    let e = error_of(&engine, body).to_string();
    assert!(start.elapsed() < Duration::from_secs(4), "{body} took {:?}", start.elapsed());
    // The engine serves on.
    assert!(engine.call(&script(&engine, "return 1"), "study", ()).is_ok());
    e
}

#[test]
fn endless_loops_are_stopped_where_they_are() {
    let e = stopped("local i = 0\nwhile true do\ni = i + 1\nend");
    assert!(e.contains("stopped after 0.7 s (limit 0.7 s)"), "{e}");
    assert!(e.starts_with("error: scripts/test.lua:") && e.contains("i = i + 1"), "{e}");
    assert!(
        e.contains("hint: is there a loop that does not end? the limit of a run is `limits.seconds`"),
        "{e}"
    );
    for body in [
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
        "local function f() return f() end f()",
        "local t = setmetatable({}, { __index = function(t, k) while true do end end }) return t.x",
        "for w in string.gmatch('a', '') do while true do end end",
        "local s = ('x'):gsub('x', function() while true do end end) return s",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "return tostring(setmetatable({}, { __tostring = function() while true do end end }))",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "while true do local s <close> = setmetatable({}, { __close = function() while true do end end }) end",
        "while true do string.rep('x', 1000000) end",
    ] {
        let e = stopped(body);
        assert!(e.contains("stopped after"), "{body}\n{e}");
    }
}

#[test]
fn loops_inside_the_library_are_stopped() {
    // Exponential and polynomial patterns.
    for body in [
        "return ('a'):rep(5000):find(('.-'):rep(20) .. 'b')",
        "return ('a'):rep(100000):match('.-.-.-.-.-.-b')",
        "return ('a'):rep(2000):gsub(('a*'):rep(12) .. 'b', '')",
        "for w in ('a'):rep(20000):gmatch('.-.-.-b') do end",
        "while true do local x = ('x'):rep(100000):find('y', 1, true) end",
    ] {
        let e = stopped(body);
        assert!(e.contains("stopped after") || e.contains("pattern too complex"), "{body}\n{e}");
    }
    for (body, message) in [
        ("return ('x'):rep(1000000000)", "string.rep: the result is longer than the memory limit of 64 MB"),
        ("return string.rep('x', 10, ('y'):rep(20000000))", "longer than the memory limit"),
        ("local t = table.move({}, 1, 1 << 60, 2) return t", "table.move"),
        (
            "local s = table.concat(setmetatable({}, { __index = function() return '' end }), '', 1, 1 << 60) return s",
            "table.concat",
        ),
        (
            "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 2)",
            "__len is not taken",
        ),
        (
            "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)",
            "__len is not taken",
        ),
        ("return table.unpack({}, 1, 1 << 40)", "too many results to unpack"),
        ("return ('a'):rep(100000):gsub('a', ('b'):rep(100000))", "gsub: the result is longer"),
        ("return string.format('%1000d', 1)", "invalid conversion"),
    ] {
        let e = stopped(body);
        assert!(e.contains(message), "{body}\n{e}");
        assert!(e.contains("scripts/test.lua:2"), "the place: {e}");
    }
}

#[test]
fn hoarding_is_stopped() {
    for body in [
        "local t = {} for i = 1, 1e9 do t[i] = { i } end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
    ] {
        let engine = common::patient();
        let e = error_of(&engine, body).to_string();
        assert!(e.contains("not enough memory") && e.contains("`limits.memory_mib`"), "{body}\n{e}");
        assert!(engine.call(&script(&engine, "return 1"), "study", ()).is_ok());
    }
}

#[test]
fn tensors_count_against_the_memory_limit() {
    let engine = common::patient();
    let e = error_of(&engine, "local t = {} for i = 1, 1e6 do t[i] = tensor.ones({ 1024, 1024 }) end")
        .to_string();
    assert!(e.contains("the script keeps tensors of 68 MB (limit 64 MB)"), "{e}");
    assert!(e.contains("`limits.memory_mib`"), "{e}");
    let e = error_of(&engine, "return tensor.zeros({ 1000000, 1000000 })").to_string();
    assert!(e.contains("(limit 64 MB)"), "{e}");
    let e = error_of(&engine, "return tensor.ones({ 4096, 1 }) + tensor.ones({ 1, 8192 })").to_string();
    assert!(e.contains("the result f32[4096, 8192] would take 128 MB"), "{e}");
    // What is dropped does not count.
    let s = script(&engine, "for i = 1, 200 do local t = tensor.ones({ 1024, 1024 }) end return 1");
    engine.call(&s, "study", ()).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_system_is_out_of_reach() {
    let engine = tracer();
    for (body, message) in [
        ("io.open('/etc/passwd')", "`io` is not available in scripts"),
        ("os.execute('true')", "`os` is not available in scripts"),
        ("return os.time()", "`os` is not available in scripts"),
        ("require('os')", "`require` is not available in scripts"),
        ("load('return 1')", "`load` is not available in scripts"),
        ("loadstring('return 1')", "`loadstring` is not available in scripts"),
        ("dofile('x.lua')", "`dofile` is not available in scripts"),
        ("debug.getregistry()", "`debug` is not available in scripts"),
        ("coroutine.create(print)", "`coroutine` is not available in scripts"),
        ("return string.dump(print)", "a nil value (field 'dump')"),
        ("getmetatable('').__index = nil", "attempt to index a boolean value"),
        ("return getmetatable(tensor.zeros({})).__index", "NOT STARTED OR BOOLEAN"),
        ("setmetatable({}, { __gc = function() end })", "__gc is not available in scripts"),
        ("return math.random()", "math.random is not available: runs must be repeatable"),
        ("math.randomseed(1)", "math.random is not available"),
        ("collectgarbage('stop')", "only collectgarbage(\"count\") is available"),
        ("counter = 1", "assignment to the global `counter`"),
        ("return tenser.zeros({ 1 })", "did you mean `tensor`?"),
        ("return next({ 1 }, 1)", "use pairs(t), which goes in a fixed order"),
        ("return _G", "unknown global `_G`"),
    ] {
        let e = error_of(&engine, body).to_string();
        let fits = match message {
            // Without a runtime the tensor cannot be made; with one its metatable is hidden.
            "NOT STARTED OR BOOLEAN" => e.contains("start") || e.contains("attempt to index a boolean value"),
            _ => e.contains(message),
        };
        assert!(fits, "{body}\n{e}");
    }
}

#[test]
fn bytecode_is_not_loaded() {
    let engine = tracer();
    let lua = mlua::Lua::new();
    let code = lua.load("return { api = 1, doc = '' }").into_function().expect("compiles").dump(true);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bytecode.lua");
    // As long as it is UTF-8 it reaches Lua, which takes text only.
    std::fs::write(&path, code.iter().map(|b| b & 0x7f).collect::<Vec<u8>>()).expect("written");
    let e = engine.load(Kind::Reward, &path).expect_err("refused").to_string();
    assert!(e.contains("attempt to load a binary chunk"), "{e}");
    std::fs::write(&path, &code).expect("written");
    assert!(engine.load(Kind::Reward, &path).is_err());
}

#[test]
fn scripts_do_not_see_each_other() {
    let engine = tracer();
    let s = script(
        &engine,
        "string.rep = nil tensor.concat = nil table.x = 1 math.pi = 3 return string.rep, math.pi",
    );
    engine.call(&s, "study", ()).unwrap_or_else(|e| panic!("{e}"));
    let s = script(
        &engine,
        "return type(string.rep), ('x'):rep(2, '-') .. ('x'):rep(0), type(tensor.concat), math.pi > 3.1, table.x",
    );
    let out = engine.call(&s, "study", ()).unwrap_or_else(|e| panic!("{e}"));
    let shown: Vec<_> = out.iter().map(|v| v.to_string().expect("text")).collect();
    assert_eq!(shown, ["function", "x-x", "function", "true", "nil"]);
}

#[test]
fn order_is_fixed() {
    let body = "local t = { z = 1, a = 2, [3] = 3, [1] = 1, m = 5, [-1] = 0, [true] = 4 }
        for i = 1, 50 do t['k' .. i] = i end
        local keys = {}
        for k in pairs(t) do keys[#keys + 1] = tostring(k) end
        return table.concat(keys, ' '), next({ b = 1, a = 2 })";
    let run = || {
        let engine = tracer();
        let out = engine.call(&script(&engine, body), "study", ()).unwrap_or_else(|e| panic!("{e}"));
        (out[0].to_string().expect("text"), out[1].to_string().expect("text"))
    };
    let (keys, first) = run();
    assert!(keys.starts_with("-1 1 3 a k1 k10 k11"), "{keys}");
    assert!(keys.ends_with("k9 m z true"), "{keys}");
    assert_eq!((keys, first), (run().0, "a".into()));
}

/// Expectations from the reference manual of Lua 5.4, section 6.4.
#[test]
fn patterns_are_luas() {
    let engine = tracer();
    let body = r#"
local function is(expected, ...)
  local got = {}
  for i = 1, select('#', ...) do got[i] = tostring((select(i, ...))) end
  got = table.concat(got, '|')
  assert(got == expected, 'expected ' .. expected .. ', found ' .. got)
end
is('7|11', ('hello world'):find('world'))
is('nil', ('hello'):find('xyz'))
is('5|5', ('a.b$c'):sub(1):find('c', 1, true))
is('1|0', (''):find(''))
is('nil', ('abc'):find('b', 4))
is('3|3', ('abcb'):find('c', -2))
is('4|4|4', ('key12'):find('()1'))
is('key|value', ('key = value'):match('^(%w+)%s*=%s*(%w+)$'))
is('2|4', ('abc'):match('()bc()'))
is('trim', ('  trim  '):match('^%s*(.-)%s*$'))
is('(a(b)c)', ('x(a(b)c)y'):match('%b()'))
is('THE', ('THE (quick) fox'):match('%f[%a]%a+'))
is('6|10', ('THE (quick) fox'):find('%f[%a]%a+', 4))
is('"it\'s"', ('say "it\'s" now'):match([[(["'].*["'])]]))
is('aa', ('xaay'):match('(a)%1') and 'aa')
is('nil', ('xaby'):match('(a)%1'))
is('-12.5', ('t=-12.5'):match('[+-]?%d+%.?%d*'))
is(']', ('a]b'):match('[]]'))
is('a-', ('xa-'):match('[%a-]+$', 2))
is('^', ('^'):match('[%^]'))
is('bar', ('foobar'):match('bar$'))
is('hello hello world world|2', ('hello world'):gsub('%w+', '%0 %0'))
is('hello hello world|1', ('hello world'):gsub('%w+', '%0 %0', 1))
is('world hello|1', ('hello world'):gsub('(%w+)%s*(%w+)', '%2 %1'))
is('4 = 4|1', ('$x = 4'):gsub('%$(%w+)', { x = 4 }))
is('$y|1', ('$y'):gsub('%$(%w+)', { x = 4 }))
is('<a><b>|2', ('ab'):gsub('.', function(c) return '<' .. c .. '>' end))
is('-a-b-|3', ('ab'):gsub('', '-'))
is('xbc|1', ('abc'):gsub('^a', 'x'))
is('100%|1', ('100x'):gsub('x', '%%'))
local words = {}
for w in ('one two  three'):gmatch('%a+') do words[#words + 1] = w end
is('one,two,three', table.concat(words, ','))
local pairs_ = {}
for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do pairs_[#pairs_ + 1] = k .. v end
is('a1,b2', table.concat(pairs_, ','))
local n = 0
for _ in ('abc'):gmatch('') do n = n + 1 end
is('4', n)
for _, bad in ipairs({ '(', '%', '[a', '%f', '%b', ')', '%1' }) do
  assert(not pcall(string.match, 'abc(', bad), bad)
end
"#;
    engine.call(&script(&engine, body), "study", ()).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_hosts_own_time_does_not_count() {
    let engine = tracer();
    let sleep = |lua: &mlua::Lua, counted: bool| {
        let rest = || std::thread::sleep(Duration::from_millis(900));
        if counted {
            rest()
        } else {
            ekphrasis_script::uncounted(lua, rest)
        }
        Ok(())
    };
    let sleep = engine.lua().create_function(sleep).expect("a function");
    let s = script(&engine, "a(b) for i = 1, 5000 do end return 1");
    assert!(engine.call(&s, "study", (sleep.clone(), false)).is_ok());
    let e = engine.call(&s, "study", (sleep, true)).expect_err("counts").to_string();
    assert!(e.contains("stopped after"), "{e}");
}

#[test]
fn print_goes_to_the_host() {
    let engine: Engine = tracer();
    let said = std::rc::Rc::new(std::cell::RefCell::new(vec![]));
    let sink = said.clone();
    engine.on_print(move |line| sink.borrow_mut().push(line.to_owned()));
    engine.call(&script(&engine, "print('a', 1, nil, true)"), "study", ()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(*said.borrow(), ["a\t1\tnil\ttrue"]);
}
