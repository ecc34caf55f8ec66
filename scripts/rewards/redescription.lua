---@type ekphrasis.Reward
return {
  api = 1,
  doc = "Cosine between the picture and the one painted from its caption (MirrorGAN, Qiao et al. 2019, reversed).",
  score = function(batch)
    local painted = batch.generator:generate(batch:noise(#batch), batch:tokens())
    local again = batch.scorer:image(painted):normalize(-1)
    local image = batch.scorer:image(batch:image()):normalize(-1)
    return (image:gather(batch:image_index()) * again):sum(-1)
  end,
}
