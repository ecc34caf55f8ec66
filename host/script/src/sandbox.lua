-- What scripts see. Called once for each engine with the raw globals and what the host lends; returns
-- the function that makes an environment. Wrappers end in tail calls, so that errors of the library
-- name the script's line.
local raw, host = ...
local string, table, math, utf8 = raw.string, raw.table, raw.math, raw.utf8
local error, next, type, select = raw.error, raw.next, raw.type, raw.select
local rawget, rawlen, getmetatable = raw.rawget, raw.rawlen, raw.getmetatable
local setmetatable, pcall = raw.setmetatable, raw.pcall
local sort, tostring = table.sort, raw.tostring
local check = host.check

-- Longest stretch that one call into the library's C loops may cover.
local LONGEST = 10000000

local function pick(from, names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = from[name] end
  return out
end

-- Text

local strings = pick(string, "byte char format len lower reverse sub upper")
for name, f in next, host.strings do strings[name] = f end

-- Methods of text go the same way; scripts get copies of the table and never this one.
local metatable = getmetatable("")
metatable.__index = strings
metatable.__metatable = false

-- Lists

local tables = pick(table, "pack unpack")

local function plain(name, t)
  check()
  local mt = type(t) == "table" and getmetatable(t)
  if type(mt) == "table" and rawget(mt, "__len") ~= nil then
    host.fail("table." .. name .. ": a table with __len is not taken here")
  end
end

local function bounded(name, from, to)
  if type(from) == "number" and type(to) == "number" and to - from >= LONGEST then
    host.fail("table." .. name .. ": " .. tostring(to - from) .. " elements are more than " .. LONGEST)
  end
end

function tables.concat(t, sep, i, j)
  plain("concat", t)
  bounded("concat", i or 1, j or 0)
  return table.concat(t, sep, i, j)
end
function tables.insert(t, ...)
  plain("insert", t)
  return table.insert(t, ...)
end
function tables.remove(t, ...)
  plain("remove", t)
  return table.remove(t, ...)
end
function tables.sort(t, less)
  plain("sort", t)
  return table.sort(t, less)
end
function tables.move(a, from, to, ...)
  check()
  bounded("move", from, to)
  return table.move(a, from, to, ...)
end

-- Numbers

local numbers = {}
for name, f in next, math do numbers[name] = f end
local function no_chance()
  host.fail("math.random is not available: runs must be repeatable", "use batch:noise(n) or the noise that the function is given")
end
numbers.random, numbers.randomseed = no_chance, no_chance

-- Base

local base = pick(raw, "assert error ipairs rawequal rawget rawlen rawset select tonumber tostring type _VERSION getmetatable")

local function settled(ok, ...)
  -- A script must not live on by catching the error that stops it.
  if not ok then check() end
  return ok, ...
end
function base.pcall(f, ...) return settled(pcall(f, ...)) end
-- The handler runs after the error, not within it: there, no clock would look.
local function handled(handler, ok, ...)
  if ok then return ok, ... end
  return false, handler(...)
end
function base.xpcall(f, handler, ...) return handled(handler, settled(pcall(f, ...))) end

function base.setmetatable(t, mt)
  if type(mt) == "table" and rawget(mt, "__gc") ~= nil then
    host.fail("setmetatable: __gc is not available in scripts")
  end
  return setmetatable(t, mt)
end

-- Lua visits keys in an order that differs from run to run; here numbers come first, then text, sorted.
local rank = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local p, q = rank[type(a)] or 4, rank[type(b)] or 4
  if p ~= q then return p < q end
  if p == 3 then return a and not b end
  return p < 3 and a < b
end

local function keys(t)
  check()
  local list, n, length = {}, 0, rawlen(t)
  for i = 1, length do list[i] = i end
  n = length
  local more
  for k in next, t do
    if math.type(k) ~= "integer" or k < 1 or k > length then
      n = n + 1
      list[n] = k
      more = true
    end
  end
  if more then sort(list, before) end
  return list
end

function base.pairs(t)
  local mt = getmetatable(t)
  if type(mt) == "table" and mt.__pairs ~= nil then return mt.__pairs(t) end
  if type(t) ~= "table" then
    host.fail("pairs: expected a table, found " .. type(t))
  end
  local list, i = keys(t), 0
  return function()
    while true do
      i = i + 1
      local k = list[i]
      if k == nil then return nil end
      local v = rawget(t, k)
      if v ~= nil then return k, v end
    end
  end
end

function base.next(t, ...)
  if select("#", ...) > 0 then
    host.fail("next: only next(t), to see whether a table is empty, is available", "use pairs(t), which goes in a fixed order")
  end
  local k = keys(t)[1]
  if k == nil then return nil end
  return k, rawget(t, k)
end

local count = raw.collectgarbage
function base.collectgarbage(what)
  if what ~= "count" then host.fail("collectgarbage: only collectgarbage(\"count\") is available") end
  return count("count")
end

function base.print(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
  host.print(table.concat(out, "\t"))
end

-- Environments: a fresh copy for each script, so that none can change what another sees.

local function copy(t)
  local out = {}
  for k, v in next, t do out[k] = v end
  return out
end

return function()
  local env = copy(base)
  env.string, env.table, env.math, env.utf8 = copy(strings), copy(tables), copy(numbers), copy(utf8)
  for name, module in next, host.modules do env[name] = copy(module) end
  local names = {}
  for name in next, env do names[#names + 1] = name end
  return setmetatable(env, {
    __index = function(_, name) host.unknown(name, names) end,
    __newindex = function(_, name)
      host.fail("assignment to the global `" .. tostring(name) .. "`", "write `local " .. tostring(name) .. "`")
    end,
    __metatable = false,
  })
end
