"""`POST /v1/continuations` and `POST /v1/imputations`: what comes next in a file that is sent, and what is missing in it."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from pellucid.core.errors import ConfigError, UnsupportedError, UserError, nearest
from pellucid.modalities.documents import SUFFIXES as TEXTS
from pellucid.modalities.history import History
from pellucid.modalities.modality import Modality
from pellucid.modalities.series import Series
from pellucid.modalities.text import Text
from pellucid.modalities.video import Video
from pellucid.model.completion import KEPT, complete, save
from pellucid.model.model import Model
from pellucid.model.rolling import roll_on
from pellucid.model.writing import LONGEST, read_text, tokens, write
from pellucid.serving.answers import Files, making
from pellucid.serving.batcher import Tell
from pellucid.serving.files import File
from pellucid.serving.guard import TooLargeError
from pellucid.serving.samples import Name, bare, check_model, disconnected
from pellucid.serving.service import Service, finished
from pellucid.serving.stream import News

TABLES, FILMS = (".csv", ".tsv", ".parquet"), (".mp4", ".webm", ".mov", ".mkv", ".gif", ".webp", ".png")
VERSIONS, GAP = 100, "_"
NAME, LARGEST = "input", 2**25
"""What a file is called here, and numbers in all versions of the series in a table."""
PAST = 2
"""Windows before a forecast in a chart."""


class Body(BaseModel):
    """Fields of the form beside the file."""

    model_config = ConfigDict(extra="forbid", title="CompletionRequest")

    file: UploadFile
    model: Name | None = None
    length: int = Field(0, ge=0, le=65536, description="Rows, frames or tokens to add; of continuations.")
    n: int | None = Field(None, ge=1, le=4096, description="Versions that are drawn: 100 of a table, or as many as "
                                                          "a request may have; else 1.")  # fmt: skip
    seed: int | None = Field(None, ge=0, lt=2**64)
    label: Name | None = None
    prompt: Annotated[str, Field(max_length=4000)] | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    sampler: Name | None = None
    format: Name | None = Field(None, description="Of the answer's file: csv, png, mp4, webp, txt, ...")
    stream: bool = False


def router(service: Service) -> APIRouter:
    """The routes, for one model."""
    routes = APIRouter(tags=["completions"])

    @routes.post("/v1/continuations", summary="What comes next", response_model=None, responses=making(Files))
    async def continuations(body: Annotated[Body, Form(media_type="multipart/form-data")], request: Request) -> Response:
        if not body.length:
            raise ConfigError("length: expected how many rows, frames or tokens to add")
        return await _answered(service, body, request)

    @routes.post("/v1/imputations", summary="What is missing", response_model=None, responses=making(Files))
    async def imputations(body: Annotated[Body, Form(media_type="multipart/form-data")], request: Request) -> Response:
        if body.length:
            raise ConfigError("length goes with continuations: leave it out")
        return await _answered(service, body, request)

    return routes


async def _answered(service: Service, body: Body, request: Request) -> Response:
    check_model(service, body.model)
    seed, news, began, until = service.seed_for(body.seed), News(body.stream), perf_counter(), service.until()
    source, target = _names(service.model.modality, body)
    n = body.n or (min(VERSIONS, service.limits.samples) if isinstance(service.model.modality, Series) else 1)
    service.check(n)
    sent: Sent = await service.read(lambda: _read(service.model, body, n, source), lambda: disconnected(request),
                                    size=body.file.size or 0, until=until)  # fmt: skip
    job = service.work(lambda tell: _completed(sent, body, n, target, seed, tell), news.tell,
                       n=n, size=sent.size, until=until)  # fmt: skip

    async def answer() -> dict[str, Any]:
        file = (await finished(job, lambda: disconnected(request)))[0]
        return {"model": service.name, "seed": seed, "seconds": round(perf_counter() - began, 4), "files": [file.as_json()],
                **({"texts": [file.content.decode()]} if target == ".txt" else {})}  # fmt: skip

    if body.stream:
        return news.response(answer())
    found = await answer()
    return bare(request, found) or JSONResponse(found)


def _names(modality: Modality, body: Body) -> tuple[str, str]:
    """How the files end that are read and written. Of the client's own name nothing else is used."""
    sent, asked = Path(body.file.filename or "").suffix.lower(), f".{body.format.removeprefix('.')}" if body.format else ""
    known: tuple[str, ...]
    made: tuple[str, ...]
    match modality:
        case Series():
            known, made = TABLES, (*TABLES, ".png", ".webp")
        case Video():
            known, made = FILMS, (".webp", ".mp4", ".webm", ".gif")
        case Text():
            known, made = TEXTS, (".txt",)
        case _:
            raise UnsupportedError("Completions are for models of series, films and texts; pictures: POST /v1/images/edits")
    if sent not in known:
        raise ConfigError(f"The file's name ends with '{sent}': {nearest(sent, known)}")
    if asked and asked not in made:
        raise ConfigError(f"format = {body.format}: {nearest(asked, made)}")
    return sent, asked or made[0]


@dataclass(frozen=True)
class Sent:
    """A file that was read: how it is called, what it holds, a model that need not read it again, and its bytes at work."""

    path: Path
    model: Model
    text: str
    size: int


def _read(model: Model, body: Body, n: int, source: str) -> Sent:
    """What was sent, for `n` versions. Errors call it by the client's name for it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}{source}"
        path.write_bytes(body.file.file.read())
        try:
            match model.modality:
                case Series() as series:
                    table = series.open(path)
                    return Sent(path, _opened(model, table), "", _fits(table[0], n, body.length, model.facts.shape))
                case Video() as video:
                    film = video.open(path, model.facts.shape)
                    return Sent(path, _opened(model, film), "", film[0].nbytes)
                case Text() as text:
                    words = read_text(path)
                    if (whole := n * len(tokens(text, words, "" if body.length else GAP))) > LONGEST:
                        raise TooLargeError(f"n = {n} versions have {whole:,} tokens: expected {LONGEST:,} at most")
                    return Sent(path, model, words, len(words))
                case other:
                    raise UnsupportedError(f"Nothing can be completed by a model of {type(other).__name__.lower()}")
        except TooLargeError:
            raise
        except UserError as error:
            raise UserError(str(error).replace(str(path), Path(body.file.filename or source).name)) from None


def _opened(model: Model, found: Any) -> Model:
    """The model with a modality that gives what was found in the file, whose reading is thus over before drawing begins."""
    modality = copy(model.modality)
    object.__setattr__(modality, "open", lambda *_: found)  # it is frozen for others
    return replace(model, modality=modality)


def _fits(found: Sequence[History], n: int, length: int, shape: tuple[int, ...]) -> int:
    """Bytes of the series in a table, of which `n` versions have to fit."""
    rows = [len(one.values) for one in found]
    size = n * shape[0] * sum(min(one, KEPT * shape[1]) + length if length else one for one in rows)
    if size > LARGEST:
        raise TooLargeError(f"n = {n} versions of the table are {size:,} numbers: expected {LARGEST:,} at most: ask for "
                            "fewer, or send fewer rows")  # fmt: skip
    return sum(one.values.nbytes for one in found)


def _completed(sent: Sent, body: Body, n: int, target: str, seed: int, tell: Tell) -> File:
    """The answer's file. Errors call what was sent by the client's name for it."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"output{target}"
        try:
            _complete(sent, body, n, made, {"seed": seed, "progress": tell})
        except UserError as error:
            raise UserError(str(error).replace(str(sent.path), Path(body.file.filename or sent.path).name)) from None
        return File(made.name, made.read_bytes())


def _complete(sent: Sent, body: Body, n: int, made: Path, how: dict[str, Any]) -> None:
    """A file from what was sent."""
    model = sent.model
    how |= {name: value for name in ("label", "steps", "sampler") if (value := getattr(body, name)) is not None}
    match model.modality:
        case Series():
            found = complete(model, sent.path, length=body.length, n=n, **how)
            save(found, made, past=PAST * model.facts.shape[1])
        case Video():
            roll_on(model, sent.path, body.length, n=n, prompt=body.prompt, **how).save(made)
        case Text() as text:
            whole, gap = sent.text, "" if body.length else GAP
            length = len(tokens(text, whole, gap)) + body.length if body.length else None
            write(model, [whole], n=n, length=length, gap=gap, more=not gap, **how).save(made)
