"""An autoregressive transformer of the same parts, size and cost as a model of texts: each token from those before it."""

from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm

from pellucid.core.config import build
from pellucid.core.items import Item
from pellucid.core.random import Key
from pellucid.data.order import stream
from pellucid.data.pack import Pack
from pellucid.denoisers.categorical import EMBEDDED
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import END
from pellucid.model.files import write_tensors
from pellucid.model.model import Model
from pellucid.networks import networks
from pellucid.networks.attention import SelfAttention, split_heads
from pellucid.networks.initialise import initialise
from pellucid.networks.linear import Linear
from pellucid.networks.transformer import Transformer
from pellucid.training.config import RunConfig, load_config
from pellucid.training.ema import PowerEMA
from pellucid.training.optimiser import build_optimiser
from pellucid.training.plan import learning_rate_factor

CHECKS = 20
"""On the way."""


class _Causal(SelfAttention):
    """Attention to what came before, by plain products, as `attend` has them in bfloat16."""

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        positions = x.flatten(1, -2)
        query_key = split_heads(self.query_key(positions), 2 * self.heads)
        query_key = layer_norm(query_key, query_key.shape[-1:], self.gain, eps=1e-6)
        q, k = self.rotary(query_key, x.shape[1:-1]).chunk(2, dim=1)
        v = split_heads(self.value(positions), self.heads)
        later = torch.full((q.shape[2], k.shape[2]), float("-inf"), dtype=v.dtype).triu(1)
        with torch.autocast(x.device.type, enabled=False):
            q, k = ((z / q.shape[-1] ** 0.25).to(v).flatten(0, 1) for z in (q, k))
            weights = (torch.bmm(q, k.transpose(1, 2)) + later).softmax(-1)
            y = torch.bmm(weights, v.flatten(0, 1)).reshape(v.shape)
        output: Tensor = self.output(y.transpose(1, 2).reshape(x.shape))
        return output


class Autoregressive(nn.Module):
    """log p(x_i | x_<i), of the parts of `Categorical`, the end standing before the first token. What follows the end of a
    text is no part of it.
    """

    def __init__(self, network: Transformer, categories: int, length: int, sourced: int = 0) -> None:
        super().__init__()
        for part in network.modules():
            if type(part) is SelfAttention:
                part.__class__ = _Causal
        self.network, self.sourced = network, sourced
        self.embedding, self.places = nn.Embedding(categories, EMBEDDED), nn.Embedding(length, EMBEDDED)
        self.head = Linear(EMBEDDED, categories)

    def forward(self, x: Tensor, places: slice) -> Tensor:
        """Logits (B, N, K) of N places of tokens x (B, L)."""
        before = torch.cat([torch.full_like(x[:, :1], END), x[:, :-1]], dim=1)
        seen = (self.embedding(before) + self.places.weight).movedim(-1, 1)
        features: Tensor = self.network(seen, torch.zeros(len(x)))
        logits: Tensor = self.head(features[..., places].movedim(1, -1))
        return logits

    def nats(self, x: Tensor) -> Tensor:
        """-log p of each text, (B,)."""
        own = x[:, self.sourced :]
        counts = ((own == END).cumsum(1) <= 1).float()  # the end itself, and nothing after it
        logits = self(x, slice(self.sourced, None)).flatten(0, 1)
        each = cross_entropy(logits, own.flatten(), reduction="none").reshape(own.shape)
        return (each * counts).sum(1)

    @torch.no_grad()
    def continued(self, x: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Tokens (B, L) drawn one after the other, from the first -1 on."""
        x = x.clone()
        for place in range(int((x[0] >= 0).sum()), x.shape[1]):
            logits = self(x.clamp(min=0), slice(place, place + 1))[:, 0].double() / temperature
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            ended = (x[:, self.sourced : place] == END).any(1)
            x[:, place] = torch.where(ended, END, drawn)
        return x


@dataclass(frozen=True)
class Trained:
    """One, what its tokens are, after how many windows its weights are those that are kept, and what all of them took."""

    model: Autoregressive
    text: Text
    seen: int = 0
    trained: int = 0
    minutes: float = 0.0


def train(run: Path, samples: int, validation: Path | None, out: Path) -> None:
    """On the data of a run, with its settings: the same batches, optimiser, curve and precision.

    Of the averages on the way those are kept that are best on `validation`: it overfits sooner than diffusion.
    """
    config, made, pack = load_config(run / "config.toml"), _made(run), Pack.open(run / "data")
    model, text = made.model, made.text
    initialise(model, Key(config.seed, "init autoregressive"))
    optimiser, batch, seen = build_optimiser(config.optimiser, model), config.training.batch, 0
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    average = PowerEMA(model.state_dict(), config.training.ema[0])
    checks = None if validation is None else windows(text, validation, model.places.num_embeddings)
    best, at, began = float("inf"), 0, perf_counter()
    while seen < samples:
        factor = learning_rate_factor(seen, seen / samples, warmup=config.training.warmup, decay=config.training.decay)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        x = text.decode(pack[stream(config.seed, len(pack), seen, batch)][0])[:, 0]
        with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bfloat16"):
            loss = model.nats(x).mean() / x.shape[1]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.training.clip)
        optimiser.step()
        seen += batch
        average.update(model.state_dict(), seen // batch)
        if seen // batch % (samples // batch // CHECKS or 1) == 0 or seen >= samples:
            now = 0.0 if checks is None else _checked(config, made, average, checks)
            bits = float(loss.detach()) / log(2)
            print(f"{seen:,} of {samples:,}, {bits:.3f} bits a token, {now:.3f} a letter held out", flush=True)
            if now < best or checks is None:
                best, at, kept = now, seen, {name: value.clone() for name, value in average.average.items()}
            minutes = (perf_counter() - began) / 60
            write_tensors(out, kept, {"seen": str(at), "trained": str(seen), "minutes": f"{minutes:.1f}"})


def _checked(config: RunConfig, made: Trained, average: PowerEMA, checks: np.ndarray) -> float:
    """Bits a letter by the averaged weights."""
    own = {name: value.clone() for name, value in made.model.state_dict().items()}
    made.model.load_state_dict(average.average)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bfloat16"):
        bits, letters = bits_per_character(made, checks).sum(0)
    made.model.load_state_dict(own)
    return float(bits / letters)


def windows(text: Text, folder: Path, length: int) -> np.ndarray:
    """Texts of a folder, as they are stored."""
    return np.stack([record.data for record in text.read(folder, size=(length,)) if isinstance(record, Item)])


def read(run: Path, path: Path) -> Trained:
    """What `train` has written."""
    made = _made(run)
    made.model.load_state_dict(load_file(path))
    with safe_open(path, "pt") as file:
        said = file.metadata()
    return replace(made, seen=int(said["seen"]), trained=int(said["trained"]), minutes=float(said["minutes"]))


def _made(run: Path) -> Trained:
    """Untrained, for the data of a run."""
    config, like = load_config(run / "config.toml"), Model.load(run)
    text = like.modality
    assert isinstance(text, Text)
    network: Transformer = build(
        networks, config.network, in_channels=EMBEDDED, out_channels=EMBEDDED, space=like.facts.shape[1:]
    )
    model = Autoregressive(network, text.categories, like.facts.shape[1], text.sourced)
    return Trained(model.eval(), text)


@torch.no_grad()
def bits_per_character(trained: Trained, stored: np.ndarray) -> np.ndarray:
    """Bits and characters of each window, (N, 2), its end one of these."""
    rows = []
    for first in range(0, len(stored), 64):
        x = trained.text.decode(stored[first : first + 64])
        own = x[:, 0, trained.text.sourced :]
        letters = [len(text) + int((row == END).any()) for text, row in zip(trained.text.texts(x), own, strict=True)]
        rows.append(np.stack([trained.model.nats(x[:, 0]).double().numpy() / log(2), letters], 1))
    return np.concatenate(rows)
