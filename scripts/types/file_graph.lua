---@meta
-- Generated from the tables in the host; edits here are lost.

---The training step of one ONNX file, in a loss script for `ekphrasis graph grad --loss`.
---@class FileGraph
local FileGraph = {}

---An output of the model.
---@param name string
---@return Tensor
function FileGraph:output(name) end

---An input of the model by its name; with type and shape a further input of the step, as a target.
---@param name string
---@param dtype? string
---@param shape? (integer|string)[]
---@return Tensor
function FileGraph:input(name, dtype, shape) end

---The gradient of the sum of y by x, itself differentiable.
---@param y Tensor
---@param x Tensor
---@return Tensor
function FileGraph:gradient(y, x) end
