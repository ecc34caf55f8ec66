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
  doc = "Transposed convolutions from noise and the scorer's caption embedding to a picture.",
  params = {
    noise = 32, -- width of the noise
    condition = 128, -- width of the caption beside it
    channels = { 128, 64, 48, 24 }, -- of each map from the smallest; larger pictures repeat the first
    embedding = 128, -- of the scorer
    text = { dim = 96, heads = 4, layers = 1 }, -- of the scorer
  },
  build = function(m, p)
    local size, doublings = p.image_size, 0
    while size >= 8 and size % 2 == 0 do
      size, doublings = size // 2, doublings + 1
    end
    if size >= 8 then
      error(("image_size: expected 4 to 7 times a power of two, found %d"):format(p.image_size))
    end
    -- Channels of the map after i doublings, counted from the last.
    local function channels(i)
      return p.channels[math.max(1, #p.channels - doublings + i)]
    end

    m:graph("generate", function(g)
      local noise = g:input("noise", "f32", { "B", p.noise })
      -- Times 8 brings the entries of a vector of length 1 near 1.
      local text = text_encoder(g, g:input("tokens", "i64", { "B", "T" }), p) * 8
      local condition = g:linear(text, "condition", p.condition):leaky_relu(0.2)
      local x = g:linear(tensor.concat({ condition, noise }, 1), "base", channels(0) * size * size)
      x = g:batch_norm(x:reshape({ 0, channels(0), size, size }), "base.norm"):relu()
      for i = 1, doublings do
        local name = "up." .. i
        x = g:conv_transpose(x, name, { out = channels(i), kernel = 4, stride = 2, pad = 1, bias = false })
        x = g:batch_norm(x, name .. ".norm"):relu()
      end
      g:output("image", g:conv(x, "out", { out = 3, kernel = 3, pad = 1 }):tanh())
    end)
  end,
}
