---@meta
-- Generated from the tables in the host; edits here are lost.

---Sampled captions with their pictures and references, in a reward script.
---@class RewardBatch
---@field pad integer Token that fills up.
---@field eos integer Token that ends; words have higher numbers.
---@field captioner ModelHandle The captioner: calling its graphs runs them with the current weights.
---@field generator ModelHandle The generator: calling its graphs runs them with the current weights.
---@field discriminator ModelHandle The discriminator: calling its graphs runs them with the current weights.
---@field scorer ModelHandle The scorer: calling its graphs runs them with the current weights.
---@operator len: integer
local RewardBatch = {}

---Captions for each picture.
---@return integer
function RewardBatch:samples() end

---Training step, from 0.
---@return integer
function RewardBatch:step() end

---i64[N, T]: the captions as token ids: words, end, padding.
---@return Tensor
function RewardBatch:tokens() end

---f32[B, 3, H, W] in [-1, 1]: the pictures.
---@return Tensor
function RewardBatch:image() end

---i64[N]: row of `image()` that each caption is about, from 0.
---@return Tensor
function RewardBatch:image_index() end

---The words of caption i, from 1.
---@param i integer
---@return string[]
function RewardBatch:words(i) end

---Caption i as text, from 1.
---@param i integer
---@return string
function RewardBatch:caption(i) end

---The references of caption i.
---@param i integer
---@return string[]
function RewardBatch:references(i) end

---f32[N]: CIDEr-D (0 to 10), the end counted as a word, document frequencies from the training references.
---@return Tensor
function RewardBatch:cider_d() end

---f32[N]: BLEU-n of each caption alone, BLEU-4 unless n is given.
---@param n? integer
---@return Tensor
function RewardBatch:bleu(n) end

---f32[N]: ROUGE-L of each caption.
---@return Tensor
function RewardBatch:rouge_l() end

---f32[N]: 1 for each caption with this flaw, 0 for the others: `repeated_words`, `repeated_bigrams`, `repeated_trigrams`, `no_eos`, `truncated` (ends in a word such as "a" or "on") or `empty`.
---@param name string
---@return Tensor
function RewardBatch:flaw(name) end

---f32[N]: METEOR 1.5 (0 to 1) of each caption. Its data are fetched at the first use (104 MB, once), or taken from EKPHRASIS_METEOR.
---@return Tensor
function RewardBatch:meteor() end

---f32[n, Z]: standard normal noise for the generator, the same for the same step.
---@param n integer
---@return Tensor
function RewardBatch:noise(n) end

---f32[N]: another reward, a script or a compiled plugin, by name.
---@param name string
---@param params? table
---@return Tensor
function RewardBatch:reward(name, params) end

---f32[N]: the reward `similarity`.
---@return Tensor
function RewardBatch:similarity() end
