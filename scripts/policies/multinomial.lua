---@type ekphrasis.Policy
return {
  api = 1,
  doc = "A word by its probability, at a temperature: below 1 bolder, above 1 more even.",
  params = { temperature = 1.0 },
  sample = function(logits, _, noise, p)
    if p.temperature <= 0 then
      error(("temperature: expected more than 0, found %g"):format(p.temperature))
    end
    -- The inverse of the distribution function: how many words lie wholly at or below the uniform number.
    local cdf = (logits / p.temperature):softmax(-1):cumsum(-1)
    local at = noise * cdf:slice(-1, -1)
    -- Rounding may bring `at` to the very end.
    return cdf:le(at):long():sum(-1):clamp(0, logits:size(-1) - 1)
  end,
}
