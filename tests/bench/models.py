"""Milliseconds a training step of whole models, ours and PyTorch's (eager and compiled), side by side in one run.

    python3 -m venv peer && peer/bin/pip install -r tests/conformance/requirements-torch.txt
    cargo build --release -p ekphrasis-tests --example training_step
    peer/bin/python tests/bench/models.py --threads 2

Each model of `networks.py` is exported to ONNX with its loss. The host derives gradient and Adam from that file
(`training_step.rs`); the peer runs the module itself with `torch.optim.Adam(fused=True)`. They take turns, each in a
process of its own, and the table has the median over the rounds of medians over steps. The losses of the first five
steps must agree.

On a GPU: `--device cuda`, with every node of ours on it and each step captured as a CUDA graph, beside PyTorch's
eager, compiled and `reduce-overhead` modes, which there share one process and its compilers' work. Ours is timed step
by step with its loss read each time; PyTorch's in blocks of ten steps with one wait at the end. Both sides may round
products to TF32, unless `--float32`. Memory is what the device has less. `--export FOLDER` only writes the cases, and
`--cases FOLDER` reads them.
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
import threading
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


def peer(name, modes, args):
    """What PyTorch takes, in this process; a line of JSON for each mode."""
    torch.set_num_threads(args.threads)
    cuda = args.device == "cuda"
    torch.set_float32_matmul_precision("highest" if args.float32 else "high")
    torch.backends.cudnn.allow_tf32 = not args.float32
    torch.backends.cudnn.benchmark = cuda
    others = 0
    for mode in modes:
        torch.compiler.reset()
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        figures = measure(name, mode, args)
        if cuda:
            # What the libraries hold beside the tensors is there from the first mode on.
            free, total = torch.cuda.mem_get_info()
            others = others or total - free - torch.cuda.memory_reserved()
            figures["peak_megabytes"] = (torch.cuda.max_memory_reserved() + others) // 10**6
        else:
            figures["peak_megabytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 10**6
        print(json.dumps(figures), flush=True)


def measure(name, mode, args):
    module, inputs, parameters = build(name)
    module, inputs = module.to(args.device), [x.to(args.device) for x in inputs]
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

    block = 10 if args.device == "cuda" else 1
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    begin = time.perf_counter()
    losses = [float(step()) for _ in range(WARM)]
    build_seconds, times = time.perf_counter() - begin, []
    for _ in range(args.steps // block):
        wait()
        begin = time.perf_counter()
        for _ in range(block):
            step()
        wait()
        times.append(1e3 * (time.perf_counter() - begin) / block)
    return {"milliseconds": statistics.median(times), "losses": losses, "build_seconds": build_seconds}


class Failed(Exception):
    """A process that did not do its work."""


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def device_memory(work):
    """What `work` gives, and the megabytes by which the device's free memory fell meanwhile."""
    free, done = [torch.cuda.mem_get_info()[0]], threading.Event()

    def watch():
        while not done.wait(0.005):
            free.append(torch.cuda.mem_get_info()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return work(), (free[0] - min(free)) // 10**6
    finally:
        done.set()
        watcher.join()


def ours(folder, name, args):
    command = [args.binary, os.path.join(folder, f"{name}.safetensors"), str(args.steps)]
    if args.device == "cuda":
        command += ["cuda", *args.options] + (["use_tf32=0"] if args.float32 else [])
        figures, memory = device_memory(lambda: run(command)[0])
        return figures | {"peak_megabytes": memory}
    # One core for each thread, as PyTorch's own count says.
    return run(command, preexec_fn=lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads]))[0]


def theirs(name, modes, args):
    command = [sys.executable, os.path.abspath(__file__), "--peer", *modes, "--models", name, "--device", args.device,
               "--steps", str(args.steps), "--threads", str(args.threads)] + (["--float32"] if args.float32 else [])
    return run(command)


def disagreement(seen, modes):
    """A mode whose losses are not those of ours, and both."""
    for mode in modes:
        mine, other = seen["ours"][0]["losses"], seen[mode][0]["losses"]
        if not all(abs(a - b) <= 1e-3 * abs(other[0]) for a, b in zip(mine, other)):
            return f"{mode} has the losses {other}, Ekphrasis {mine}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--modes", nargs="+", default=None, help="eager, compile, graphs (CUDA only)")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "examples", "training_step"))
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="of ours on CUDA; also `fastest`")
    parser.add_argument("--float32", action="store_true", help="no TF32 on CUDA")
    parser.add_argument("--export", metavar="FOLDER", help="write the cases there and stop")
    parser.add_argument("--cases", metavar="FOLDER", help="cases that were exported before")
    parser.add_argument("--peer", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="all that was measured, for other programs")
    args = parser.parse_args()
    common.quiet()
    if args.peer:
        return peer(args.models[0], args.peer, args)
    if args.export:
        for name in args.models:
            export(args.export, name)
        return
    cuda = args.device == "cuda"
    modes = args.modes or (["eager", "compile", "graphs"] if cuda else ["eager", "compile"])
    heads = "".join(f"{m:>10}" for m in modes)
    print(f"torch {torch.__version__}, {args.threads} threads, {args.device}; median of {args.rounds} rounds; "
          "ratio to the fastest of PyTorch's")
    print(f"{'ms a step':18}{'ours':>9}{heads}{'ratio':>7}{'GFLOP/s':>9}{'build s':>9}{'MB':>7}{heads} (MB)")
    ratios, failed = [], []
    with tempfile.TemporaryDirectory() as made:
        for name in args.models:
            if not args.cases:
                export(made, name)
            seen = {who: [] for who in ["ours", *modes]}
            try:
                for _ in range(args.rounds):
                    seen["ours"].append(ours(args.cases or made, name, args))
                    for together in [modes] if cuda else [[mode] for mode in modes]:
                        for mode, figures in zip(together, theirs(name, together, args), strict=True):
                            seen[mode].append(figures)
            except Failed as failure:
                failed.append(f"{name}: {failure}")
                continue
            if wrong := disagreement(seen, modes):
                failed.append(f"{name}: {wrong}")
                continue
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
    if ratios:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
