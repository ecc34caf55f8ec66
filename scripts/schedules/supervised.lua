---@type ekphrasis.Schedule
return {
  api = 1,
  doc = "Cross entropy alone: the control for what reinforcement adds in the same time.",
  params = { splits = { "val", "test", "compositional" } },
  run = function(host, p)
    local splits = {}
    for _, split in ipairs(p.splits) do
      if host:has_split(split) then
        splits[#splits + 1] = split
      end
    end
    host:train("cross_entropy")
    host:evaluate("cross_entropy", splits)
  end,
}
