---@meta
-- Generated from the tables in the host; edits here are lost.

---One graph of a model under construction.
---@class GraphBuilder
local GraphBuilder = {}

---An input port; sizes are numbers or symbols such as "B".
---@param name string
---@param dtype string
---@param sizes (integer|string)[]
---@return Tensor
function GraphBuilder:input(name, dtype, sizes) end

---An output port.
---@param name string
---@param tensor Tensor
function GraphBuilder:output(name, tensor) end

---A trained parameter, f32. init: "zeros", "ones", a number, { "normal", std }, { "uniform", bound }, { "kaiming_uniform", fan_in }. One name is one parameter in all graphs.
---@param name string
---@param sizes integer[]
---@param init string|number|table
---@return Tensor
function GraphBuilder:param(name, sizes, init) end

---A running statistic, f32: kept with the model, changed by no gradient.
---@param name string
---@param sizes integer[]
---@param init string|number|table
---@return Tensor
function GraphBuilder:state(name, sizes, init) end

---x @ name.weight [in, out] + name.bias.
---@param x Tensor
---@param name string
---@param out integer
---@param options? { bias?: boolean }
---@return Tensor
function GraphBuilder:linear(x, name, out, options) end

---Convolution with name.weight and name.bias; options out, kernel, stride=1, pad=0, groups=1, bias=true.
---@param x Tensor
---@param name string
---@param options? table
---@return Tensor
function GraphBuilder:conv(x, name, options) end

---Transposed convolution; options out, kernel, stride=1, pad=0, output_pad=0, groups=1, bias=true.
---@param x Tensor
---@param name string
---@param options? table
---@return Tensor
function GraphBuilder:conv_transpose(x, name, options) end

---Batch normalisation over all axes but 1 with name.weight, name.bias and the statistics name.mean and name.var; options momentum=0.1, eps=1e-5.
---@param x Tensor
---@param name string
---@param options? table
---@return Tensor
function GraphBuilder:batch_norm(x, name, options) end

---Layer normalisation over the last axis with name.weight and name.bias; option eps=1e-5.
---@param x Tensor
---@param name string
---@param options? table
---@return Tensor
function GraphBuilder:layer_norm(x, name, options) end

---Rows of name.weight [count, dim] by token; starts normal with deviation 1 unless said.
---@param tokens Tensor
---@param name string
---@param count integer
---@param dim integer
---@param init? string|number|table
---@return Tensor
function GraphBuilder:embedding(tokens, name, count, dim, init) end

---One step of an LSTM: the new h and c. Parameters name.weight_ih, weight_hh, bias_ih, bias_hh.
---@param x Tensor
---@param h Tensor
---@param c Tensor
---@param name string
---@param hidden integer
---@return Tensor
---@return Tensor
function GraphBuilder:lstm_cell(x, h, c, name, hidden) end

---One step of a GRU: the new h. Parameters name.weight_ih, weight_hh, bias_ih, bias_hh.
---@param x Tensor
---@param h Tensor
---@param name string
---@param hidden integer
---@return Tensor
function GraphBuilder:gru_cell(x, h, name, hidden) end

---Multi-head attention of q [B, Tq, D] over k and v [B, Tk, D], each projected by name.q, .k, .v, and the result by name.out; a mask is added to the scores [B, heads, Tq, Tk].
---@param q Tensor
---@param k Tensor
---@param v Tensor
---@param name string
---@param options? { heads?: integer, causal?: boolean, mask?: Tensor }
---@return Tensor
function GraphBuilder:attention(q, k, v, name, options) end
