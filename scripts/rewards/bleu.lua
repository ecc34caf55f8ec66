---@type ekphrasis.Reward
return {
  api = 1,
  doc = "BLEU (Papineni et al. 2002) of each caption alone, up to n-grams of n words.",
  params = { n = 4 },
  score = function(batch, p)
    return batch:bleu(p.n)
  end,
}
