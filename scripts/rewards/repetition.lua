---Share of the n-grams of `words` that differ from each one before; 1 when there is no n-gram.
local function distinct_share(words, n)
  local total = #words - n + 1
  if total < 1 then return 1.0 end
  local seen, distinct = {}, 0
  for first = 1, total do
    local ngram = table.concat(words, " ", first, first + n - 1)
    if not seen[ngram] then
      seen[ngram] = true
      distinct = distinct + 1
    end
  end
  return distinct / total
end

---@type ekphrasis.Reward
return {
  api = 1,
  doc = "Minus the share of repeated n-grams in a caption.",
  params = { n = 3, weight = 1.0 },
  score = function(batch, p)
    local n = math.tointeger(p.n)
    if not n or n < 1 then
      error("n: expected a whole number of at least 1, found " .. tostring(p.n))
    end
    local scores = {}
    for i = 1, #batch do
      scores[i] = p.weight * (distinct_share(batch:words(i), n) - 1.0)
    end
    return scores
  end,
}
