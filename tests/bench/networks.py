"""What `models.py` times: each function gives a module that returns its loss, its inputs, and which parameters train."""

import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

import peer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from architectures import Residual  # noqa: E402

WORDS = 1000


def tokens(batch, length):
    return torch.randint(4, WORDS, (batch, length))


class CaptionLoss(nn.Module):
    """Cross entropy of captions under teacher forcing."""

    def __init__(self, captioner):
        super().__init__()
        self.captioner = captioner

    def forward(self, image, words):
        logits = self.captioner.decode(self.captioner.encode(image), words)
        return F.cross_entropy(logits.flatten(0, 1), words.flatten())


def captioner():
    """Three layers of width 256, 1,000 words, 64 captions of 20."""
    model = peer.Captioner(d=256, layers=3, words=WORDS)
    return CaptionLoss(model), (torch.randn(64, 3, 32, 32), tokens(64, 20)), ""


class ShowAttendTell(nn.Module):
    """Xu et al. 2015: an LSTM cell of width 512 that looks at 49 regions before each word."""

    def __init__(self, width=512, regions=256):
        super().__init__()
        self.word, self.cell = nn.Embedding(WORDS, width), nn.LSTMCell(width + regions, width)
        self.start, self.out = nn.Linear(regions, width), nn.Linear(width, WORDS)
        self.of_region, self.of_state, self.score = nn.Linear(regions, width), nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, regions, words):
        h = torch.tanh(self.start(regions.mean(1)))
        c, states = torch.zeros_like(h), []
        keys, x = self.of_region(regions), self.word(words)
        for t in range(words.shape[1] - 1):
            weight = self.score(torch.tanh(keys + self.of_state(h).unsqueeze(1))).softmax(1)
            h, c = self.cell(torch.cat([x[:, t], (weight * regions).sum(1)], 1), (h, c))
            states.append(h)
        return F.cross_entropy(self.out(torch.stack(states, 1)).flatten(0, 1), words[:, 1:].flatten())


def attention_lstm():
    return ShowAttendTell(), (torch.randn(64, 49, 256), tokens(64, 21)), ""


class Adversarial(nn.Module):
    """DCGAN (Radford et al. 2016), batch normalisation in the generator alone."""

    def __init__(self, size):
        super().__init__()
        widths = [256, 128, 64, 32][4 - {32: 3, 64: 4}[size]:]
        up, down, before = [], [], 3
        for a, b in zip(widths, widths[1:] + [3]):
            up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=b == 3)]
            up += [nn.Tanh()] if b == 3 else [nn.BatchNorm2d(b), nn.ReLU()]
        for w in reversed(widths):
            down += [nn.Conv2d(before, w, 4, 2, 1), nn.LeakyReLU(0.2)]
            before = w
        self.generator = nn.Sequential(nn.Linear(100, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)), *up)
        self.discriminator = nn.Sequential(*down, nn.Flatten(), nn.Linear(widths[0] * 16, 1))


class DiscriminatorLoss(Adversarial):
    def forward(self, noise, real):
        fake = self.generator(noise)
        return F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake)).mean()


class GeneratorLoss(Adversarial):
    def forward(self, noise):
        return F.softplus(-self.discriminator(self.generator(noise))).mean()


def gan(size, loss, trained):
    def build():
        data = (torch.randn(32, 100), torch.randn(32, 3, size, size).tanh())
        return loss(size), data[: 1 if trained == "generator" else 2], trained
    return build


class Classified(nn.Module):
    """An encoder with the cross entropy of its classes."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, image, target):
        return F.cross_entropy(self.encoder(image), target)


def resnet18():
    """He et al. 2016 with all its channels, on 16 pictures of 64x64."""
    layers, before = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for width in (64, 128, 256, 512):
        layers += [Residual(before, width, 1 if width == 64 else 2), Residual(width, width, 1)]
        before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100)]
    return Classified(nn.Sequential(*layers)), (torch.randn(16, 3, 64, 64), torch.randint(0, 100, (16,))), ""


class ViT(nn.Module):
    """Dosovitskiy et al. 2021, as DeiT-tiny: 12 layers of width 192, here on 64 patches."""

    def __init__(self, width=192, layers=12):
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, width, 8, 8), nn.Parameter(torch.randn(64, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 3, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 100)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x.mean(1)))


def vit_tiny():
    return Classified(ViT()), (torch.randn(16, 3, 64, 64), torch.randint(0, 100, (16,))), ""


class DecodeStep(nn.Module):
    """One word for each of 64 captions, nine words in the cache; no gradient."""

    def __init__(self):
        super().__init__()
        self.captioner = peer.Captioner(d=256, layers=3, words=WORDS)

    def forward(self, token, keys, values, memory_keys, memory_values):
        c, grown = self.captioner, []
        x = c.word(token) + c.position[keys.shape[3]]
        for i, block in enumerate(c.blocks):
            cache = [keys[i], values[i]]
            x = block(x, (memory_keys[i], memory_values[i]), cache)
            grown += cache
        return (c.out(c.norm(x[:, 0])), torch.stack(grown[::2]), torch.stack(grown[1::2]))


def decode_step():
    past, memory = (3, 64, 4, 9, 64), (3, 64, 4, 16, 64)
    return DecodeStep(), (tokens(64, 1), *(torch.randn(s) for s in (past, past, memory, memory))), None


MODELS = {
    "captioner": captioner,
    "attention_lstm": attention_lstm,
    "discriminator_32": gan(32, DiscriminatorLoss, "discriminator"),
    "generator_32": gan(32, GeneratorLoss, "generator"),
    "discriminator_64": gan(64, DiscriminatorLoss, "discriminator"),
    "generator_64": gan(64, GeneratorLoss, "generator"),
    "resnet18": resnet18,
    "vit_tiny": vit_tiny,
    "decode_step": decode_step,
}
