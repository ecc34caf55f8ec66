---@type ekphrasis.Schedule
return {
  api = 1,
  doc = "Cross entropy alone: the control for what reinforcement adds in the same time.",
  params = { splits = { "val", "test", "compositional" } },
  run = function(host, p)
    local splits = host:splits(p.splits)
    host:train("cross_entropy")
    host:evaluate("cross_entropy", splits)
  end,
}
