---@type ekphrasis.Reward
return {
  api = 1,
  doc = "Cosine between picture and caption in the scorer's space, as CLIPScore (Hessel et al. 2021) has it.",
  score = function(batch)
    local image = batch.scorer:image(batch:image()):normalize(-1)
    local text = batch.scorer:text(batch:tokens()):normalize(-1)
    return (image:gather(batch:image_index()) * text):sum(-1)
  end,
}
