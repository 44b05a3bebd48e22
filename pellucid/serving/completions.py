"""`POST /v1/continuations` and `POST /v1/imputations`: what comes next in a file that is sent, and what is missing in it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from pellucid.core.errors import ConfigError, UnsupportedError, UserError, nearest
from pellucid.modalities.documents import SUFFIXES as TEXTS
from pellucid.modalities.modality import Modality
from pellucid.modalities.series import Series
from pellucid.modalities.text import Text
from pellucid.modalities.video import Video
from pellucid.model.completion import complete, save
from pellucid.model.model import Model
from pellucid.model.rolling import roll_on
from pellucid.model.writing import read_text, tokens, write
from pellucid.serving.answers import Files, making
from pellucid.serving.batcher import Tell
from pellucid.serving.files import File
from pellucid.serving.samples import Name, bare, check_model, disconnected
from pellucid.serving.service import Service, finished
from pellucid.serving.stream import News

TABLES, FILMS = (".csv", ".tsv", ".parquet"), (".mp4", ".webm", ".mov", ".mkv", ".gif", ".webp", ".png")
VERSIONS, GAP = 100, "_"
PAST = 2
"""Windows before a forecast in a chart."""


class Body(BaseModel):
    """Fields of the form beside the file."""

    model_config = ConfigDict(extra="forbid", title="CompletionRequest")

    file: UploadFile
    model: Name | None = None
    length: int = Field(0, ge=0, le=65536, description="Rows, frames or tokens to add; of continuations.")
    n: int | None = Field(None, ge=1, le=4096, description="Versions that are drawn: 100 of a table, else 1.")
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
    content, seed, news, began = await body.file.read(), service.seed_for(body.seed), News(body.stream), perf_counter()
    source, target = _names(service.model.modality, body)
    job = service.work(lambda tell: _completed(service.model, body, content, source, target, seed, tell), news.tell)

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


def _completed(model: Model, body: Body, content: bytes, source: str, target: str, seed: int, tell: Tell) -> File:
    """The answer's file. Errors call what was sent by the client's name for it."""
    with TemporaryDirectory() as folder:
        sent, made = Path(folder) / f"input{source}", Path(folder) / f"output{target}"
        sent.write_bytes(content)
        try:
            _complete(model, body, sent, made, {"seed": seed, "progress": tell})
        except UserError as error:
            raise UserError(str(error).replace(str(sent), Path(body.file.filename or source).name)) from None
        return File(made.name, made.read_bytes())


def _complete(model: Model, body: Body, sent: Path, made: Path, how: dict[str, Any]) -> None:
    """One file from the other."""
    how |= {name: value for name in ("label", "steps", "sampler") if (value := getattr(body, name)) is not None}
    match model.modality:
        case Series():
            found = complete(model, sent, length=body.length, n=body.n or VERSIONS, **how)
            save(found, made, past=PAST * model.facts.shape[1])
        case Video():
            roll_on(model, sent, body.length, n=body.n or 1, prompt=body.prompt, **how).save(made)
        case Text() as text:
            whole, gap = read_text(sent), "" if body.length else GAP
            length = len(tokens(text, whole, gap)) + body.length if body.length else None
            write(model, [whole], n=body.n or 1, length=length, gap=gap, more=not gap, **how).save(made)

