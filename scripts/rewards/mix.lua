---@type ekphrasis.Reward
return {
  api = 1,
  doc = "A weighted sum of other rewards, each of which is logged.",
  params = {
    weights = {}, -- { cider_d = 1.0, similarity = 0.5 }: any reward by name
    settings = {}, -- { bleu = { n = 2 } }: parameters of single rewards
  },
  score = function(batch, p)
    local names = {}
    for name in pairs(p.weights) do
      names[#names + 1] = name
    end
    if #names == 0 then
      error("weights: expected at least one reward, as { cider_d = 1.0 }")
    end
    -- In a fixed order, because sums of floats depend on it.
    table.sort(names)
    local total, components = 0, {}
    for _, name in ipairs(names) do
      local weight = p.weights[name]
      if type(weight) ~= "number" then
        error(("weights.%s: expected a number, found %s"):format(name, tostring(weight)))
      end
      local value = batch:reward(name, p.settings[name])
      total = total + weight * value
      components[name] = { value = value, weight = weight }
    end
    return total, components
  end,
}
