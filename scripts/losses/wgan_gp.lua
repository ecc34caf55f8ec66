--- Steps of the critic for each step of the generator.
local CRITIC = 5

---@type ekphrasis.Loss
return {
  api = 1,
  doc = "Wasserstein GAN with gradient penalty (Gulrajani et al. 2017), its critic conditioned on the captions.",
  params = {
    mismatch = 0.5, -- share of real pictures with a wrong caption among what should score low
    penalty = 10.0, -- weight of the penalty
  },
  updates = {
    {
      role = "discriminator",
      name = "critic",
      loss = function(g, p)
        local image, tokens = g:input("image"), g:input("tokens")
        local painted = g.generator:train():generate(g:input("noise"), tokens):detach()
        local real = g.discriminator:judge(image, tokens):mean()
        local generated = g.discriminator:judge(painted, tokens):mean()
        -- Each picture with the caption of the one before it.
        local mismatched = g.discriminator:judge(image, tokens:roll(1, 0)):mean()
        -- Somewhere between a real and a painted picture the slope should be 1.
        local share = g:input("uniform"):reshape({ -1, 1, 1, 1 })
        local between = share * image + (1 - share) * painted
        local slope = g:gradient(g.discriminator:judge(between, tokens), between)
        -- The small number keeps the root's own slope finite.
        local norm = (slope:square():sum({ 1, 2, 3 }) + 1e-12):sqrt()
        local penalty = (norm - 1):square():mean()
        local distance = real - (1 - p.mismatch) * generated - p.mismatch * mismatched
        return {
          loss = p.penalty * penalty - distance,
          distance = distance,
          penalty = penalty,
          slope = norm:mean(),
        }
      end,
    },
    {
      role = "generator",
      name = "generator",
      every = CRITIC,
      loss = function(g)
        local tokens = g:input("tokens")
        return -g.discriminator:judge(g.generator:generate(g:input("noise"), tokens), tokens):mean()
      end,
    },
  },
}
