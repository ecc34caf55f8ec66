---@meta
-- Generated from the tables in the host; edits here are lost.

---A model: each of its graphs is a method, as captioner:encode(image), generator:generate(noise, tokens).
---@class ModelHandle
local ModelHandle = {}

---The model in training mode: batch normalisation by the statistics of the batch.
---@return ModelHandle
function ModelHandle:train() end

---The model in evaluation mode: batch normalisation by the running statistics.
---@return ModelHandle
function ModelHandle:eval() end
