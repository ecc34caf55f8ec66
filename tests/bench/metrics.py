"""Seconds that each caption metric takes, ours and the reference tools', side by side in one run.

    cargo build --release -p ekphrasis-metrics --example timing
    python3 -m venv peer && peer/bin/pip install pycocoevalcap==1.2
    peer/bin/python tests/bench/metrics.py --captions CAPTIONS.json [--grow]

`CAPTIONS.json` holds {"hypotheses": ["..."], "references": [["..."]]}, raw; `--parity FOLDER` makes one from a folder
with `refs.json.gz` and `cands.json.gz`. Needs java for the reference tools. The suite is timed as a user runs it: a
process of its own, from raw captions to all scores, data loading and start-up included. Single metrics are timed
without start-up. The two take turns, and of each the best of some rounds counts. The scores of the two are compared as
well. `--grow` scores images with captions that are all different, made of these.
"""
import argparse
import contextlib
import gzip
import io
import json
import os
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target"))
TIMING = os.path.join(TARGET, "release", "examples", "timing")


def ours(*arguments):
    return json.loads(subprocess.run([TIMING, *arguments], check=True, stdout=subprocess.PIPE).stdout)


def timed(work):
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = work()
    return time.perf_counter() - started, result


def best(rounds, work):
    runs = [timed(work) for _ in range(rounds)]
    return min(seconds for seconds, _ in runs), runs[-1][1]


def peer(captions):
    """Seconds of each part without start-up, of the tokenizer's start, of the suite with all of it, and the scores."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    raw = [{i: [{"caption": c}] for i, c in enumerate(captions["hypotheses"])},
           {i: [{"caption": c} for c in group] for i, group in enumerate(captions["references"])}]
    tokenizer = PTBTokenizer()
    seconds, scores = {}, {}
    seconds["tokenize"], (hypotheses, references) = timed(lambda: [tokenizer.tokenize(part) for part in raw])
    # Two starts of a Java machine are no part of the tokenizer itself.
    empty = {0: [{"caption": "a"}]}
    seconds["start"], _ = timed(lambda: [tokenizer.tokenize(empty) for _ in range(2)])
    for name, scorer in (("BLEU", Bleu(4)), ("ROUGE-L", Rouge()), ("CIDEr", Cider())):
        seconds[name], (scores[name], _) = best(3, lambda: scorer.compute_score(references, hypotheses))
    # As METEOR is run: it starts, loads its tables, and warms up at the first caption.
    cold, _ = timed(lambda: Meteor().compute_score(references, hypotheses))
    meteor = Meteor()
    meteor.compute_score({0: references[0]}, {0: hypotheses[0]})
    # Again and again, until Java has compiled it.
    seconds["METEOR"], (scores["METEOR"], _) = best(3, lambda: meteor.compute_score(references, hypotheses))
    seconds["suite"] = sum(seconds[name] for name in ("tokenize", "BLEU", "ROUGE-L", "CIDEr")) + cold
    return seconds, scores


def least(rounds):
    return {name: min(seconds[name] for seconds in rounds) for name in rounds[0]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--captions", help="JSON of raw hypotheses and references")
    parser.add_argument("--parity", help="a folder with refs.json.gz and cands.json.gz instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grow", action="store_true", help="also 10,000 to 1,000,000 images, all different, ours alone")
    args = parser.parse_args()
    if args.parity:
        both = [json.load(gzip.open(os.path.join(args.parity, f"{part}.json.gz"))) for part in ("cands", "refs")]
        captions = {"hypotheses": list(both[0].values()), "references": [both[1][i] for i in both[0]]}
    else:
        with open(args.captions) as file:
            captions = json.load(file)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(captions, file)
        file.flush()
        ours("once", file.name)  # The first run ever prepares METEOR's data.
        mine, theirs = [], []
        for _ in range(args.rounds):
            suite, once = timed(lambda: ours("once", file.name))
            mine.append({"suite": suite, **ours("each", file.name, "5")})
            seconds, scores = peer(captions)
            theirs.append(seconds)
        mine, theirs = least(mine), least(theirs)
        theirs["tokenize"] -= theirs["start"]
        print(f"{len(captions['hypotheses'])} images, {sum(map(len, captions['references']))} references")
        print(f"{'':24}{'ours, ms':>10}{'peer, ms':>10}{'ratio':>8}")
        for name in ("suite", "tokenize", "BLEU", "ROUGE-L", "CIDEr", "METEOR"):
            a, b = mine[name], theirs[name]
            print(f"{name:24}{1e3 * a:10.2f}{1e3 * b:10.1f}{b / a:8.0f}")
        found = [once["scores"][f"bleu_{n}"] for n in (1, 2, 3, 4)]
        found += [once["scores"]["rouge_l"], once["scores"]["cider_d"], once["meteor"]]
        expected = [*scores["BLEU"], scores["ROUGE-L"], scores["CIDEr"], scores["METEOR"]]
        print(f"largest difference of a score: {max(abs(a - b) for a, b in zip(found, expected)):.1e}")
        for images in (10_000, 100_000, 1_000_000) if args.grow else ():
            print(json.dumps(ours("grow", file.name, str(images))))


if __name__ == "__main__":
    main()
