---The caption as a vector of length 1, from words, positions and self-attention. Padding is not seen. The
---same lines stand in dual_encoder, generator and discriminator: the parameters "text.*" are the scorer's.
local function text_encoder(g, tokens, p)
  local d, n = p.text.dim, p.text.heads
  local real = tokens:ne(p.pad):float()
  local padding = ((real - 1) * 1e9):unsqueeze(1):unsqueeze(1)
  local x = g:param("text.word", { p.vocabulary, d }, { "normal", d ^ -0.5 }):gather(tokens)
    + g:param("text.position", { p.max_length, d }, { "normal", d ^ -0.5 }):gather(tokens:range(1))
  for i = 0, p.text.layers - 1 do
    local name = "text.block." .. i
    local qkv = g:linear(g:layer_norm(x, name .. ".norm.0"), name .. ".qkv", 3 * d)
    local q, k, v = qkv:reshape({ 0, 0, 3, n, d // n }):permute({ 2, 0, 3, 1, 4 }):chunk(3, 0)
    local scores = (q:squeeze(0) * (d // n) ^ -0.5):matmul(k:squeeze(0):transpose(-1, -2)) + padding
    local y = scores:softmax(-1):matmul(v:squeeze(0)):permute({ 0, 2, 1, 3 }):reshape({ 0, 0, d })
    x = x + g:linear(y, name .. ".out", d)
    y = g:linear(g:layer_norm(x, name .. ".norm.1"), name .. ".ff.0", 2 * d):relu()
    x = x + g:linear(y, name .. ".ff.1", d)
  end
  x = g:layer_norm(x, "text.norm")
  local mean = (x * real:unsqueeze(-1)):sum(1) / real:sum(1, true):clamp(1)
  return g:linear(mean, "text.out", p.embedding):normalize(-1)
end

---@type ekphrasis.Model
return {
  api = 1,
  doc = "Convolutions over a picture, joined late with the scorer's caption embedding.",
  params = {
    channels = 32, -- of the first convolution; the next have twice, three times, ... as many
    joint = 128, -- width where picture and caption meet
    hidden = 64, -- width of the layer before the score
    embedding = 128, -- of the scorer
    text = { dim = 96, heads = 4, layers = 1 }, -- of the scorer
  },
  build = function(m, p)
    m:graph("judge", function(g)
      local x = g:input("image", "f32", { "B", 3, p.image_size, p.image_size })
      -- Times 8 brings the entries of a vector of length 1 near 1.
      local text = text_encoder(g, g:input("tokens", "i64", { "B", "T" }), p) * 8
      -- Without batch normalisation, which would let the pictures of a batch see each other.
      local size, layer = p.image_size, 1
      while size >= 8 do
        local out = p.channels * layer
        x = g:conv(x, "cnn." .. layer, { out = out, kernel = 4, stride = 2, pad = 1 }):leaky_relu(0.2)
        size, layer = size // 2, layer + 1
      end
      -- The caption joins at each place (Reed et al. 2016). A 1x1 convolution over both is the sum of one over
      -- the picture and a layer over the caption, so a second caption costs no second pass over the picture.
      local caption = g:linear(text, "joint.caption.0", 64):leaky_relu(0.2)
      caption = g:linear(caption, "joint.caption.1", p.joint, { bias = false }):reshape({ 0, p.joint, 1, 1 })
      local joint = (g:conv(x, "joint.image", { out = p.joint, kernel = 1 }) + caption):leaky_relu(0.2)
      local score = g:linear(joint:flatten(1), "score.0", p.hidden):leaky_relu(0.2)
      score = g:linear(score, "score.1", 1):squeeze(1)
      -- A bilinear term binds words to places (projection discriminator, Miyato and Koyama 2018).
      local seen = g:linear(x:flatten(1), "match.image", p.joint)
      local said = g:linear(text, "match.caption", p.joint)
      g:output("score", score + (seen * said):sum(1) * p.joint ^ -0.5)
    end)
  end,
}
