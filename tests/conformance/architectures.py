"""Tiny models of the families that people export: each function gives model, inputs, loss and target."""

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """The basic block of ResNet (He et al. 2016)."""

    def __init__(self, width, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride != 1 or width != out:
            self.shortcut = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.norm(self.conv1(x)))
        return F.relu(self.second_norm(self.conv2(y)) + self.shortcut(x))


def resnet(g):
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Residual(6, 6, 1), Residual(6, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return model, (torch.randn(6, 3, 12, 12, generator=g),), "cross_entropy", torch.arange(6) % 5


class UNet(nn.Module):
    """Ronneberger et al. 2015, with a transposed convolution on one level and a resize on the other."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 6, 3, 1, 1)
        self.middle = nn.Conv2d(6, 8, 3, 1, 1)
        self.group_norm = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.right2, self.right1 = nn.Conv2d(12, 6, 3, 1, 1), nn.Conv2d(10, 4, 3, 1, 1)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        a = F.relu(self.down1(x))
        b = F.relu(self.down2(F.max_pool2d(a, 2)))
        y = F.silu(self.group_norm(self.middle(F.max_pool2d(b, 2))))
        y = F.relu(self.right2(torch.cat([self.up(y), b], 1)))
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = F.relu(self.right1(torch.cat([y, a], 1)))
        return self.last(y) + F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="nearest")


def unet(g):
    x = torch.randn(2, 3, 12, 12, generator=g)
    return UNet(), (x,), "mse", torch.randn(2, 3, 12, 12, generator=g)


class ViT(nn.Module):
    """Dosovitskiy et al. 2021."""

    def __init__(self, width=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, 10, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 3, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


def vit(g):
    return ViT(), (torch.randn(4, 3, 12, 12, generator=g),), "cross_entropy", torch.arange(4) % 5


class Block(nn.Module):
    """A block of GPT-2 (Radford et al. 2019)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).split(c, 2)
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.narrow(F.gelu(self.wide(self.norm(x)), approximate="tanh"))


class GPT(nn.Module):
    """A decoder whose output weights are those of its embedding."""

    def __init__(self, words=13, length=7, width=12):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, 3) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, tokens):
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


def gpt2(g):
    tokens = torch.randint(0, 13, (3, 8), generator=g)
    return GPT(), (tokens[:, :-1].contiguous(),), "cross_entropy", tokens[:, 1:].reshape(-1)


class AttentionLSTM(nn.Module):
    """Show, attend and tell (Xu et al. 2015): an LSTM cell that looks at regions at each word."""

    def __init__(self, words=11, width=8):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.cell = nn.LSTMCell(2 * width, width)
        self.of_regions, self.of_state, self.score = nn.Linear(6, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.value, self.start, self.head = nn.Linear(6, width), nn.Linear(6, width), nn.Linear(width, words)

    def forward(self, regions, tokens):
        h = torch.tanh(self.start(regions.mean(1)))
        c, logits = torch.zeros_like(h), []
        keys = self.of_regions(regions)
        for t in range(tokens.shape[1]):
            energy = self.score(torch.tanh(keys + self.of_state(h).unsqueeze(1))).squeeze(2)
            seen = (energy.softmax(1).unsqueeze(2) * self.value(regions)).sum(1)
            h, c = self.cell(torch.cat([self.words(tokens[:, t]), seen], 1), (h, c))
            logits.append(self.head(h))
        return torch.stack(logits, 1).flatten(0, 1)


def attention_lstm(g):
    tokens = torch.randint(0, 11, (3, 5), generator=g)
    regions = torch.randn(3, 4, 6, generator=g)
    return AttentionLSTM(), (regions, tokens[:, :-1].contiguous()), "cross_entropy", tokens[:, 1:].reshape(-1)


class LSTM(nn.Module):
    """A bidirectional LSTM of two layers."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        return self.head(y.mean(1) + torch.cat([h[0], c[3]], 1))


def lstm(g):
    return LSTM(), (torch.randn(3, 6, 6, generator=g),), "cross_entropy", torch.arange(3) % 4


class ModulatedConv(nn.Module):
    """Modulation and demodulation of weights, as one grouped convolution (Karras et al. 2020)."""

    def __init__(self, width, out, style):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, out, width, 3, 3))
        self.style = nn.Linear(style, width)

    def forward(self, x, w):
        b, c, h, width = x.shape
        weight = self.weight * (self.style(w) + 1).view(b, 1, c, 1, 1)
        weight = weight * (weight.pow(2).sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        y = F.conv2d(x.reshape(1, b * c, h, width), weight.flatten(0, 1), padding=1, groups=b)
        return y.view(b, -1, h, width)


class Style(nn.Module):
    def __init__(self, style=6):
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(5, style), nn.LeakyReLU(0.2), nn.Linear(style, style))
        self.start = nn.Parameter(torch.zeros(1, 6, 4, 4))
        self.first, self.second = ModulatedConv(6, 6, style), ModulatedConv(6, 4, style)
        self.image = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        z = z * (z.pow(2).mean(1, keepdim=True) + 1e-8).rsqrt()
        w = self.mapping(z)
        x = F.leaky_relu(self.first(self.start.expand(z.shape[0], -1, -1, -1), w), 0.2)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.image(F.leaky_relu(self.second(x, w), 0.2))


def stylegan(g):
    return Style(), (torch.randn(3, 5, generator=g),), "mse", torch.randn(3, 3, 8, 8, generator=g)


class NextBlock(nn.Module):
    """A block of ConvNeXt (Liu et al. 2022)."""

    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(F.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext(g):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 2, 2), NextBlock(8), nn.Conv2d(8, 10, 2, 2), NextBlock(10),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.LayerNorm(10), nn.Linear(10, 5))
    return model, (torch.randn(4, 3, 16, 16, generator=g),), "cross_entropy", torch.arange(4) % 5


class Inverted(nn.Module):
    """An inverted residual with squeeze and excitation (Howard et al. 2019)."""

    def __init__(self, width, wide, stride, gate):
        super().__init__()
        self.wide, self.norm = nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.depthwise = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)
        self.depth_norm = nn.BatchNorm2d(wide)
        self.squeeze, self.excite = nn.Conv2d(wide, 4, 1), nn.Conv2d(4, wide, 1)
        self.narrow, self.last_norm = nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)
        self.gate, self.residual = gate, stride == 1

    def forward(self, x):
        y = self.gate(self.norm(self.wide(x)))
        y = self.gate(self.depth_norm(self.depthwise(y)))
        y = y * F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        y = self.last_norm(self.narrow(y))
        return x + y if self.residual else y


def mobilenet(g):
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.Hardswish(),
        Inverted(6, 12, 1, nn.ReLU6()), Inverted(6, 12, 2, nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    return model, (torch.randn(6, 3, 16, 16, generator=g),), "cross_entropy", torch.arange(6) % 5


class Generator(nn.Sequential):
    """Radford et al. 2016."""

    def __init__(self):
        super().__init__(
            nn.Unflatten(1, (8, 1, 1)), nn.ConvTranspose2d(8, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh())


class Discriminator(nn.Sequential):
    """Radford et al. 2016."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(6, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
            nn.Conv2d(8, 1, 4), nn.Flatten())


MODELS = {
    "resnet": resnet, "unet": unet, "vit": vit, "gpt2": gpt2, "attention_lstm": attention_lstm, "lstm": lstm,
    "stylegan": stylegan, "convnext": convnext, "mobilenet": mobilenet,
}
