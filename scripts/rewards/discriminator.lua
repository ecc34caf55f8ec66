---@type ekphrasis.Reward
return {
  api = 1,
  doc = "Probability that the discriminator takes picture and caption for a real pair (Dai et al. 2017).",
  score = function(batch)
    local image = batch:image():gather(batch:image_index())
    return batch.discriminator:judge(image, batch:tokens()):sigmoid()
  end,
}
