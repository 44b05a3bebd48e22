"""`POST /v1/samples`: samples of every kind of model, with progress if it is asked for."""

import asyncio
from base64 import b64decode
from binascii import Error as Base64Error
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.modalities.joint import Joint
from pellucid.modalities.modality import Modality
from pellucid.modalities.series import Series
from pellucid.modalities.text import HIDDEN, Text
from pellucid.model.answering import answer
from pellucid.model.model import JOURNEY_SAMPLES
from pellucid.model.samples import Samples
from pellucid.model.writing import write
from pellucid.serving.answers import Files, making
from pellucid.serving.batcher import Job, Tell
from pellucid.serving.drawing import Asked, ask, check_journey, together
from pellucid.serving.files import File, as_files, frames, tables
from pellucid.serving.service import Service, finished
from pellucid.serving.stream import News

Words = Annotated[str, Field(max_length=4000)]
Name = Annotated[str, Field(max_length=200)]
HOW = ("sampler", "grid", "steps", "guidance", "against")


class Body(BaseModel):
    """What may be asked for; what is left out is as the model's training set it."""

    model_config = ConfigDict(extra="forbid", title="SamplesRequest")

    model: Name | None = Field(None, description="The served model's name; any if left out.")
    n: int = Field(1, ge=1, le=4096, description="How many samples.")
    seed: int | None = Field(None, ge=0, lt=2**64, description="Same seed, same samples; a random one if left out.")
    label: Name | list[Name] | None = Field(None, description="A class by name, or a list of them in turn.")
    prompt: Words | None = Field(None, description="What to make, in words; what texts begin with.")
    negative: Words | None = Field(None, description="What not to make; takes guidance above 1.")
    source: Words | None = Field(None, description="Of models that make texts from texts: from which.")
    candidates: int = Field(1, ge=1, le=64, description="Of texts from texts: of so many the one most like the others.")
    length: int | None = Field(None, ge=1, le=65536, description="Of texts: tokens.")
    sampler: Name | None = None
    grid: Name | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    guidance: float | None = Field(None, ge=-100, le=100)
    against: Name | None = Field(None, description="What guidance leads away from: null or weak.")
    format: Name | None = Field(None, description="One file of all samples: wav, csv, mp4, ...; one each if left out.")
    journey: bool = Field(False, description="Also noise becoming data: at each step a picture, tokens, or numbers; of at "
                                             "most 16 samples.")  # fmt: skip
    given: dict[Name, str] | None = Field(None, description="Of samples of several parts those that are known: a text as it "
                                                            "is, a picture's or sound's file in base64.")  # fmt: skip
    stream: bool = Field(False, description="Progress as server-sent events, the answer as the last of them.")


def router(service: Service) -> APIRouter:
    """The route, for one model."""
    routes = APIRouter(tags=["samples"])

    @routes.post("/v1/samples", summary="Make samples", response_model=None, responses=making(Files))
    async def samples(body: Body, request: Request) -> Response:
        check_model(service, body.model)
        began, seed, news = perf_counter(), service.seed_for(body.seed), News(body.stream)
        job = await asyncio.to_thread(_queued, service, body, seed, news.tell)

        async def answer() -> dict[str, Any]:
            found = await finished(job, lambda: disconnected(request))
            made = together(service.model, job.asked, found, 0) if isinstance(job.asked, Asked) else found[0]
            return await asyncio.to_thread(_as_json, service, body, made, seed, perf_counter() - began)

        if body.stream:
            return news.response(answer())
        found = await answer()
        return bare(request, found) or JSONResponse(found)

    return routes


def check_model(service: Service, name: str | None) -> None:
    """Refuse another model's name."""
    if name not in (None, "", service.name):
        raise ConfigError(f"Model '{name}' is not served here: expected '{service.name}', or none")


async def disconnected(request: Request) -> None:
    """Ends when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def bare(request: Request, found: dict[str, Any]) -> Response | None:
    """The file alone, for a client that asks for no JSON (`Accept: image/png`)."""
    wanted, files = request.headers.get("accept", "*/*").partition(",")[0].strip(), found["files"]
    if len(files) != 1 or wanted.partition(";")[0] != files[0]["media_type"]:
        return None
    return Response(b64decode(files[0]["base64"]), media_type=files[0]["media_type"], headers={"X-Seed": str(found["seed"])})


def _queued(service: Service, body: Body, seed: int, tell: Tell) -> Job:
    """The job, after all of it that can be was tried."""
    how = {name: value for name in HOW if (value := getattr(body, name)) is not None}
    if isinstance(service.model.modality, Text) and (body.source, body.prompt, body.length) != (None, None, None):
        candidates = body.candidates if body.source is not None else 1
        service.check(body.n, candidates)
        if body.journey:
            steps = int(service.model.sampling(steps=body.steps)["steps"])
            check_journey(service.model, min(body.n * candidates, JOURNEY_SAMPLES), steps)
        return service.work(lambda own: _written(service, body, seed, how, own), tell, n=body.n, candidates=candidates)
    if body.source is not None or body.length is not None or body.candidates != 1:
        raise UnsupportedError("source, candidates and length are for models of texts: leave them out")
    service.check(body.n)
    asked = ask(service.model, n=body.n, seed=seed, label=body.label, prompt=body.prompt, negative=body.negative,
                known=_known(service.model.modality, body.given), journey=body.journey, **how)  # fmt: skip
    return service.sample(asked, tell)


def _known(modality: Modality, given: dict[str, str] | None) -> Tensor | None:
    """The parts that are. None of it names a file: all that is sent is content."""
    if given is None:
        return None
    if not isinstance(modality, Joint):
        raise UnsupportedError("given is for models of several parts: leave it out")
    try:
        return modality.known({name: value.encode() if name == "text" else b64decode(value, validate=True)
                               for name, value in given.items()})  # fmt: skip
    except Base64Error:
        raise ConfigError("given: expected the files of pictures and sounds in base64") from None


def _written(service: Service, body: Body, seed: int, how: dict[str, Any], tell: Tell) -> Samples:
    """Texts that go on from a beginning, or are made from others."""
    model = service.model
    if body.source is not None:
        sources = [body.source] * body.n
        return answer(model, sources, candidates=body.candidates, seed=seed, progress=tell, journey=body.journey, **how)
    return write(model, [body.prompt or ""], n=body.n, length=body.length, label=body.label, seed=seed, progress=tell,
                 journey=body.journey, **how)  # fmt: skip


def _as_json(service: Service, body: Body, made: Samples, seed: int, seconds: float) -> dict[str, Any]:
    files: list[File] = as_files(made, f".{body.format.removeprefix('.')}" if body.format else "")
    found: dict[str, Any] = {
        "model": service.name, "n": len(made), "seed": seed, "nfe": made.nfe, "seconds": round(seconds, 4),
        "files": [file.as_json() for file in files],
    }  # fmt: skip
    if made.labels:
        found["labels"] = list(made.labels)
    if isinstance(made.modality, Text):
        found["texts"] = made.modality.texts(made.data)
    return {**found, **_journey(made)} if body.journey else found


def _journey(made: Samples) -> dict[str, Any]:
    """Noise becoming data: tokens of texts, numbers of series, pictures of all else."""
    match made.modality:
        case Text() as text:
            return {"journey_tokens": [text.piecewise(x, HIDDEN) for x in made.journey]}
        case Series() as series:
            return {"journey_values": tables(series, made.journey)}
        case _:
            return {"journey": frames(made.modality, made.journey)}

