---@meta
-- Generated from the tables in the host; edits here are lost.

---The host of a schedule. Its calls are recorded: after a kill the schedule runs again from its top, finished calls return what they returned, and the interrupted one goes on from its last checkpoint.
---@class ScheduleHost
local ScheduleHost = {}

---Trains a phase of the config, with single settings changed (`{ steps = 100 }`). Gives `steps`, `seconds`, `mean` (of each metric over the call) and `milliseconds` (of each part of a step). Called again, a phase goes on with its optimiser and with new batches.
---@param phase string
---@param set? table
---@return table
function ScheduleHost:train(phase, set) end

---Scores the captioner's captions of whole splits (`val` unless splits are given) and notes the scores as `captioner.<label>.<split>.<metric>` in the summary.
---@param label string
---@param splits? string[]
---@return table<string, table<string, number>>
function ScheduleHost:evaluate(label, splits) end

---R-precision of the generator by the scorer on a split (`val` unless given), noted as `gan.<metric>`.
---@param split? string
---@return table<string, number>
function ScheduleHost:evaluate_gan(split) end

---Draws a sheet of samples into `samples/<label>.png`: pictures, what the generator paints from their captions, and the captions of each evaluation so far.
---@param label string
function ScheduleHost:samples(label) end

---Whether the config has this phase.
---@param name string
---@return boolean
function ScheduleHost:has_phase(name) end

---Those of the wanted splits that the data have, in the same order.
---@param wanted string[]
---@return string[]
function ScheduleHost:splits(wanted) end

---Whether the config names a model for this role.
---@param role string
---@return boolean
function ScheduleHost:has_model(role) end

---A line for the user.
---@param text string
function ScheduleHost:log(text) end
