---@meta
-- Generated from the tables in the host; edits here are lost.

---Collects the graphs of a model.
---@class ModelBuilder
local ModelBuilder = {}

---Defines one graph of the model.
---@param name string
---@param define fun(g: GraphBuilder)
function ModelBuilder:graph(name, define) end
