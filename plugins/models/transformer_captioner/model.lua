---Convolutions with stride 2 down to a map of 4 to 7 places a side: [B, 3, S, S] to [B, places, dim].
local function places(g, image, p)
  local x, size, layer = image, p.image_size, 0
  while size >= 8 do
    local last = size // 2 < 8
    local channels = last and p.dim or math.min(p.dim, p.channels << layer)
    local name = "cnn." .. layer
    x = g:conv(x, name, { out = channels, kernel = 4, stride = 2, pad = 1, bias = false })
    x = g:batch_norm(x, name .. ".norm"):relu()
    size, layer = size // 2, layer + 1
  end
  x = x:flatten(2):transpose(1, 2)
  -- Attention is blind to order, so each place gets a vector that says where it is.
  x = x + g:param("place.position", { size * size, p.dim }, { "normal", 0.02 })
  local y = g:layer_norm(x, "place.norm")
  y = g:linear(g:linear(y, "place.mix.0", p.dim):relu(), "place.mix.1", p.dim)
  return x + y
end

---[B, T, n * dim] to n tensors [B, heads, T, dim / heads].
local function heads(x, n, p)
  x = x:reshape({ 0, 0, n, p.heads, p.dim // p.heads }):permute({ 2, 0, 3, 1, 4 })
  local parts = { x:chunk(n, 0) }
  for i = 1, n do
    parts[i] = parts[i]:squeeze(0)
  end
  return table.unpack(parts)
end

---Scaled dot-product attention (Vaswani et al. 2017); `mask` is added to the scores.
local function attend(g, q, k, v, name, p, mask)
  local scores = (q * (p.dim // p.heads) ^ -0.5):matmul(k:transpose(-1, -2))
  if mask then
    scores = scores + mask
  end
  local y = scores:softmax(-1):matmul(v)
  return g:linear(y:permute({ 0, 2, 1, 3 }):reshape({ 0, 0, p.dim }), name, p.dim)
end

---Layer normalisation before each part (Xiong et al. 2020), so that training needs little warm-up.
---`keys(k, v)` gives the keys and values that self-attention sees.
local function block(g, x, memory, name, p, mask, keys)
  local q, k, v = heads(g:linear(g:layer_norm(x, name .. ".norm.0"), name .. ".self.qkv", 3 * p.dim), 3, p)
  if keys then
    k, v = keys(k, v)
  end
  x = x + attend(g, q, k, v, name .. ".self.out", p, mask)
  q = heads(g:linear(g:layer_norm(x, name .. ".norm.1"), name .. ".cross.q", p.dim), 1, p)
  x = x + attend(g, q, memory.k, memory.v, name .. ".cross.out", p)
  local y = g:linear(g:layer_norm(x, name .. ".norm.2"), name .. ".ff.0", p.feedforward * p.dim):relu()
  return x + g:linear(y, name .. ".ff.1", p.dim)
end

---Keys and values of cross-attention, for each block.
local function memories(g, p)
  local size = p.image_size
  while size >= 8 do
    size = size // 2
  end
  local dims = { "B", p.heads, size * size, p.dim // p.heads }
  local all = {}
  for i = 0, p.layers - 1 do
    all[i] = { k = g:input("memory.k" .. i, "f32", dims), v = g:input("memory.v" .. i, "f32", dims) }
  end
  return all
end

local function embed(g, tokens, p)
  return g:param("word.embedding", { p.vocabulary, p.dim }, { "normal", p.dim ^ -0.5 }):gather(tokens)
end

local function position(g, index, p)
  return g:param("word.position", { p.max_length, p.dim }, { "normal", 0.02 }):gather(index)
end

local function logits(g, x, p)
  return g:linear(g:layer_norm(x, "norm"), "out", p.vocabulary)
end

---@type ekphrasis.Model
return {
  api = 1,
  doc = "A small convolutional network and a pre-norm Transformer decoder that attends to its places.",
  params = {
    dim = 128, -- width of the decoder
    heads = 4, -- of attention; they share dim
    layers = 2, -- blocks of the decoder
    feedforward = 3, -- inner width of a block, in dims
    channels = 32, -- of the first convolution; they double with each
  },
  build = function(m, p)
    if p.dim % p.heads ~= 0 then
      error(("heads: expected a divisor of dim = %d, found %d"):format(p.dim, p.heads))
    end

    m:graph("encode", function(g)
      local x = places(g, g:input("image", "f32", { "B", 3, p.image_size, p.image_size }), p)
      for i = 0, p.layers - 1 do
        local k, v = heads(g:linear(x, "block." .. i .. ".cross.kv", 2 * p.dim), 2, p)
        g:output("memory.k" .. i, k)
        g:output("memory.v" .. i, v)
      end
    end)

    m:graph("decode", function(g)
      local tokens = g:input("tokens", "i64", { "B", "T" })
      local memory = memories(g, p)
      -- Each word is predicted from those before it.
      local before = tensor.concat({ tokens:slice(1, 0, 1):full_like(p.bos), tokens:slice(1, 0, -1) }, 1)
      local at = before:range(1)
      local future = at:unsqueeze(0):gt(at:unsqueeze(1)):float() * -1e9
      local x = embed(g, before, p) + position(g, at, p)
      for i = 0, p.layers - 1 do
        x = block(g, x, memory[i], "block." .. i, p, future)
      end
      g:output("logits", logits(g, x, p))
    end)

    m:graph("step", function(g)
      local token = g:input("token", "i64", { "B" })
      local cache = {}
      local dims = { "B", p.heads, "P", p.dim // p.heads }
      for i = 0, p.layers - 1 do
        cache[i] = { k = g:input("state.k" .. i, "f32", dims), v = g:input("state.v" .. i, "f32", dims) }
      end
      local memory = memories(g, p)
      -- The positions so far say where this one is.
      local x = embed(g, token:unsqueeze(1), p) + position(g, cache[0].k:size_tensor(2), p)
      for i = 0, p.layers - 1 do
        x = block(g, x, memory[i], "block." .. i, p, nil, function(k, v)
          k, v = tensor.concat({ cache[i].k, k }, 2), tensor.concat({ cache[i].v, v }, 2)
          g:output("next.k" .. i, k)
          g:output("next.v" .. i, v)
          return k, v
        end)
      end
      g:output("logits", logits(g, x:squeeze(1), p))
    end)
  end,
}
