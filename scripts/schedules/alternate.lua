---@type ekphrasis.Schedule
return {
  api = 1,
  doc = "Captioner, scorer and GAN one after the other; then GAN and captioner in turn, each helping the other.",
  params = {
    rounds = 2,                                  -- turns of GAN and captioner at the end
    splits = { "val", "test", "compositional" }, -- those that the data have are evaluated
    gan_split = "val",
  },
  run = function(host, p)
    local splits = host:splits(p.splits)

    -- Cross entropy first: reinforcement that starts too early buys CIDEr-D with truth.
    host:train("cross_entropy")
    host:evaluate("cross_entropy", splits)
    host:train("scorer")
    host:train("gan")

    -- Each turn, the GAN sees captions that the captioner wrote, and the captioner is rewarded for
    -- captions of pictures that the GAN painted, beside real ones.
    for _ = 1, p.rounds do
      host:train("gan_turn")
      host:train("policy_gradient")
    end
    host:evaluate("policy_gradient", splits)
    host:evaluate_gan(p.gan_split)
    host:samples("final")
  end,
}
