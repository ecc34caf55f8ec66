---@type ekphrasis.Policy
return {
  api = 1,
  doc = "The most probable word.",
  sample = function(logits)
    return logits:argmax(-1)
  end,
}
