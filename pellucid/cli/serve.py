"""`pellucid serve`."""

import errno
import socket
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.engine import Engine, with_engine
from pellucid.cli.options import Device, Json, ModelPlace, Quiet, choose_device, result
from pellucid.core.errors import ConfigError, UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pellucid.serving.service import Service

KEY = "PELLUCID_API_KEY"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    model: ModelPlace,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0: to everybody.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0: any that is free.")] = 8000,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="By which requests call the model.", show_default="its own")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", envvar=KEY, help="That requests have to carry; none unless given.")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=0, help="Samples made at once; 0: as many as pay here.")] = 0,
    waiting: Annotated[int, typer.Option(metavar="N", min=1, help="Samples that may wait; beyond, it is busy.")] = 1024,
    most: Annotated[int, typer.Option(metavar="N", min=1, help="Samples of one request.")] = 128,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.1, help="That a request may take in all.")] = 600.0,
    megabytes: Annotated[float, typer.Option(metavar="MB", min=0.01, help="Of a request's body.")] = 32.0,
    engine: Engine = "torch",
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Of requests without one; any unless given.", show_default=False)
    ] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Serve a model: an HTTP API and a web page.

    Pictures by the images API of OpenAI (`/v1/images/generations`, `edits`);
    samples of every kind, with progress, by `/v1/samples`; `/openapi.json` has it
    all. Requests of many clients are made together, each as it would be alone.
    It listens on this machine alone unless --host says else. Ctrl-C ends it after
    what was taken on is done, or after a minute; pressed twice, at once.

    Examples:
      pellucid serve emoji
      pellucid serve runs/photos --port 9000 --engine auto
      pellucid serve runs/photos --host 0.0.0.0 --api-key secret
    """
    if api_key is not None and (not api_key.isascii() or not api_key.strip()):
        raise ConfigError("--api-key: expected letters, digits and signs of ASCII")
    from pellucid.cli.console import console, counted
    from pellucid.core.optional import optional
    from pellucid.interop.load import load

    for library in ("uvicorn", "fastapi", "python_multipart", "prometheus_client"):
        optional(library, "Serving", "serve")
    screen, loaded = console(quiet), load(model, choose_device(device))
    lines = with_engine(loaded, engine, None, batch or 8, screen)
    from pellucid.serving.app import application
    from pellucid.serving.service import Limits, Service

    limits = Limits(samples=most, waiting=waiting, seconds=seconds, body=int(megabytes * 2**20))
    service = Service(
        loaded, name or model.name.removesuffix(".safetensors"), limits=limits, rows=batch, seed=seed, thread=False
    )
    app = application(service, key=api_key)
    listening = _listen(host, port)
    address = f"http://{host if ':' not in host else f'[{host}]'}:{listening.getsockname()[1]}"
    lines |= {
        "model": f"{service.name}, {counted(service.rows, 'sample')} at once",
        "open": f"{address}/",
        "api": f"{address}/v1/samples, {address}/v1/images/generations, {address}/openapi.json",
        "key": "asked for" if api_key else "none: whoever reaches the address may ask",
        "end": "Ctrl-C",
    }
    if host not in LOOPBACK and api_key is None:
        lines["note"] = f"others can reach {host}: --api-key or {KEY} has them need a key"
    result(lines, {"address": address, "model": service.name, "batch": service.rows}, json, quiet)
    _run(app, listening, service)


def _listen(host: str, port: int) -> socket.socket:
    """A socket, before any model is promised to anybody."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(2048)
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        fix = "something else listens there, give another --port" if busy else "see --host, --port"
        raise UserError(f"Cannot listen on {host}, port {port}: {error.strerror or error} ({fix})") from None
    return found


def _run(app: "FastAPI", listening: socket.socket, service: "Service") -> None:
    """Until a signal, and what was taken on is done or had its time: HTTP in a thread, the model in this one, its loader."""
    import uvicorn

    from pellucid.serving.app import GRACE
    from pellucid.serving.wire import Ending, Wire

    config = uvicorn.Config(
        app, http=Wire, log_level="warning", access_log=False, timeout_keep_alive=30, server_header=False,
        timeout_graceful_shutdown=round(GRACE),
    )  # fmt: skip
    server = Ending(config, lambda: service.close(GRACE))

    def talk() -> None:
        try:
            server.run(sockets=[listening])
        finally:
            service.close(0)

    talking = Thread(target=talk, name="http")
    with server.capture_signals():  # which then end the process as they would have
        talking.start()
        service.batcher.work()
        talking.join()
