"""Writes models with control flow, and what ONNX's reference gives for them: python control_cases.py FOLDER.

ONNX's node tests hold few of these, and none that nests, captures weights, or lets the data decide.
"""

import sys

import numpy
import onnx
from onnx import parser
from onnx.reference import ReferenceEvaluator

import common

HEAD = '<ir_version: 10, opset_import: ["": 18, "own": 1]>\n'

CASES = {
    "if_by_data": """
        g (float[3] x) => (float[3] y) {
            zero = Constant <value_float = 0.0> ()
            total = ReduceSum <keepdims = 0> (x)
            positive = Greater (total, zero)
            y = If (positive) <
                then_branch = yes () => (float[3] a) { a = Mul (x, x) },
                else_branch = no () => (float[3] b) { c = Tanh (x) b = Neg (c) }>
        }""",
    "loop_by_count": """
        g (float[3] x, float[3] w) => (float[3] y, float[4, 3] all) {
            n = Constant <value_int = 4> ()
            yes = Constant <value = bool {1}> ()
            y, all = Loop (n, yes, x) <body = step (int64 i, bool c, float[3] s) => (bool d, float[3] t, float[3] out) {
                d = Identity (c)
                number = Cast <to = 1> (i)
                shifted = Add (s, number)
                p = Mul (shifted, w)
                t = Tanh (p)
                out = Exp (t)
            }>
        }""",
    "loop_until_large": """
        g (float[3] x) => (float[3] y, float[3] z) {
            n = Constant <value_int = 6> ()
            limit = Constant <value_float = 10.0> ()
            yes = Constant <value = bool {1}> ()
            y, z = Loop (n, yes, x, x) <body = step (int64 i, bool c, float[3] s, float[3] u)
                                         => (bool d, float[3] t, float[3] v) {
                square = Mul (s, s)
                t = Add (s, square)
                v = Sub (u, t)
                largest = ReduceMax <keepdims = 0> (t)
                d = Less (largest, limit)
            }>
        }""",
    "loop_that_never_runs": """
        g (float[3] x) => (float[3] y) {
            n = Constant <value_int = 6> ()
            zero = Constant <value_float = 0.0> ()
            total = ReduceSum <keepdims = 0> (x)
            negative = Less (total, zero)
            s = Loop (n, negative, x) <body = step (int64 i, bool c, float[3] s) => (bool c, float[3] t) { t = Exp (s) }>
            y = Mul (s, x)
        }""",
    "scan_both_ways": """
        g (float[2] h0, float[2, 4] x, float[2, 2] w) => (float[2] h, float[2, 4] y) {
            h, y = Scan <num_scan_inputs = 2, scan_input_axes = [1, 1], scan_input_directions = [0, 1],
                         scan_output_axes = [1], scan_output_directions = [1],
                         body = cell (float[2] s, float[2] a, float[2] b) => (float[2] t, float[2] out) {
                m = MatMul (w, s)
                p = Mul (a, b)
                q = Add (m, p)
                t = Tanh (q)
                out = Mul (t, b)
            }> (h0, x, x)
        }""",
    "nested": """
        g (float[2] x, float[2] w) => (float[2] y) {
            two = Constant <value_int = 2> ()
            three = Constant <value_int = 3> ()
            yes = Constant <value = bool {1}> ()
            y = Loop (three, yes, x) <body = outer (int64 i, bool c, float[2] s) => (bool c, float[2] u) {
                total = ReduceSum <keepdims = 0> (s)
                zero = Constant <value_float = 0.0> ()
                positive = Greater (total, zero)
                t = If (positive) <
                    then_branch = yes () => (float[2] a) {
                        a = Loop (two, c, s) <body = inner (int64 j, bool d, float[2] r) => (bool d, float[2] k) {
                            m = Mul (r, w)
                            k = Sub (m, s)
                        }>
                    },
                    else_branch = no () => (float[2] b) { b = Mul (s, w) }>
                u = Tanh (t)
            }>
        }""",
    "in_a_function": """
        g (float[2] x) => (float[2] y) {
            h = own.repeated (x)
            y = own.repeated (h)
        }
        <domain: "own", opset_import: ["": 18]>
        repeated (a) => (b) {
            n = Constant <value_int = 3> ()
            yes = Constant <value = bool {1}> ()
            b = Loop (n, yes, a) <body = step (int64 i, bool c, float[2] s) => (bool c, float[2] t) {
                l = Sin (s)
                t = Sub (l, a)
            }>
        }""",
    "map_of_a_sequence": """
        g (float[3, 2] x, float[2] w) => (float[3, 2] y) {
            parts = SplitToSequence <axis = 0> (x)
            mapped = SequenceMap <body = each (float[1, 2] e, float[2] v) => (float[1, 2] o) { p = Mul (e, v) o = Sin (p) }> (parts, w)
            y = ConcatFromSequence <axis = 0> (mapped)
        }""",
}


def scanned(h0, x, w):
    """`scan_both_ways`, which the reference does not have: it scans forwards only."""
    state, outputs = h0, []
    for a, b in zip(x.T, x.T[::-1]):
        state = numpy.tanh(w @ state + a * b)
        outputs.insert(0, state * b)
    return [state, numpy.stack(outputs, axis=1)]


def main(folder):
    random = numpy.random.default_rng(7)
    for name, text in CASES.items():
        model = parser.parse_model(HEAD + text)
        onnx.checker.check_model(model)
        # Away from kinks, and of one sign for each seed: sums decide.
        feeds = {
            port.name: random.uniform(0.3, 0.9, [d.dim_value for d in port.type.tensor_type.shape.dim]).astype("float32")
            for port in model.graph.input}
        outputs = scanned(**feeds) if name == "scan_both_ways" else ReferenceEvaluator(model).run(None, feeds)
        tensors = {f"in/{n}": v for n, v in feeds.items()}
        tensors |= {f"out/{port.name}": v for port, v in zip(model.graph.output, outputs)}
        common.write(folder, name, model.SerializeToString(), tensors, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    main(sys.argv[1])
