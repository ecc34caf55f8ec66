"""Milliseconds a training step of whole models, ours and PyTorch's (eager and compiled), side by side in one run.

    python3 -m venv peer && peer/bin/pip install -r tests/conformance/requirements-torch.txt
    cargo build --release -p ekphrasis-tests --example training_step
    peer/bin/python tests/bench/models.py --threads 2

Each model of `networks.py` is exported to ONNX with its loss. The host derives gradient and Adam from that file
(`training_step.rs`); the peer runs the module itself with `torch.optim.Adam(fused=True)`. The three take turns, each
in a process of its own, and the table has the median over the rounds of medians over steps. The losses of the first
five steps must agree before anything is timed. On a GPU: `--device cuda`, with every node of ours on it and captured
as a CUDA graph, and PyTorch's `reduce-overhead` mode beside the others.
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch

from networks import MODELS

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
import common  # noqa: E402

WARM = 5
RATE = 1e-4
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def build(name):
    torch.manual_seed(0)
    module, inputs, trained = MODELS[name]()
    parameters = {}
    for key, parameter in module.named_parameters():
        parameter.requires_grad_(trained is not None and key.startswith(trained))
        if parameter.requires_grad:
            parameters[key] = parameter
    return module.train(trained is not None), inputs, parameters


def export(folder, name):
    module, inputs, parameters = build(name)
    names = [f"input_{i}" for i in range(len(inputs))]
    file = io.BytesIO()
    # Batch normalisation in inference form, and not folded away.
    program = torch.onnx.export(module.eval(), inputs, input_names=names, dynamo=True, optimize=False, verbose=False,
                                output_names=["loss"] if parameters else None)
    program.save(file)
    about = {"trained": "\n".join(parameters), "rate": RATE} if parameters else {}
    tensors = {f"in/{key}": value.numpy() for key, value in zip(names, inputs)}
    common.write(folder, name, common.without_notes(file.getvalue()), tensors, **about)


def peer(name, mode, steps, threads, device):
    """What PyTorch takes, in this process."""
    torch.set_num_threads(threads)
    module, inputs, parameters = build(name)
    module, inputs = module.to(device), [x.to(device) for x in inputs]
    compiled = {"eager": lambda m: m, "compile": torch.compile,
                "graphs": lambda m: torch.compile(m, mode="reduce-overhead")}[mode](module)
    if parameters:
        optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=RATE, fused=True)

    def step():
        if not parameters:
            with torch.no_grad():
                compiled(*inputs)
            return 0.0
        optimizer.zero_grad(set_to_none=True)
        loss = compiled(*inputs)
        loss.backward()
        optimizer.step()
        return loss

    def synchronize():
        if device == "cuda":
            torch.cuda.synchronize()

    begin = time.perf_counter()
    losses = [float(step()) for _ in range(WARM)]
    build_seconds, times = time.perf_counter() - begin, []
    for _ in range(steps):
        synchronize()
        begin = time.perf_counter()
        step()
        synchronize()
        times.append(1e3 * (time.perf_counter() - begin))
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"milliseconds": statistics.median(times), "losses": losses, "build_seconds": build_seconds,
                      "peak_megabytes": memory // 10**6}))


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(folder, name, args):
    command = [args.binary, os.path.join(folder, f"{name}.safetensors"), str(args.steps)]
    if args.device == "cuda":
        command += ["cuda", "enable_cuda_graph=1"]
    # One core for each thread, as PyTorch's own count says.
    pinned = {"preexec_fn": lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])}
    return run(command, **(pinned if args.device == "cpu" else {}))


def theirs(name, mode, args):
    return run([sys.executable, os.path.abspath(__file__), "--peer", mode, "--models", name, "--device", args.device,
                "--steps", str(args.steps), "--threads", str(args.threads)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--modes", nargs="+", default=None, help="eager, compile, graphs (CUDA only)")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "examples", "training_step"))
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="all that was measured, for other programs")
    args = parser.parse_args()
    if args.peer:
        return peer(args.models[0], args.peer, args.steps, args.threads, args.device)
    modes = args.modes or (["eager", "compile", "graphs"] if args.device == "cuda" else ["eager", "compile"])
    common.quiet()
    heads = "".join(f"{m:>10}" for m in modes)
    print(f"torch {torch.__version__}, {args.threads} threads, {args.device}; median of {args.rounds} rounds; "
          "ratio to the fastest of PyTorch's")
    print(f"{'ms a step':18}{'ours':>9}{heads}{'ratio':>7}{'GFLOP/s':>9}{'build s':>9}{'MB':>7}{heads} (MB)")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models:
            export(folder, name)
            seen = {who: [] for who in ["ours", *modes]}
            for _ in range(args.rounds):
                seen["ours"].append(ours(folder, name, args))
                for mode in modes:
                    seen[mode].append(theirs(name, mode, args))
            for mode in modes:
                first = seen[mode][0]["losses"][0]
                for a, b in zip(seen["ours"][0]["losses"], seen[mode][0]["losses"]):
                    if not abs(a - b) <= 1e-3 * abs(first):
                        raise SystemExit(f"{name}: {mode} has the losses {seen[mode][0]['losses']}, "
                                         f"Ekphrasis {seen['ours'][0]['losses']}")
            middle = lambda who, what: statistics.median(r[what] for r in seen[who])
            best = min(middle(mode, "milliseconds") for mode in modes)
            mine = middle("ours", "milliseconds")
            ratios.append(best / mine)
            speed = 2 * seen["ours"][0]["multiply_adds"] / mine / 1e6
            times = "".join(f"{middle(m, 'milliseconds'):10.2f}" for m in modes)
            memory = "".join(f"{middle(m, 'peak_megabytes'):10.0f}" for m in modes)
            print(f"{name:18}{mine:9.2f}{times}{ratios[-1]:7.2f}{speed:9.1f}{middle('ours', 'build_seconds'):9.2f}"
                  f"{middle('ours', 'peak_megabytes'):7.0f}{memory}", flush=True)
            if args.json:
                print(json.dumps({name: seen}), flush=True)
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
