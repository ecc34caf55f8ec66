"""Prints expected.json: numpy's and scipy's answers for the numbers that `random()` in main.rs makes too.

python3 expected.py > expected.json    (needs numpy and scipy)
"""

import json

import numpy as np
import scipy.linalg

MASK = (1 << 64) - 1


def random(seed, rows, width):
    """Rows of sums of four uniform numbers, by a congruential generator; float32."""
    out = np.empty(rows * width)
    for i in range(rows * width):
        total = 0.0
        for _ in range(4):
            seed = (seed * 6364136223846793005 + 1442695040888963407) & MASK
            total += (seed >> 40) / (1 << 24)
        out[i] = total - 2.0
    return out.astype(np.float32).reshape(rows, width)


def shaped(seed, rows, width, shift):
    """Columns of falling scale, moved, and each with some of the one before."""
    x = random(seed, rows, width).astype(np.float64)
    x = x / (1 + np.arange(width)) + shift
    x[:, 1:] += 0.5 * x[:, :-1]
    return x.astype(np.float32)


def frechet(a, b):
    """As pytorch-fid has it, for covariances of full rank."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(root))


def frechet_by_singular_values(a, b):
    """The same without covariances, right whatever their rank: the cross term from the centred features."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    x = (a - a.mean(0)) / np.sqrt(len(a) - 1)
    y = (b - b.mean(0)) / np.sqrt(len(b) - 1)
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * cross)


def kernel(a, b):
    """Equation 4 of Binkowski et al. 2018."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    k = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    n, m = len(a), len(b)
    xx, yy, xy = k(a, a), k(b, b), k(a, b)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def inception(logits, splits):
    """As the code of Salimans et al. 2016."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        kl = part * (np.log(part) - np.log(part.mean(0, keepdims=True)))
        scores.append(np.exp(kl.sum(1).mean()))
    return [float(np.mean(scores)), float(np.std(scores))]


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def ranks(similarities, right):
    out = []
    for row, own in zip(similarities, right):
        order = np.argsort(-row, kind="stable").tolist()
        out.append(min(order.index(j) for j in own))
    r = np.array(out)
    recalls = [float((r < k).mean()) for k in (1, 5, 10)]
    return recalls + [float(np.floor(np.median(r)) + 1), float(r.mean() + 1)]


def main():
    out = {}
    # (rows of a, rows of b, width): full rank; one side singular; both singular; far from zero.
    cases = {"full": (200, 150, 16, 0.3), "one_singular": (200, 9, 16, 0.3), "singular": (12, 20, 40, 0.3), "far": (300, 200, 16, 100.0)}
    for name, (n, m, width, shift) in cases.items():
        a, b = shaped(1, n, width, shift), shaped(2, m, width, shift + 0.1)
        by_values = frechet_by_singular_values(a, b)
        if name == "full":
            assert abs(frechet(a, b) / by_values - 1) < 1e-9, (frechet(a, b), by_values)
        out[name] = {"frechet": by_values, "kernel": kernel(a, b)}
    out["inception"] = inception(4 * random(3, 50, 7).astype(np.float64), 4)

    images, captions = random(4, 40, 12), random(5, 120, 12)
    image_of = np.arange(120) // 3
    captions += 0.5 * images[image_of]
    s = cosines(images, captions)
    out["image_to_text"] = ranks(s, [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(40)])
    out["text_to_image"] = ranks(s.T, [[i] for i in image_of])
    candidates = (random(6, 40, 12) + images).astype(np.float32)
    clip = 2.5 * np.maximum(np.diag(cosines(images, candidates)), 0)
    best = np.array([cosines(candidates[i : i + 1], captions[3 * i : 3 * i + 3]).max() for i in range(40)])
    best = np.maximum(best, 0)
    total = clip + best
    harmonic = np.where((clip > 0) & (best > 0), 2 * clip * best / np.where(total > 0, total, 1), 0)
    out["clip_score"], out["ref_clip_score"] = float(clip.mean()), float(harmonic.mean())
    print(json.dumps(out, indent=1))


main()
