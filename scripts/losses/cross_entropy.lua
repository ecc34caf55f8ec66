---@type ekphrasis.Loss
return {
  api = 1,
  doc = "Cross entropy of each word of a caption given those before it, with label smoothing.",
  params = {
    smoothing = 0.0, -- share of the target spread over all words (Szegedy et al. 2016)
  },
  role = "captioner",
  loss = function(g, p)
    local tokens = g:input("tokens")
    local log_probs = g.captioner:decode(tokens, g.captioner:encode(g:input("image"))):log_softmax(-1)
    local word = log_probs:take_along(tokens:unsqueeze(-1), -1):squeeze(-1)
    if p.smoothing > 0 then
      word = word * (1 - p.smoothing) + log_probs:mean(-1) * p.smoothing
    end
    local mask = g:mask(tokens)
    return -(word * mask):sum() / mask:sum()
  end,
}
