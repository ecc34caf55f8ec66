"""Copies a small set of cases into fixtures/: python choose_fixtures.py FOLDER, which holds the cases of each script.

Of the operators' samples it takes the smallest that hold all that the samples hold: every ONNX operator with every
set of attributes' names. Of the models, all that the newer exporter made, and two of the older one.
"""

import pathlib
import shutil
import sys

import onnx

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def size(model):
    return model.stat().st_size + model.with_suffix(".safetensors").stat().st_size


def features(model):
    return {(n.op_type, *sorted(a.name for a in n.attribute)) for n in onnx.load(model).graph.node}


def cover(models):
    """Greedily, what adds the most that is new for its size."""
    open_cases = {m: features(m) for m in models}
    chosen, known = [], set()
    while open_cases:
        best = max(open_cases, key=lambda m: (len(open_cases[m] - known) / size(m), m.name))
        new = open_cases.pop(best) - known
        if new:
            chosen.append(best)
            known |= new
        open_cases = {m: f for m, f in open_cases.items() if f - known}
    return chosen


def main(folder):
    folder = pathlib.Path(folder)
    samples = [m for m in sorted((folder / "pytorch_samples").glob("*.onnx")) if size(m) < 12_000]
    models = [m for m in sorted((folder / "pytorch_models").glob("*.onnx"))
              if m.stem.endswith("-dynamo") or m.stem in {"lstm-torchscript", "resnet-torchscript"}]
    for name, chosen in [("pytorch_samples", cover(samples)), ("pytorch_models", models)]:
        target = FIXTURES / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for model in chosen:
            for path in [model, model.with_suffix(".safetensors")]:
                (target / path.name).write_bytes(path.read_bytes())
        print(f"{name}: {len(chosen)} cases, {sum(map(size, chosen)) // 1000} KB")


if __name__ == "__main__":
    main(sys.argv[1])
