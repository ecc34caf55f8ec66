"""Milliseconds a step of the quickstart's models in PyTorch, on the same work: sizes of pictures, captions, batches
and models, optimisers, clipping. Pictures and words are noise, which costs the same; lengths are those of `shapes`.

    python3 -m venv peer && peer/bin/pip install torch numpy
    peer/bin/python tests/bench/peer.py --threads 2 > peer.json
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCABULARY, LONGEST, PAD, BOS, EOS = 48, 20, 0, 1, 2


def trunk(channels):
    layers, before = [], 3
    for c in channels:
        layers += [nn.Conv2d(before, c, 4, 2, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU()]
        before = c
    return nn.Sequential(*layers)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.h, self.q, self.kv, self.o = heads, nn.Linear(d, d), nn.Linear(d, 2 * d), nn.Linear(d, d)

    def keys(self, x):
        b, t, d = x.shape
        return self.kv(x).view(b, t, 2, self.h, d // self.h).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x, k, v, causal=False, mask=None):
        n, t, d = x.shape
        # Captions of one picture share its memory.
        q = self.q(x).view(k.shape[0], -1, self.h, d // self.h).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, attn_mask=mask)
        return self.o(y.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.n = nn.ModuleList(nn.LayerNorm(d) for _ in range(3))
        self.own, self.cross = Attention(d, heads), Attention(d, heads)
        self.ff = nn.Sequential(nn.Linear(d, 3 * d), nn.ReLU(), nn.Linear(3 * d, d))

    def forward(self, x, memory, cache=None):
        y = self.n[0](x)
        k, v = self.own.keys(y)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        x = x + self.own(y, k, v, causal=cache is None)
        x = x + self.cross(self.n[1](x), *memory)
        return x + self.ff(self.n[2](x))


class Captioner(nn.Module):
    def __init__(self, d=128, heads=4, layers=2, words=VOCABULARY):
        super().__init__()
        self.cnn = trunk((32, 64, d))
        self.place = nn.Parameter(torch.randn(16, d) * 0.02)
        self.mix = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d))
        self.word, self.position = nn.Embedding(words, d), nn.Parameter(torch.randn(LONGEST, d) * 0.02)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(d), nn.Linear(d, words)

    def encode(self, image):
        x = self.cnn(image).flatten(2).transpose(1, 2) + self.place
        x = x + self.mix(x)
        return [b.cross.keys(x) for b in self.blocks]

    def decode(self, memory, tokens):
        before = torch.cat([torch.full_like(tokens[:, :1], BOS), tokens[:, :-1]], 1)
        x = self.word(before) + self.position[: before.shape[1]]
        for block, m in zip(self.blocks, memory):
            x = block(x, m)
        return self.out(self.norm(x))

    @torch.no_grad()
    def rollout(self, memory, samples, lengths):
        """Samples; each row ends where `lengths` says, so that the work is that of real captions."""
        n = memory[0][0].shape[0] * samples
        token, caches, out = torch.full((n, 1), BOS), [[] for _ in self.blocks], []
        for t in range(int(lengths.max())):
            x = self.word(token) + self.position[t]
            for block, m, cache in zip(self.blocks, memory, caches):
                x = block(x, m, cache)
            logits = self.out(self.norm(x[:, 0]))
            token = (logits - torch.empty_like(logits).exponential_().log()).argmax(-1).clamp(min=4)
            token = token.masked_fill(lengths <= t, PAD)
            out.append(token)
            token = token[:, None]
        return torch.stack(out, 1)


class Text(nn.Module):
    def __init__(self, d=96, heads=4, out=128):
        super().__init__()
        self.word, self.position = nn.Embedding(VOCABULARY, d), nn.Parameter(torch.randn(LONGEST, d))
        self.n = nn.ModuleList(nn.LayerNorm(d) for _ in range(3))
        self.att, self.out = Attention(d, heads), nn.Linear(d, out)
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(), nn.Linear(2 * d, d))

    def forward(self, tokens):
        real = tokens != PAD
        x = self.word(tokens) + self.position[: tokens.shape[1]]
        y = self.n[0](x)
        x = x + self.att(y, *self.att.keys(y), mask=real[:, None, None])
        x = self.n[2](x + self.ff(self.n[1](x)))
        mean = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.out(mean), dim=-1)


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn, self.text = trunk((32, 64, 96)), Text()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(96 * 16, 256), nn.ReLU(), nn.Linear(256, 128))
        self.scale = nn.Parameter(torch.tensor(2.7))

    def image(self, x):
        return F.normalize(self.head(self.cnn(x)), dim=-1)


class Generator(nn.Module):
    def __init__(self, ch=(128, 64, 48, 24)):
        super().__init__()
        self.condition, self.base = nn.Linear(128, 128), nn.Linear(160, ch[0] * 16)
        up = [nn.BatchNorm2d(ch[0]), nn.ReLU()]
        for a, b in zip(ch[:-1], ch[1:]):
            up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.up = nn.Sequential(*up, nn.Conv2d(ch[-1], 3, 3, 1, 1), nn.Tanh())

    def forward(self, text):
        c = F.leaky_relu(self.condition(text), 0.2)
        x = self.base(torch.cat([c, torch.randn(len(text), 32)], 1))
        return self.up(x.view(len(text), -1, 4, 4))


class Discriminator(nn.Module):
    def __init__(self, w=32):
        super().__init__()
        act = nn.LeakyReLU(0.2)
        self.trunk = nn.Sequential(nn.Conv2d(3, w, 4, 2, 1), act, nn.Conv2d(w, 2 * w, 4, 2, 1), act,
                                   nn.Conv2d(2 * w, 3 * w, 4, 2, 1), act)
        self.said, self.seen = nn.Linear(128, 64), nn.Conv2d(3 * w, 128, 1)
        self.joint = nn.Linear(64, 128, bias=False)
        self.score = nn.Sequential(act, nn.Flatten(), nn.Linear(128 * 16, 64), act, nn.Linear(64, 1))
        self.text, self.image = nn.Linear(128, 128), nn.Linear(3 * w * 16, 128)

    def judge(self, f, text):
        said = self.joint(F.leaky_relu(self.said(text), 0.2))[:, :, None, None]
        match = (self.text(text) * self.image(f.flatten(1))).sum(1) / 128 ** 0.5
        return self.score(self.seen(f) + said).squeeze(1) + match

    def forward(self, x, text):
        return self.judge(self.trunk(x), text)


def captions(n):
    """Random words; lengths (end included) spread as in `shapes`: from 4 to 18, 9.5 on average."""
    lengths = (torch.randn(n) * 3.3 + 9.5).round().clamp(4, 18).long()
    words = torch.randint(4, VOCABULARY, (n, int(lengths.max())))
    at = torch.arange(words.shape[1])
    words[at[None] == lengths[:, None] - 1] = EOS
    return words.masked_fill(at[None] >= lengths[:, None], PAD), lengths


def optimise(optimiser, loss, clip=None):
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], clip)
    optimiser.step()


def cross_entropy(m, o):
    def step():
        tokens, _ = captions(64)
        logits = m.decode(m.encode(torch.rand(64, 3, 32, 32) * 2 - 1), tokens)
        optimise(o, F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=PAD), 1.0)
    return {"update": step}


def policy_gradient(m, o):
    state = {}

    def rollout():
        m.eval()
        state["image"] = torch.rand(64, 3, 32, 32) * 2 - 1
        with torch.no_grad():
            memory = m.encode(state["image"])
        state["tokens"] = m.rollout(memory, 5, captions(320)[1])

    def update():
        tokens = state["tokens"]
        mask = (tokens != PAD).float()
        logp = -F.cross_entropy(m.decode(m.encode(state["image"]), tokens).transpose(1, 2), tokens, reduction="none")
        optimise(o, -(torch.randn(320, 1) * logp * mask).sum() / mask.sum(), 1.0)
    return {"rollout": rollout, "update": update}


def scorer(m, o):
    def step():
        s = m.image(torch.rand(128, 3, 32, 32) * 2 - 1) @ m.text(captions(128)[0]).T * m.scale.clamp(max=4.6).exp()
        y = torch.arange(128)
        optimise(o, (F.cross_entropy(s, y) + F.cross_entropy(s.T, y)) / 2)
    return {"update": step}


def gan(text, count=[0]):
    g, d = Generator(), Discriminator()
    og, od = (torch.optim.Adam(m.parameters(), 3e-4, betas=(0.5, 0.99), fused=True) for m in (g, d))

    def step():
        x, tokens = torch.rand(32, 3, 32, 32) * 2 - 1, captions(32)[0]
        with torch.no_grad():
            t = text(tokens) * 8
            wrong, fake = t.roll(1, 0), g(t)
        penalise = count[0] % 16 == 0
        count[0] += 1
        x.requires_grad_(penalise)
        f = d.trunk(x)
        real = d.judge(f, t)
        loss = F.relu(1 - real).mean() + (F.relu(1 + d(fake, t)).mean() + F.relu(1 + d.judge(f, wrong)).mean()) / 2
        if penalise:
            slope, = torch.autograd.grad(real.sum(), x, create_graph=True)
            loss = loss + 8 * slope.pow(2).sum((1, 2, 3)).mean()
        optimise(od, loss)
        for p in d.parameters():
            p.requires_grad_(False)
        optimise(og, -d(g(t), t).mean())
        for p in d.parameters():
            p.requires_grad_(True)
    return {"update": step}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    captioner, s = Captioner(), Scorer()
    adamw = lambda m: torch.optim.AdamW(m.parameters(), 1e-4, weight_decay=0.01, fused=True)
    kinds = {"cross_entropy": cross_entropy(captioner, adamw(captioner)), "scorer": scorer(s, adamw(s)),
             "gan": gan(s.text), "policy_gradient": policy_gradient(captioner, adamw(captioner))}
    result = {}
    for name, parts in kinds.items():
        times = {part: [] for part in parts}
        for step in range(args.steps + 5):
            for part, run in parts.items():
                start = time.perf_counter()
                run()
                if step >= 5:
                    times[part].append(1e3 * (time.perf_counter() - start))
        result[name] = {part: round(statistics.median(t), 1) for part, t in times.items()}
    print(json.dumps({"torch": torch.__version__, "threads": args.threads, "milliseconds": result}, indent=1))


if __name__ == "__main__":
    main()
