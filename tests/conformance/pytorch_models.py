"""Writes whole models from PyTorch, and what ten steps of Adam make of them: python pytorch_models.py FOLDER.

A case holds the exported model with its initial weights, one batch, the losses of the steps, and all parameters
and running statistics after them. The step itself (loss, gradient, Adam) is not exported: the host derives it.
"""

import copy
import io
import sys

import onnx
import torch
from torch.nn import functional as F

import common
from architectures import MODELS, Discriminator, Generator

STEPS = 10
RATE = 1e-3
# Where a gradient is zero by symmetry (the keys' bias in attention), Adam divides rounding by rounding;
# an epsilon above the rounding keeps such parameters where they are, here as there.
EPSILON = 1e-5


def export(model, inputs, dynamo):
    """The model as bytes, batch normalisation in inference form and not folded into convolutions."""
    model = copy.deepcopy(model).eval()
    names = [f"input_{i}" for i in range(len(inputs))]
    file = io.BytesIO()
    if dynamo:
        # The optimiser of the exporter would fold batch normalisation away.
        program = torch.onnx.export(
            model, inputs, input_names=names, output_names=["output"], dynamo=True, optimize=False, verbose=False)
        program.save(file)
    else:
        torch.onnx.export(
            model, inputs, file, input_names=names, output_names=["output"], dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, opset_version=18)
    return common.without_notes(file.getvalue())


def loss_of(kind, output, target):
    if kind == "cross_entropy":
        return F.cross_entropy(output, target)
    return F.mse_loss(output, target)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=RATE, eps=EPSILON)


def scramble(model, generator):
    """Parameters of a usual size, none of them zero."""
    with torch.no_grad():
        # The older exporter merges statistics that are equal, as all are at first.
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        for name, parameter in model.named_parameters():
            scale = 0.3 if parameter.dim() < 2 else min(0.3, 1.0 / parameter[0].numel() ** 0.5)
            noise = torch.randn(parameter.shape, generator=generator) * scale
            parameter.copy_(noise + (1.0 if name.endswith("norm.weight") else 0.0))


def parameters(model, exported):
    """Each parameter by the name that it has in the exported model: one that is shared has several in PyTorch."""
    known = {tensor.name for tensor in onnx.load_from_string(exported).graph.initializer}
    names = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in known or parameter not in names:
            names[parameter] = name
    return {f"after/{name}": parameter.detach().numpy().copy() for parameter, name in names.items()}


def statistics(model, group):
    kept = {name: b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))}
    return {f"{group}/{name}": b.numpy().copy() for name, b in kept.items()}


def supervised(folder, name, build):
    generator = torch.Generator().manual_seed(sum(name.encode()))
    torch.manual_seed(1)
    model, inputs, kind, target = build(generator)
    scramble(model, generator)
    tensors = {f"in/input_{i}": x.numpy() for i, x in enumerate(inputs)} | {"target": target.numpy()}
    models = exports(model, inputs)
    model.train()
    optimizer, losses = adam(model), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(kind, model(*inputs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    tensors |= {"losses": torch.tensor(losses).numpy()} | statistics(model, "state")
    for exporter, data in models.items():
        held = tensors | parameters(model, data)
        common.write(folder, f"{name}-{exporter}", data, held, loss=kind, rate=RATE, epsilon=EPSILON)


def adversarial(folder):
    """DCGAN: the discriminator's step, then the generator's, each on its own loss."""
    random = torch.Generator().manual_seed(3)
    g, d = Generator(), Discriminator()
    for model in (g, d):
        scramble(model, random)
    noise, real = torch.randn(6, 8, generator=random), torch.randn(6, 3, 16, 16, generator=random).tanh()
    made = {"generator": exports(g, (noise,)), "discriminator": exports(d, (real,))}
    g.train(), d.train()
    g_adam, d_adam, losses = adam(g), adam(d), []
    for _ in range(STEPS):
        d_adam.zero_grad()
        d_loss = F.softplus(-d(real)).mean() + F.softplus(d(g(noise).detach())).mean()
        d_loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        g_loss = F.softplus(-d(g(noise))).mean()
        g_loss.backward()
        g_adam.step()
        losses.append([d_loss.item(), g_loss.item()])
    for role, model in [("generator", g), ("discriminator", d)]:
        tensors = {"losses": torch.tensor(losses).numpy()}
        tensors["in/input_0"] = (noise if role == "generator" else real).numpy()
        for exporter, data in made[role].items():
            name, held = f"dcgan_{role}-{exporter}", tensors | parameters(model, data)
            common.write(folder, name, data, held, loss=role, rate=RATE, epsilon=EPSILON)


def exports(model, inputs):
    """The model by each exporter that takes it."""
    made = {}
    for exporter, dynamo in [("dynamo", True), ("torchscript", False)]:
        try:
            made[exporter] = export(model, inputs, dynamo)
        except Exception as error:  # An exporter's limits are no fault of the host's.
            print(f"{type(model).__name__}: the {exporter} exporter fails: {str(error).splitlines()[0]}")
    return made


def main(folder):
    common.quiet()
    for name, build in MODELS.items():
        supervised(folder, name, build)
    adversarial(folder)


if __name__ == "__main__":
    main(sys.argv[1])
