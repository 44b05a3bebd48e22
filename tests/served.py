"""A server of a small model in a thread, for tests of what clients see."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from time import monotonic, sleep
from typing import Any

import torch
import uvicorn

from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.serving.app import application
from pellucid.serving.service import Limits, Service


def small_model(channels: int = 3, **facts: Any) -> Model:
    """Pictures of 8 x 8 by random weights, which heed labels and words."""
    return random_model(Facts(shape=(channels, 8, 8), std=0.5, **facts))


def random_model(facts: Facts, **config: Any) -> Model:
    """A model by random weights, small unless `config` says otherwise."""
    network = {"name": "mlp", "width": 16, "depth": 1}
    model = Model.create(ModelConfig(**{"network": network, "sampling": {"steps": 4}, **config}), facts)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.denoiser.parameters():
        parameter.requires_grad_(False).add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@dataclass(frozen=True)
class Served:
    """Where it listens, and what it is made of."""

    address: str
    service: Service
    server: uvicorn.Server
    thread: Thread


@contextmanager
def serving(model: Model, *, key: str | None = None, rows: int = 4, **limits: Any) -> Iterator[Served]:
    """A server on a free port of this machine, ended with the block."""
    service = Service(model, "small", limits=Limits(**limits), rows=rows)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(service, key=key, grace=10), log_level="warning"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = monotonic() + 30
    while not server.started and monotonic() < until:
        sleep(0.01)
    assert server.started
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", service, server, thread)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
    assert not thread.is_alive()
