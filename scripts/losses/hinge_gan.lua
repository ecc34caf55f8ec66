---Steps between two penalties, which cost a second derivative (lazy regularisation, Karras et al. 2020).
local EVERY = 16

---@type ekphrasis.Loss
return {
  api = 1,
  doc = "Matching-aware GAN (Reed et al. 2016) with the hinge loss (Lim and Ye 2017) and the R1 penalty.",
  params = {
    mismatch = 0.5, -- share of real pictures with a wrong caption among what should be refused
    r1 = 1.0, -- weight of the penalty
  },
  updates = {
    {
      role = "discriminator",
      name = "discriminator",
      loss = function(g, p)
        local image, tokens = g:input("image"), g:input("tokens")
        -- The statistics of the batch, as in the generator's own update: what is judged is the same.
        local painted = g.generator:train():generate(g:input("noise"), tokens):detach()
        local real = g.discriminator:judge(image, tokens)
        local generated = g.discriminator:judge(painted, tokens)
        -- Each picture with the caption of the one before it.
        local mismatched = g.discriminator:judge(image, tokens:roll(1, 0))
        return {
          loss = (1 - real):relu():mean()
            + (1 - p.mismatch) * (1 + generated):relu():mean()
            + p.mismatch * (1 + mismatched):relu():mean(),
          real = real:mean(),
          generated = generated:mean(),
          mismatched = mismatched:mean(),
        }
      end,
    },
    {
      -- Half the squared gradient of the score at real pictures (Mescheder et al. 2018).
      role = "discriminator",
      name = "r1",
      every = EVERY,
      loss = function(g, p)
        local image = g:input("image")
        local slope = g:gradient(g.discriminator:judge(image, g:input("tokens")), image)
        local penalty = slope:square():sum({ 1, 2, 3 }):mean()
        return { loss = 0.5 * p.r1 * EVERY * penalty, penalty = penalty }
      end,
    },
    {
      role = "generator",
      name = "generator",
      loss = function(g)
        local tokens = g:input("tokens")
        return -g.discriminator:judge(g.generator:generate(g:input("noise"), tokens), tokens):mean()
      end,
    },
  },
}
