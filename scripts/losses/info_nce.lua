---@type ekphrasis.Loss
return {
  api = 1,
  doc = "InfoNCE (van den Oord et al. 2018) in both directions, as in CLIP (Radford et al. 2021).",
  params = {
    scale = 0.0, -- inverse temperature; 0 takes the one that the scorer learns
  },
  role = "scorer",
  loss = function(g, p)
    local image, text = g.scorer:image(g:input("image")), g.scorer:text(g:input("tokens"))
    local scale = p.scale > 0 and p.scale or g.scorer:scale()
    -- Row i: picture i with every caption of the batch; its own stands on the diagonal.
    local logits = image:matmul(text:transpose()) * scale
    local own = (image * text):sum(-1) * scale
    local loss = ((logits:logsumexp(1) + logits:logsumexp(0)) * 0.5 - own):mean()
    local right = logits:argmax(1):eq(logits:range(0)):float():mean()
    return { loss = loss, accuracy = right }
  end,
}
