"""Milliseconds a step, ours and PyTorch's, side by side in one run.

    cargo build --release
    python3 tests/bench/steps.py --peer peer/bin/python --threads 2

Runs `ekphrasis` for a few steps of each phase of the quickstart and `peer.py` by turns, and prints the median of
the rounds. A round of ours gives means over all its steps, one of the peer's medians after five steps of warm-up.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")


def ours(threads, steps):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        command = [os.path.join(ROOT, "target", "release", "ekphrasis"), "run", "configs/quickstart.toml",
                   "--out", out, "--set", f"threads={threads}", "--set", "schedule.params.rounds=1"]
        for phase in ("cross_entropy", "scorer", "gan", "gan_turn", "policy_gradient"):
            command += ["--set", f"phases.{phase}.steps={steps}"]
        # Buckets make batches of our own shorter; the peer has none.
        command += ["--set", "phases.cross_entropy.buckets=1"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(out, "summary.json")) as file:
            return json.load(file)["milliseconds"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="a python with torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seen = {"ours": [], "peer": []}
    for _ in range(args.rounds):
        seen["ours"].append(ours(args.threads, args.steps))
        peer = [args.peer, os.path.join(HERE, "peer.py"), "--threads", str(args.threads), "--steps", str(args.steps)]
        found = json.loads(subprocess.run(peer, check=True, capture_output=True).stdout)
        seen["peer"].append(found["milliseconds"])
        print("round done", file=sys.stderr)
    print(f"torch {found['torch']}, {args.threads} threads; milliseconds a step, median of {args.rounds} rounds")
    print(f"{'step':28}{'ours':>8}{'PyTorch':>9}{'ratio':>7}")
    for phase, parts in seen["peer"][0].items():
        for part in parts:
            a = statistics.median(r[phase][part] for r in seen["ours"])
            b = statistics.median(r[phase][part] for r in seen["peer"])
            print(f"{phase + ' ' + part:28}{a:8.1f}{b:9.1f}{b / a:7.2f}")


if __name__ == "__main__":
    main()
