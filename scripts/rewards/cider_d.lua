---@type ekphrasis.Reward
return {
  api = 1,
  doc = "CIDEr-D (Vedantam et al. 2015) against the picture's captions, with the end counted as a word.",
  score = function(batch)
    return batch:cider_d()
  end,
}
