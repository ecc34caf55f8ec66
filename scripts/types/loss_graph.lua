---@meta
-- Generated from the tables in the host; edits here are lost.

---The training step under construction, in a loss script.
---@class LossGraph
---@field samples integer Sampled captions for each picture.
---@field pad integer Token that fills up.
---@field bos integer Token that begins.
---@field eos integer Token that ends.
---@field captioner ModelHandle The captioner: its graphs are methods; `:train()` and `:eval()` set how batch normalisation works.
---@field generator ModelHandle The generator: its graphs are methods; `:train()` and `:eval()` set how batch normalisation works.
---@field discriminator ModelHandle The discriminator: its graphs are methods; `:train()` and `:eval()` set how batch normalisation works.
---@field scorer ModelHandle The scorer: its graphs are methods; `:train()` and `:eval()` set how batch normalisation works.
local LossGraph = {}

---A field of the batch. `image`: f32[B, 3, H, W] in [-1, 1]: the pictures; `tokens`: i64[B, T]: one caption of each picture: words, end, padding; `sampled`: i64[N, S]: N = B * samples captions from the policy, picture by picture; `advantage`: f32[N]: reward less baseline of each sampled caption; `noise`: f32[B, Z]: standard normal noise for the generator; `uniform`: f32[B]: uniform noise in [0, 1).
---@param name string
---@return Tensor
function LossGraph:input(name) end

---f32 of the shape of tokens: 1 up to the end, which counts, 0 on padding.
---@param tokens Tensor
---@return Tensor
function LossGraph:mask(tokens) end

---Logits with the tokens that are never written (padding, begin, unknown) at -1e9.
---@param logits Tensor
---@return Tensor
function LossGraph:legal(logits) end

---The gradient of the sum of y by x, itself differentiable: for R1 and WGAN-GP penalties.
---@param y Tensor
---@param x Tensor
---@return Tensor
function LossGraph:gradient(y, x) end
