"""Requests over HTTP, as bytes on the wire would have them, to servers of small models."""

import asyncio
import json
from collections.abc import MutableMapping
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import seeds
from fuzzing.borders import NETWORK, small_model
from fuzzing.case import Case, FindingError, Reader
from fuzzing.mutate import NUMBERS, WORDS
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.serving.app import application
from pellucid.serving.service import Limits, Service

LIMITS = Limits(samples=2, waiting=8, seconds=5, body=1 << 20)
MARK = "fuzz"
FORM = f"content-type: multipart/form-data; boundary={MARK}"
PATHS = ("/v1/samples", "/v1/images/generations", "/v1/images/edits", "/v1/continuations", "/v1/imputations", "/v1/models",
         "/health", "/metrics", "/page/index.html", "/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/..%5c",
         "/openapi.json")  # fmt: skip
FIELDS = ("n", "seed", "label", "prompt", "negative", "source", "candidates", "length", "sampler", "grid", "steps",
          "guidance",
          "against", "format", "journey", "given", "stream", "size", "response_format", "output_format",
          "output_compression",
          "background", "model", "strength", "upscale", "denoise", "file")  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, 0, 1, 2, -1, 10**30, 0.5, 1e308, float("nan"), "", "cat", "cat, dog", "png",
                           "webp", "csv",
                           "8x8", "auto", "b64_json", "<script>alert(1)</script>", "../../x", [], ["cat"], {},
                           {"a": "b"}, "\ud800",
                           "ddim", "x" * 5000, [[[]]])  # fmt: skip


class Requests(Reader):
    """A method, a path, headers and a body, to a model of pictures (.pictures) or of series (.series)."""

    words = (
        b"POST ", b"GET ", b"PUT ", b"content-type: application/json\r\n", FORM.encode() + b"\r\n",
        b"authorization: Bearer x\r\n",
        b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"--fuzz\r\n", b"--fuzz--\r\n",
        b'filename="../../x.csv"',
        b"content-disposition: form-data; name=", *(b'"%s"' % name.encode() for name in FIELDS),
        *(path.encode() for path in PATHS),
    )  # fmt: skip

    @cached_property
    def apps(self) -> dict[str, Any]:
        learned = {"columns": ("price", "root"), "logged": (False, False), "centre": (110.0, 3.0), "spread": (5.0, 1.0),
                   "low": (100.0, 1.0), "high": (125.0, 5.0)}  # fmt: skip
        facts = Facts(shape=(2, 8), std=1.0, given=True, modality=learned)
        series = Model.create(ModelConfig(network=NETWORK, modality={"name": "series"}, sampling={"steps": 4}), facts)
        models = {".pictures": small_model(), ".series": series}
        return {name: application(Service(model, "small", limits=LIMITS, rows=2)) for name, model in models.items()}

    def seeds(self, folder: Path) -> list[Case]:  # noqa: ARG002
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("/v1/samples", {"n": 1, "seed": 1, "label": "cat"}), ("/v1/samples", {"journey": True, "stream": True,
            "format": "png"}),
            ("/v1/images/generations", {"prompt": "cat", "n": 1, "size": "16x16", "output_format": "webp"}),
        ]  # fmt: skip
        cases = [Case(kind, posted(path, body)) for path, body in bodies for kind in (".pictures", ".series")]
        cases += [Case(".pictures", f"GET {path}\r\n\r\n".encode()) for path in PATHS]
        edit = form("/v1/images/edits", {"prompt": "dog", "strength": "0.5"}, {"image": seeds.picture()})
        cases.append(Case(".pictures", edit))
        table = next(iter(seeds.series())).data
        for path, fields in (("/v1/continuations", {"length": "4", "n": "2"}), ("/v1/imputations", {"n": "2",
                                                                                                    "format": "csv"})):
            cases.append(Case(".series", form(path, fields, {"file": table})))
        return cases

    def made(self, rng: Random) -> Case | None:
        fields = {rng.choice(FIELDS): rng.choice(VALUES) for _ in range(rng.randrange(5))}
        kind, path = rng.choice((".pictures", ".series")), rng.choice(PATHS[:5])
        if rng.random() < 0.5:
            return Case(kind, posted(path, {"prompt": "x"} | fields if "images" in path else fields))
        texts = {name: str(value) for name, value in fields.items()}
        content = rng.choice((seeds.picture(), *(one.data for one in seeds.series()), *WORDS, *NUMBERS))
        return Case(kind, form(path, texts, {rng.choice(("image", "file", "mask", "image[]")): content}))

    def read(self, case: Case, folder: Path) -> str:  # noqa: ARG002
        status, body = asyncio.run(_asked(self.apps[case.suffix if case.suffix in self.apps else ".pictures"], case.data))
        if status >= 500 and status not in (503, 504):
            raise FindingError(f"status {status}: {body[:300]!r}")
        if b"Traceback" in body:
            raise FindingError(f"a traceback in the answer: {body[:300]!r}")
        return str(status)


def posted(path: str, body: Any) -> bytes:
    return f"POST {path}\r\ncontent-type: application/json\r\n\r\n".encode() + json.dumps(body).encode()


def form(path: str, fields: dict[str, str], files: dict[str, bytes]) -> bytes:
    """Of several parts."""
    head = f"--{MARK}\r\ncontent-disposition: form-data; name="
    text = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    body = text.encode("utf-8", "replace")
    for name, content in files.items():
        ends = "csv" if name == "file" else "png"
        body += f'{head}"{name}"; filename="a.{ends}"\r\n\r\n'.encode() + content + b"\r\n"
    return f"POST {path}\r\n{FORM}\r\n\r\n".encode() + body + f"--{MARK}--\r\n".encode()


async def _asked(app: Any, data: bytes) -> tuple[int, bytes]:
    """Status and body of the answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, _, target = first.decode("latin-1").partition(" ")
    path, _, query = target.partition("?")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    scope = {
        "type": "http", "http_version": "1.1", "method": method.upper() or "GET", "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"), "headers": headers, "scheme": "http", "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    sent, ended = iter([{"type": "http.request", "body": body, "more_body": False}]), asyncio.Event()
    status, answer = [500], list[bytes]()

    async def receive() -> dict[str, Any]:
        for message in sent:
            return message
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
        else:
            answer.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    finally:
        ended.set()
    return status[0], b"".join(answer)
