---@type ekphrasis.Study
return {
  api = 1,
  doc = "Which reward pays? CIDEr-D, BLEU and a mix, compared after the same short training.",
  params = {
    config = "configs/quickstart.toml",
    seeds = { 0, 1 },
    -- A fraction of a full run; each horizon is what its phase trains in all, so that learning rates still fall.
    set = {
      ["phases.cross_entropy.steps"] = 300,
      ["phases.scorer.steps"] = 200,
      ["phases.gan.steps"] = 100,
      ["phases.gan.horizon"] = 100,
      ["phases.gan_turn.steps"] = 10,
      ["phases.policy_gradient.steps"] = 30,
      ["phases.policy_gradient.horizon"] = 60,
    },
    mix = { cider_d = 1.0, similarity = 0.5 },
  },
  study = function(host, p)
    local reward = "phases.policy_gradient.rollout.reward"
    local mix = { script = "mix", params = { weights = p.mix } }
    local results = host:trials {
      config = p.config,
      set = p.set,
      vary = {
        reward = {
          cider_d = { [reward] = "cider_d" },
          bleu = { [reward] = "bleu" },
          mix = { [reward] = mix },
        },
      },
      seeds = p.seeds,
    }

    host:table {
      results,
      metrics = {
        "captioner.policy_gradient.val.cider_d",
        "captioner.policy_gradient.val.bleu_4",
        "captioner.policy_gradient.val.truth",
      },
      baseline = "cider_d",
    }
  end,
}
