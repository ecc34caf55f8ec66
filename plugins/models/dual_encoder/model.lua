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

---Convolutions with stride 2 down to a map of 4 to 7 places a side, then two layers that see all of it.
local function image_encoder(g, image, p)
  local x, size, layer = image, p.image_size, 0
  while size >= 8 do
    local last = size // 2 < 8
    local channels = last and p.image.dim or math.min(p.image.dim, p.image.channels << layer)
    local name = "image.cnn." .. layer
    x = g:conv(x, name, { out = channels, kernel = 4, stride = 2, pad = 1, bias = false })
    x = g:batch_norm(x, name .. ".norm"):relu()
    size, layer = size // 2, layer + 1
  end
  x = g:linear(x:flatten(1), "image.out.0", p.image.hidden):relu()
  return g:linear(x, "image.out.1", p.embedding):normalize(-1)
end

---@type ekphrasis.Model
return {
  api = 1,
  doc = "A convolutional network for pictures and a small Transformer for captions, into one space.",
  params = {
    embedding = 128, -- width of the space
    image = { dim = 96, channels = 32, hidden = 256 }, -- last and first convolution, layer before the space
    text = { dim = 96, heads = 4, layers = 1 }, -- the same in generator and discriminator
  },
  build = function(m, p)
    m:graph("image", function(g)
      g:output("embedding", image_encoder(g, g:input("image", "f32", { "B", 3, p.image_size, p.image_size }), p))
    end)
    m:graph("text", function(g)
      g:output("embedding", text_encoder(g, g:input("tokens", "i64", { "B", "T" }), p))
    end)
    -- The learned inverse temperature of CLIP (Radford et al. 2021), at most 100.
    m:graph("scale", function(g)
      g:output("scale", g:param("log_scale", {}, 2.7):clamp(nil, 4.6):exp())
    end)
  end,
}
