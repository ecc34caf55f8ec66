---@type ekphrasis.Loss
return {
  api = 1,
  doc = "REINFORCE (Williams 1992) on sampled captions; with a greedy baseline, self-critical (Rennie et al. 2017).",
  params = {
    entropy = 0.0, -- weight of the entropy of the next word, which keeps captions diverse
  },
  role = "captioner",
  loss = function(g, p)
    local tokens = g:input("sampled")
    local memory = { g.captioner:encode(g:input("image")) }
    if g.samples > 1 then
      for i, m in ipairs(memory) do
        memory[i] = m:repeat_interleave(g.samples, 0)
      end
    end
    -- The policy never writes some tokens, so its probabilities leave them out as well.
    local log_probs = g:legal(g.captioner:decode(tokens, table.unpack(memory))):log_softmax(-1)
    local chosen = log_probs:take_along(tokens:unsqueeze(-1), -1):squeeze(-1)
    local mask = g:mask(tokens)
    local words = mask:sum()
    local entropy = -((log_probs:exp() * log_probs):sum(-1) * mask):sum() / words
    local loss = -(g:input("advantage"):unsqueeze(1) * chosen * mask):sum() / words
    if p.entropy > 0 then
      loss = loss - p.entropy * entropy
    end
    return { loss = loss, entropy = entropy }
  end,
}
