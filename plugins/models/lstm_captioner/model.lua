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

---What the decoder looks at: places, and the keys by which it finds them (transposed, ready for a product).
local function memories(g, p)
  local size = p.image_size
  while size >= 8 do
    size = size // 2
  end
  return {
    places = g:input("memory.places", "f32", { "B", size * size, p.dim }),
    keys = g:input("memory.keys", "f32", { "B", p.dim, size * size }),
  }
end

---Word embeddings as they enter the four gates: one product for all positions.
local function word_gates(g, tokens, p)
  local words = g:param("word.embedding", { p.vocabulary, p.dim }, { "normal", p.dim ^ -0.5 }):gather(tokens)
  return g:linear(words, "lstm.word", 4 * p.hidden)
end

---One position: the state asks the places (soft attention, Xu et al. 2015, with the dot product of Luong
---et al. 2015), and what they answer enters the LSTM with the word.
local function cell(g, word, h, c, memory, p)
  local query = g:linear(h, "attention.query", p.dim, { bias = false }) * p.dim ^ -0.5
  local weights = query:unsqueeze(1):matmul(memory.keys):softmax(-1)
  local seen = weights:matmul(memory.places):squeeze(1)
  local gates = word + g:linear(tensor.concat({ seen, h }, 1), "lstm.state", 4 * p.hidden, { bias = false })
  local open, cell_in = gates:split({ 3 * p.hidden, p.hidden }, 1)
  local input, forget, output = open:sigmoid():chunk(3, 1)
  c = forget * c + input * cell_in:tanh()
  return output * c:tanh(), c
end

local function logits(g, h, p)
  return g:linear(h, "out", p.vocabulary)
end

---@type ekphrasis.Model
return {
  api = 1,
  doc = "A small convolutional network and an LSTM that attends to its places before each word.",
  params = {
    dim = 128, -- width of places and word embeddings
    hidden = 256, -- width of the LSTM
    channels = 32, -- of the first convolution; they double with each
  },
  build = function(m, p)
    m:graph("encode", function(g)
      local x = places(g, g:input("image", "f32", { "B", 3, p.image_size, p.image_size }), p)
      g:output("memory.places", x)
      g:output("memory.keys", g:linear(x, "attention.key", p.dim, { bias = false }):transpose(1, 2))
    end)

    -- Unrolled, because a graph without loops differentiates and runs on any provider.
    m:graph("decode", function(g)
      local tokens = g:input("tokens", "i64", { "B", p.max_length })
      local memory = memories(g, p)
      -- Each word is predicted from those before it.
      local before = tensor.concat({ tokens:slice(1, 0, 1):full_like(p.bos), tokens:slice(1, 0, -1) }, 1)
      local words = { word_gates(g, before, p):chunk(p.max_length, 1) }
      local h = words[1]:squeeze(1):slice(1, 0, p.hidden):zeros_like()
      local c, states = h, {}
      for t = 1, p.max_length do
        h, c = cell(g, words[t]:squeeze(1), h, c, memory, p)
        states[t] = h
      end
      g:output("logits", logits(g, tensor.stack(states, 1), p))
    end)

    m:graph("step", function(g)
      local token = g:input("token", "i64", { "B" })
      local h = g:input("state.h", "f32", { "B", p.hidden })
      local c = g:input("state.c", "f32", { "B", p.hidden })
      h, c = cell(g, word_gates(g, token, p), h, c, memories(g, p), p)
      g:output("logits", logits(g, h, p))
      g:output("next.h", h)
      g:output("next.c", c)
    end)
  end,
}
