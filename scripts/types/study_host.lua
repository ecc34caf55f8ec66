---@meta
-- Generated from the tables in the host; edits here are lost.

---What a study can do: run trials, compare them, say something.
---@class StudyHost
local StudyHost = {}

---Runs every arm with every seed, side by side, and returns the results arm by arm. Trials that are done are not run again. When some fail, the others are still done, and the study ends with an error.
---@param options ekphrasis.Trials
---@return ekphrasis.Result[]
function StudyHost:trials(options) end

---Runs one trial and returns its result.
---@param options ekphrasis.Trial
---@return ekphrasis.Result
function StudyHost:trial(options) end

---Shows mean, standard deviation and 95% confidence interval of each arm, and its paired difference to a baseline over the same seeds. Written to table.md and table.csv in the study's folder as well.
---@param options ekphrasis.Comparison
---@return ekphrasis.Table
function StudyHost:table(options) end

---Shows a line to the user.
---@param text string
function StudyHost:log(text) end
