"""Writes models from TensorFlow and Keras, and what ten steps of Adam make of them: python tensorflow_models.py FOLDER.

They are exported by tf2onnx, Keras' own way to ONNX. Cases are as those of pytorch_models.py. The exporter transposes
weights and gives them other names: which is which is found by their values.
"""

import itertools
import os
import sys

os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

import keras
import numpy
import onnx
import tensorflow as tf
import tf2onnx
from keras import layers

import common

STEPS = 10
RATE = 1e-3
EPSILON = 1e-5
MOMENTUM = 0.9


class Convolutions(tf.Module):
    """Pictures with the channels last, batch normalisation, a residual connection, and a depthwise convolution."""

    def __init__(self):
        super().__init__()
        shapes = {"first": (3, 3, 3, 8), "depth": (3, 3, 8, 1), "point": (1, 1, 8, 8), "head": (8, 5), "bias": (5,)}
        norms = {f"{part}{i}": (8,) for i in (1, 2) for part in ("gamma", "beta")}
        self.weights = {n: tf.Variable(tf.zeros(s), name=n) for n, s in (shapes | norms).items()}
        self.statistics = {
            f"{part}{i}": tf.Variable(tf.zeros(8), trainable=False, name=f"{part}{i}")
            for i in (1, 2) for part in ("mean", "variance")}

    def normalise(self, x, i, training):
        own = [self.weights[f"gamma{i}"], self.weights[f"beta{i}"]]
        mean, variance = self.statistics[f"mean{i}"], self.statistics[f"variance{i}"]
        fused = tf.compat.v1.nn.fused_batch_norm
        if not training:
            return fused(x, *own, mean, variance, is_training=False)[0]
        y, batch_mean, batch_variance = fused(x, *own, is_training=True)
        mean.assign(MOMENTUM * mean + (1 - MOMENTUM) * batch_mean)
        variance.assign(MOMENTUM * variance + (1 - MOMENTUM) * batch_variance)
        return y

    def __call__(self, x, training=False):
        w = self.weights
        # The exporter would fold normalisation into a convolution just before it.
        h = self.normalise(tf.nn.relu(tf.nn.conv2d(x, w["first"], 1, "SAME")), 1, training)
        h = tf.nn.max_pool2d(h, 2, 2, "VALID")
        d = tf.nn.silu(tf.nn.depthwise_conv2d(h, w["depth"], (1, 1, 1, 1), "SAME"))
        h = self.normalise(h + tf.nn.conv2d(d, w["point"], 1, "SAME"), 2, training)
        return tf.reduce_mean(tf.nn.relu(h), (1, 2)) @ w["head"] + w["bias"]


def attention():
    x = keras.Input((6,), dtype="int32")
    h = layers.Embedding(11, 16)(x)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 8)(h, h, use_causal_mask=True))
    h = h + layers.Dense(16)(layers.Dense(24, activation="silu")(h))
    return keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling1D()(h)))


def recurrent():
    """Exported as a `Loop`."""
    x = keras.Input((6, 4))
    return keras.Model(x, layers.Dense(5)(layers.GRU(8)(x)))


def scramble(variables, random):
    """Values of a usual size, none of them zero or equal."""
    for variable in variables:
        noise = random.standard_normal(variable.shape).astype("float32") * 0.3
        positive = any(part in variable.name for part in ("gamma", "variance"))
        variable.assign(numpy.abs(noise) + 0.7 if positive else noise)


def export(call, data):
    spec = tf.TensorSpec(data.shape, data.dtype, name="input_0")
    function = tf.function(call, input_signature=[spec], autograph=False)
    model, _ = tf2onnx.convert.from_function(function, [spec], opset=18)
    model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.output[0].name], ["output"]))
    model.graph.output[0].name = "output"
    return model


def found(model, variables):
    """How each variable became an initializer: its name, an order of axes, a shape."""
    places = {}
    for initializer in model.graph.initializer:
        value = onnx.numpy_helper.to_array(initializer)
        for variable in variables:
            for order in itertools.permutations(range(len(variable.shape))):
                own = variable.numpy().transpose(order)
                if own.size == value.size and numpy.array_equal(own.reshape(value.shape), value):
                    places.setdefault(variable.name + str(id(variable)), (variable, initializer.name, order, value.shape))
    missing = [v.name for v in variables if v.name + str(id(v)) not in places]
    assert not missing, f"{missing} are not in the exported model"
    return list(places.values())


def adam(weights, gradients, moments, step):
    """Algorithm 1 of Kingma and Ba 2015. That of Keras adds epsilon at another place."""
    for i, (weight, gradient) in enumerate(zip(weights, gradients)):
        g = tf.convert_to_tensor(gradient).numpy()
        m, v = moments.get(i, (0, 0))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        moments[i] = m, v
        root = numpy.sqrt(v / (1 - 0.999**step)) + EPSILON
        weight.assign(weight.numpy() - RATE * m / (1 - 0.9**step) / root)


def supervised(folder, name, call, weights, statistics, data, random):
    scramble([*weights, *statistics], random)
    target = random.integers(0, 5, len(data))
    model = export(lambda x: call(x, training=False), data)
    places, states = found(model, weights), found(model, statistics)
    losses, moments = [], {}
    for step in range(1, STEPS + 1):
        with tf.GradientTape() as tape:
            logits = call(data, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))
        adam(weights, tape.gradient(loss, weights), moments, step)
        losses.append(loss.numpy())
    held = {"in/input_0": data, "target": target, "losses": numpy.array(losses)}
    for group, chosen in [("after", places), ("state", states)]:
        held |= {f"{group}/{n}": v.numpy().transpose(order).reshape(shape) for v, n, order, shape in chosen}
    common.write(folder, name, common.without_notes(model.SerializeToString()), held,
                 loss="cross_entropy", rate=RATE, epsilon=EPSILON)


def main(folder):
    common.quiet()
    random = numpy.random.default_rng(5)
    pictures = random.standard_normal((4, 12, 12, 3)).astype("float32")
    model = Convolutions()
    weights, statistics = list(model.weights.values()), list(model.statistics.values())
    supervised(folder, "convolutions", model, weights, statistics, pictures, random)
    for build, data in [
        (attention, random.integers(0, 11, (4, 6)).astype("int32")),
        (recurrent, random.standard_normal((4, 6, 4)).astype("float32")),
    ]:
        model = build()
        weights = [v.value for v in model.trainable_variables]
        supervised(folder, build.__name__, model, weights, [], data, random)


if __name__ == "__main__":
    main(sys.argv[1])
