---@meta
-- Generated from the tables in the host; edits here are lost.

---A tensor: real numbers, or a value of a graph under construction. Axes count from 0; negative ones from the end.
---@class Tensor
---@operator len: integer
---@operator add(Tensor|number): Tensor
---@operator sub(Tensor|number): Tensor
---@operator mul(Tensor|number): Tensor
---@operator div(Tensor|number): Tensor
---@operator pow(Tensor|number): Tensor
---@operator unm: Tensor
local Tensor = {}

---Sizes; a size not known yet is a symbol such as "B".
---@return (integer|string)[]
function Tensor:shape() end

---The size along one axis.
---@param axis integer
---@return integer|string
function Tensor:size(axis) end

---Number of axes.
---@return integer
function Tensor:rank() end

---Element type: f32, i64, bool.
---@return string
function Tensor:dtype() end

---The only element, as a Lua number.
---@return number|integer|boolean
function Tensor:item() end

---The elements as nested lists.
---@return any
function Tensor:tolist() end

---Sum; also `a + b`.
---@param other Tensor|number
---@return Tensor
function Tensor:add(other) end

---Difference; also `a - b`.
---@param other Tensor|number
---@return Tensor
function Tensor:sub(other) end

---Elementwise product; also `a * b`.
---@param other Tensor|number
---@return Tensor
function Tensor:mul(other) end

---Quotient, in floats; also `a / b`.
---@param other Tensor|number
---@return Tensor
function Tensor:div(other) end

---Power; also `a ^ b`.
---@param other Tensor|number
---@return Tensor
function Tensor:pow(other) end

---Negation; also `-a`.
---@return Tensor
function Tensor:neg() end

---e to the power of each element.
---@return Tensor
function Tensor:exp() end

---Natural logarithm.
---@return Tensor
function Tensor:log() end

---Square root.
---@return Tensor
function Tensor:sqrt() end

---Sine.
---@return Tensor
function Tensor:sin() end

---Cosine.
---@return Tensor
function Tensor:cos() end

---Hyperbolic tangent.
---@return Tensor
function Tensor:tanh() end

---1 / (1 + exp(-x)).
---@return Tensor
function Tensor:sigmoid() end

---The larger of x and 0.
---@return Tensor
function Tensor:relu() end

---x where positive, else slope (0.01) times x.
---@param slope? number
---@return Tensor
function Tensor:leaky_relu(slope) end

---x times the normal distribution function of x.
---@return Tensor
function Tensor:gelu() end

---x where positive, else exp(x) - 1.
---@return Tensor
function Tensor:elu() end

---log(1 + exp(x)).
---@return Tensor
function Tensor:softplus() end

---The error function.
---@return Tensor
function Tensor:erf() end

---Absolute value.
---@return Tensor
function Tensor:abs() end

----1, 0 or 1.
---@return Tensor
function Tensor:sign() end

---The largest whole number below or at x.
---@return Tensor
function Tensor:floor() end

---x times x.
---@return Tensor
function Tensor:square() end

---1 / x.
---@return Tensor
function Tensor:reciprocal() end

---x, but at least min and at most max.
---@param min? number
---@param max? number
---@return Tensor
function Tensor:clamp(min, max) end

---The smaller of two, elementwise.
---@param other Tensor|number
---@return Tensor
function Tensor:minimum(other) end

---The larger of two, elementwise.
---@param other Tensor|number
---@return Tensor
function Tensor:maximum(other) end

---Whether equal, elementwise, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:eq(other) end

---Whether unequal, elementwise, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:ne(other) end

---Whether smaller than `other`, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:lt(other) end

---Whether smaller than or equal to `other`, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:le(other) end

---Whether larger than `other`, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:gt(other) end

---Whether larger than or equal to `other`, as bool.
---@param other Tensor|number
---@return Tensor
function Tensor:ge(other) end

---Whether both are true.
---@param other Tensor
---@return Tensor
function Tensor:logical_and(other) end

---Whether one is true.
---@param other Tensor
---@return Tensor
function Tensor:logical_or(other) end

---Whether it is false.
---@return Tensor
function Tensor:logical_not() end

---On a bool tensor: a where true, b where false.
---@param a Tensor|number
---@param b Tensor|number
---@return Tensor
function Tensor:where(a, b) end

---Conversion to f32, f64, i64, i32 or bool.
---@param dtype string
---@return Tensor
function Tensor:cast(dtype) end

---Conversion to f32.
---@return Tensor
function Tensor:float() end

---Conversion to i64.
---@return Tensor
function Tensor:long() end

---Conversion to bool: whether not zero.
---@return Tensor
function Tensor:bool() end

---The same numbers, through which no gradient flows.
---@return Tensor
function Tensor:detach() end

---Sum over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:sum(axes, keepdim) end

---Mean over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:mean(axes, keepdim) end

---Largest element over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:max(axes, keepdim) end

---Smallest element over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:min(axes, keepdim) end

---Product over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:prod(axes, keepdim) end

---Square root of the sum of squares over axes (all when left out).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:norm(axes, keepdim) end

---log of the sum of exp over axes, without overflow.
---@param axes? integer|integer[]
---@param keepdim? boolean
---@return Tensor
function Tensor:logsumexp(axes, keepdim) end

---Variance over axes: squares summed, divided by the count less `correction` (1).
---@param axes? integer|integer[]
---@param keepdim? boolean
---@param correction? number
---@return Tensor
function Tensor:var(axes, keepdim, correction) end

---Position of the largest element along an axis (the last), i64.
---@param axis? integer
---@param keepdim? boolean
---@return Tensor
function Tensor:argmax(axis, keepdim) end

---Position of the smallest element along an axis (the last), i64.
---@param axis? integer
---@param keepdim? boolean
---@return Tensor
function Tensor:argmin(axis, keepdim) end

---exp(x) over its sum along an axis (the last).
---@param axis? integer
---@return Tensor
function Tensor:softmax(axis) end

---Logarithm of softmax along an axis (the last).
---@param axis? integer
---@return Tensor
function Tensor:log_softmax(axis) end

---Running sum along an axis (the last).
---@param axis? integer
---@return Tensor
function Tensor:cumsum(axis) end

---x / max(norm, 1e-12) along an axis (the last).
---@param axis? integer
---@return Tensor
function Tensor:normalize(axis) end

---The same elements in another shape: whole numbers, symbols such as "B", one -1 for what is left, 0 for the size that stands there now.
---@param sizes (integer|string)[]
---@return Tensor
function Tensor:reshape(sizes) end

---Axes start (0) to stop (-1) as one.
---@param start? integer
---@param stop? integer
---@return Tensor
function Tensor:flatten(start, stop) end

---Swaps two axes (the last two).
---@param a? integer
---@param b? integer
---@return Tensor
function Tensor:transpose(a, b) end

---Axes in another order.
---@param axes integer[]
---@return Tensor
function Tensor:permute(axes) end

---A new axis of size 1.
---@param axis integer
---@return Tensor
function Tensor:unsqueeze(axis) end

---Drops an axis of size 1.
---@param axis integer
---@return Tensor
function Tensor:squeeze(axis) end

---Repeats axes of size 1 to the given sizes; -1 keeps a size.
---@param sizes (integer|string)[]
---@return Tensor
function Tensor:expand(sizes) end

---Repeats axes of size 1 to the shape of `other`.
---@param other Tensor
---@return Tensor
function Tensor:expand_as(other) end

---Each element along an axis (0) n times, side by side.
---@param n integer
---@param axis? integer
---@return Tensor
function Tensor:repeat_interleave(n, axis) end

---The whole tensor several times along each axis.
---@param times integer[]
---@return Tensor
function Tensor:tile(times) end

---Elements added: all befores, then all afters, one an axis; mode "constant", "edge" or "reflect".
---@param pads integer[]
---@param mode? string
---@param value? number
---@return Tensor
function Tensor:pad(pads, mode, value) end

---The upper triangle from diagonal k (0); zero below.
---@param k? integer
---@return Tensor
function Tensor:triu(k) end

---The lower triangle to diagonal k (0); zero above.
---@param k? integer
---@return Tensor
function Tensor:tril(k) end

---Zeros of this shape and type.
---@return Tensor
function Tensor:zeros_like() end

---Ones of this shape and type.
---@return Tensor
function Tensor:ones_like() end

---One number in this shape and type.
---@param value number
---@return Tensor
function Tensor:full_like(value) end

---0, 1, ... up to the size along an axis, i64.
---@param axis integer
---@return Tensor
function Tensor:range(axis) end

---The size along an axis as an i64 scalar, known when the graph runs.
---@param axis integer
---@return Tensor
function Tensor:size_tensor(axis) end

---f32 with a last axis of `depth`: 1 at the index, else 0.
---@param depth integer
---@return Tensor
function Tensor:one_hot(depth) end

---Elements start to before stop along an axis, counted from 0; negative counts from the end.
---@param axis integer
---@param start integer
---@param stop? integer
---@param step? integer
---@return Tensor
function Tensor:slice(axis, start, stop, step) end

---One position along an axis, which goes.
---@param axis integer
---@param index integer
---@return Tensor
function Tensor:select(axis, index) end

---Parts of the given sizes along an axis (0); one number is the size of each part.
---@param sizes integer|integer[]
---@param axis? integer
---@return Tensor ...
function Tensor:split(sizes, axis) end

---n parts of equal size along an axis (0).
---@param n integer
---@param axis? integer
---@return Tensor ...
function Tensor:chunk(n, axis) end

---Moves elements along an axis (0), round the end.
---@param shift integer
---@param axis? integer
---@return Tensor
function Tensor:roll(shift, axis) end

---The other way round along an axis.
---@param axis integer
---@return Tensor
function Tensor:flip(axis) end

---Whole slices along an axis (0) by index, as an embedding does; PyTorch's index_select.
---@param indices Tensor
---@param axis? integer
---@return Tensor
function Tensor:gather(indices, axis) end

---One element for each index along an axis (the last); PyTorch's gather.
---@param indices Tensor
---@param axis? integer
---@return Tensor
function Tensor:take_along(indices, axis) end

---Matrix product over the last two axes; leading axes broadcast.
---@param other Tensor
---@return Tensor
function Tensor:matmul(other) end

---x @ weight + bias, with the weight as [in, out].
---@param weight Tensor
---@param bias? Tensor
---@return Tensor
function Tensor:linear(weight, bias) end

---Convolution of [N, C, ...] with a weight [out, C / groups, ...].
---@param weight Tensor
---@param options? { bias?: Tensor, stride?: integer|integer[], pad?: integer|integer[], dilation?: integer|integer[], groups?: integer }
---@return Tensor
function Tensor:conv(weight, options) end

---Transposed convolution of [N, C, ...] with a weight [C, out / groups, ...].
---@param weight Tensor
---@param options? { bias?: Tensor, stride?: integer|integer[], pad?: integer|integer[], output_pad?: integer|integer[], dilation?: integer|integer[], groups?: integer }
---@return Tensor
function Tensor:conv_transpose(weight, options) end

---Batch normalisation over all axes but 1, with given statistics; in a model that trains, the host replaces them by those of the batch.
---@param scale Tensor
---@param bias Tensor
---@param mean Tensor
---@param var Tensor
---@param options? { eps?: number, momentum?: number }
---@return Tensor
function Tensor:batch_norm(scale, bias, mean, var, options) end

---Layer normalisation over the last axis.
---@param scale Tensor
---@param bias Tensor
---@param eps? number
---@return Tensor
function Tensor:layer_norm(scale, bias, eps) end

---Largest element of each window; the stride is the kernel unless given.
---@param kernel integer|integer[]
---@param options? { stride?: integer|integer[], pad?: integer|integer[] }
---@return Tensor
function Tensor:max_pool(kernel, options) end

---Mean of each window, padding counted in; the stride is the kernel unless given.
---@param kernel integer|integer[]
---@param options? { stride?: integer|integer[], pad?: integer|integer[] }
---@return Tensor
function Tensor:avg_pool(kernel, options) end

---Mean over all axes after the second, which become 1.
---@return Tensor
function Tensor:global_avg_pool() end

---Each element `factor` times along the axes after the second.
---@param factor integer
---@return Tensor
function Tensor:upsample(factor) end

---Makes and joins tensors.
---@class tensorlib
tensor = {}

---Joins along an axis (0).
---@param tensors Tensor[]
---@param axis? integer
---@return Tensor
function tensor.concat(tensors, axis) end

---Joins along a new axis (0).
---@param tensors Tensor[]
---@param axis? integer
---@return Tensor
function tensor.stack(tensors, axis) end

---Zeros, f32 unless said.
---@param sizes integer[]
---@param dtype? string
---@return Tensor
function tensor.zeros(sizes, dtype) end

---Ones, f32 unless said.
---@param sizes integer[]
---@param dtype? string
---@return Tensor
function tensor.ones(sizes, dtype) end

---One number everywhere, f32 unless said.
---@param sizes integer[]
---@param value number
---@param dtype? string
---@return Tensor
function tensor.full(sizes, value, dtype) end

---0, 1, ... n - 1, i64.
---@param n integer
---@return Tensor
function tensor.arange(n) end

---A number or nested lists of numbers or booleans; i64 if all are whole and written so, else f32.
---@param list any
---@param dtype? string
---@return Tensor
function tensor.from(list, dtype) end
