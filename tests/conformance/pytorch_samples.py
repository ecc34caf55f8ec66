"""Writes the samples of PyTorch's operator database (OpInfo) with their derivatives: python pytorch_samples.py FOLDER.

A case holds the operator as an exported graph, its inputs in f32, its outputs, and the vector-Jacobian products of
autograd, once and twice, computed in f64: `first` with the vectors `seed`, `second` of those with the vectors `again`.
"""

import collections
import io
import itertools
import sys

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

import common

SAMPLES = 4  # of an operator, spread over all that it has
ELEMENTS = 400  # of a tensor, at most


class Sample(torch.nn.Module):
    """An operator as a function of its differentiable tensors; all other arguments are literals."""

    def __init__(self, op, sample):
        super().__init__()
        self.op, self.process = op, sample.output_process_fn_grad
        self.leaves, self.spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.places = [i for i, x in enumerate(self.leaves) if isinstance(x, torch.Tensor) and x.requires_grad]
        self.kept = None

    def inputs(self):
        return [self.leaves[i].detach().clone() for i in self.places]

    def double(self):
        real = lambda x: x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
        self.leaves = [real(x) for x in self.leaves]
        return self

    def forward(self, *inputs):
        leaves = list(self.leaves)
        for place, x in zip(self.places, inputs):
            leaves[place] = x
        first, args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        outputs = pytree.tree_leaves(self.process(self.op(first, *args, **kwargs)))
        if self.kept is None:
            fits = lambda y: isinstance(y, torch.Tensor) and y.is_floating_point() and y.requires_grad
            self.kept = [i for i, y in enumerate(outputs) if fits(y)]
        return tuple(outputs[i] for i in self.kept)


def random_like(values, generator):
    return [torch.randn(v.shape, generator=generator, dtype=torch.float32).double() for v in values]


def products(outputs, inputs, seeds, create_graph=False):
    """Vector-Jacobian products; None where an input has no part."""
    pairs = [(y, s) for y, s in zip(outputs, seeds) if y is not None and y.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    ys, seeds = zip(*pairs)
    return torch.autograd.grad(ys, inputs, seeds, create_graph=create_graph, allow_unused=True)


def case(op, sample):
    """Model and tensors of a case; raises where there is none to be had."""
    module = Sample(op.op, sample)
    # Of empty tensors the exporter divides by zero, and takes the process along.
    fits = lambda x: 0 < x.numel() <= ELEMENTS and not x.is_complex()
    if not module.places or not all(fits(x) for x in module.leaves if isinstance(x, torch.Tensor)):
        raise ValueError("no differentiable tensor, or one that is empty or large")
    singles = module.inputs()
    for x in singles:
        x.requires_grad_()
    again = [y.detach() for y in module(*singles)]
    if not again or any(not torch.equal(a, b.detach()) for a, b in zip(again, module(*singles))):
        raise ValueError("no differentiable output, or a random one")
    file = io.BytesIO()
    torch.onnx.export(
        module, tuple(x.detach().requires_grad_() for x in singles), file, dynamo=False, opset_version=18,
        input_names=[f"input_{i}" for i in range(len(singles))],
        output_names=[f"output_{i}" for i in range(len(again))])

    module.double()
    inputs = [x.detach().double().requires_grad_() for x in singles]
    outputs = module(*inputs)
    generator = torch.Generator().manual_seed(5)
    seeds = random_like(outputs, generator)
    first = products(outputs, inputs, seeds, create_graph=True)
    weights = random_like([x if g is None else g for x, g in zip(inputs, first)], generator)
    tensors = {}
    groups = {"in": singles, "out": outputs, "seed": seeds, "first": first, "again": weights}
    try:
        groups["second"] = products(first, inputs, weights)
    except (RuntimeError, NotImplementedError):
        groups.pop("again")  # Not differentiable twice, says PyTorch.
    for group, values in groups.items():
        for i, value in enumerate(values):
            if value is not None:
                name = {"in": f"input_{i}", "out": f"output_{i}"}.get(group, str(i))
                tensors[f"{group}/{name}"] = value.detach().numpy()
    finite = [v for k, v in tensors.items() if not k.startswith("in/")]
    if not all(torch.isfinite(torch.from_numpy(v)).all() for v in map(lambda v: v.reshape(-1).copy(), finite)):
        raise ValueError("values that are not finite")
    return common.without_notes(file.getvalue()), tensors


def samples(op):
    torch.manual_seed(0)
    found = list(itertools.islice(op.sample_inputs("cpu", torch.float32, requires_grad=True), 40))
    step = max(1, len(found) // SAMPLES)
    return list(enumerate(found))[::step][:SAMPLES]


def main(folder):
    common.quiet()
    refused = collections.Counter()
    for op in op_db:
        if not op.supports_autograd or torch.float32 not in op.dtypes:
            continue
        name = "_".join(filter(None, [op.name, op.variant_test_name])).replace(".", "_").replace(" ", "_")
        try:
            found = samples(op)
        except Exception as error:
            refused[type(error).__name__] += 1
            continue
        for i, sample in found:
            try:
                model, tensors = case(op, sample)
                common.write(folder, f"{name}-{i}", model, tensors)
            except Exception as error:  # What cannot be exported is no case.
                refused[type(error).__name__] += 1
    print(f"samples that cannot be exported or differentiated: {dict(refused)}")


if __name__ == "__main__":
    main(sys.argv[1])
