"""What the scripts share: a case is NAME.onnx beside NAME.safetensors."""

import logging
import pathlib
import warnings

import numpy
import onnx
from safetensors.numpy import save_file

# Types that both safetensors and the host know; a case with others is told without its tensors.
TYPES = {
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "bfloat16", "float32", "float64",
}


def write(folder, name, model, tensors, **about):
    """Writes a case: a serialised model, tensors by name, and what else there is to say of it."""
    folder = pathlib.Path(folder)
    (folder / f"{name}.onnx").write_bytes(model)
    # A scalar would become a vector of one by `ascontiguousarray`.
    tensors = {key: numpy.asarray(value, order="C") for key, value in tensors.items()}
    save_file(tensors, folder / f"{name}.safetensors", {key: str(value) for key, value in about.items()})


def without_notes(model):
    """A serialised model without what exporters note beside its nodes, which is most of its bytes."""
    model = onnx.load_from_string(model)
    graphs = [model.graph, *model.functions]
    for noted in [model, *graphs, *(v for g in graphs for v in [*g.node, *g.value_info])]:
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    for noted in [*model.graph.initializer, *model.graph.input, *model.graph.output]:
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    return model.SerializeToString()


def quiet():
    """Keeps the exporters from saying what they say to everybody."""
    warnings.filterwarnings("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)


def known(value):
    """Whether a value is a tensor that a case file can hold."""
    return isinstance(value, (numpy.ndarray, numpy.generic)) and value.dtype.name in TYPES
