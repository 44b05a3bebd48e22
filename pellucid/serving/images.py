"""The images API of OpenAI, as its clients call it: `POST /v1/images/generations` and `POST /v1/images/edits`."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from time import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.modalities.canvas import as_picture
from pellucid.modalities.image import Image
from pellucid.model.samples import Samples
from pellucid.serving.answers import Pictures, making
from pellucid.serving.batcher import Job, Tell
from pellucid.serving.drawing import Asked, ask, together
from pellucid.serving.files import PictureFormat, encoded
from pellucid.serving.retouching import Retouch
from pellucid.serving.samples import HOW, Name, check_model, disconnected
from pellucid.serving.service import Service, finished
from pellucid.serving.stream import News

FILES = ("image", "image[]", "mask")
LARGEST = 4096
"""Edge to which pictures are enlarged."""
AUTO, SIZE = "auto", r"^(auto|[1-9]\d{0,3}x[1-9]\d{0,3})$"


class Body(BaseModel):
    """The fields of OpenAI's requests, and below `seed` those of ours (`extra_body` of its clients)."""

    model_config = ConfigDict(extra="forbid", title="ImagesRequest")

    prompt: Annotated[str, Field(max_length=4000)] = Field(description="In words, or the name of a label.")
    model: Name | None = None
    n: int | None = Field(None, ge=1, le=4096)
    size: str | None = Field(None, pattern=SIZE, description="auto is the model's own; WIDTHxHEIGHT is rescaled to.")
    response_format: Literal["b64_json", "url"] | None = Field(None, description="A url is a data: URL.")
    output_format: PictureFormat | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    background: Literal["transparent", "opaque", "auto"] | None = None
    quality: Name | None = Field(None, description="Taken and not used, as are style, moderation and user.")
    style: Name | None = None
    moderation: Name | None = None
    user: Name | None = None
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3, description="None are sent.")
    seed: int | None = Field(None, ge=0, lt=2**64)
    label: Name | None = None
    negative: Annotated[str, Field(max_length=4000)] | None = None
    sampler: Name | None = None
    grid: Name | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    guidance: float | None = Field(None, ge=-100, le=100)
    against: Name | None = None


class EditBody(Body):
    """What edits know besides: one of mask, strength, upscale, denoise."""

    model_config = ConfigDict(extra="forbid", title="ImageEditsRequest")

    input_fidelity: Name | None = None
    strength: float | None = Field(None, gt=0, le=1, description="Of the change; 0.6 where nothing says what to edit.")
    upscale: int | None = Field(None, ge=2, le=64)
    denoise: float | None = Field(None, gt=0, le=255)


def router(service: Service) -> APIRouter:
    """The routes, for one model."""
    routes = APIRouter(tags=["images"])

    @routes.post("/v1/images/generations", summary="Pictures from words", response_model=None, responses=making(Pictures))
    async def generations(body: Body, request: Request) -> Response:
        news = News(body.stream)
        job = await asyncio.to_thread(_queued, service, body, news.tell)
        return await _answered(service, body, job, request, news, "image_generation")

    @routes.post("/v1/images/edits", summary="Pictures from pictures", response_model=None,
                 responses=making(Pictures), openapi_extra=_FORM)  # fmt: skip
    async def edits(request: Request) -> Response:
        async with request.form(max_files=8, max_fields=64, max_part_size=service.limits.body) as form:
            body, until = _edit_body(form), service.until()
            check_model(service, body.model)
            service.check(n := body.n or 1)
            how = {name: getattr(body, name) for name in ("strength", "upscale", "denoise")}
            sent = sum(one.size or 0 for _, one in form.multi_items() if isinstance(one, UploadFile))
            retouch: Retouch = await service.read(
                lambda: Retouch.of(form, service.model.facts.shape[0], n, service.limits.pixels, **how),
                lambda: disconnected(request), size=sent, until=until,
            )  # fmt: skip
        seed, news, settings = service.seed_for(body.seed), News(body.stream), {**_wanted(service, body), **_how(body)}
        job = service.work(lambda tell: retouch.made(service.model, n, seed, tell, **settings), news.tell,
                           n=n, size=retouch.size, until=until)  # fmt: skip
        return await _answered(service, body, job, request, news, "image_edit")

    return routes


async def _answered(service: Service, body: Body, job: Job, request: Request, news: News, kind: str) -> Response:
    """The pictures as JSON, or as the last event of a stream."""
    async def answer() -> dict[str, Any]:
        found = await finished(job, lambda: disconnected(request))
        made = together(service.model, job.asked, found, 0) if isinstance(job.asked, Asked) else found[0]
        return await asyncio.to_thread(_as_json, body, made)

    async def streamed() -> dict[str, Any]:
        whole = await answer()
        first, about = whole["data"][0], {key: whole[key] for key in ("size", "quality", "background", "output_format")}
        return {"type": f"{kind}.completed", "b64_json": first.get("b64_json"), "created_at": whole["created"], **about}

    if not body.stream:
        return JSONResponse(await answer())
    if (body.n or 1) != 1:
        job.future.cancel()
        raise ConfigError(f"n = {body.n} with stream: expected 1")
    return news.response(streamed(), last=f"{kind}.completed")


def _queued(service: Service, body: Body, tell: Tell) -> Job:
    check_model(service, body.model)
    if not isinstance(service.model.modality, Image):
        raise UnsupportedError("The model makes no pictures: POST /v1/samples")
    if body.background == "transparent" and service.model.facts.shape[0] != 4:
        raise UnsupportedError("background = transparent: the model makes pictures without transparency")
    service.check(body.n or 1)
    asked = ask(service.model, n=body.n or 1, seed=service.seed_for(body.seed), **_wanted(service, body), **_how(body))
    return service.sample(asked, tell)


def _how(body: Body) -> dict[str, Any]:
    return {name: value for name in HOW if (value := getattr(body, name)) is not None}


def _wanted(service: Service, body: Body) -> dict[str, Any]:
    """A prompt, or the label that it names where the model knows labels alone."""
    model, prompt = service.model, body.prompt.strip()
    if model.facts.captions or "caption" in model.conditioners:
        return {"prompt": prompt or None, "negative": body.negative, "label": body.label}
    label = body.label if body.label is not None else prompt or None
    if label is not None and not model.facts.labels:
        raise UnsupportedError(f"The prompt '{prompt}': the model was trained without captions and labels, expected ''")
    return {"label": label, "negative": body.negative}


def _as_json(body: Body, made: Samples) -> dict[str, Any]:
    kind: PictureFormat = body.output_format or "png"
    pictures = [as_picture(one) for one in made.modality.encode(made.data)]
    if body.size not in (None, AUTO):
        width, height = map(int, str(body.size).split("x"))
        if max(width, height) > LARGEST:
            raise ConfigError(f"size = {body.size}: expected {LARGEST} x {LARGEST} at most")
        pictures = [one.resize((width, height), 1) for one in pictures]  # 1: Lanczos
    quality = 95 if body.output_compression is None else body.output_compression
    contents = [b64encode(encoded(one, kind, quality)).decode() for one in pictures]
    url = body.response_format == "url"
    data = [{"url": f"data:image/{kind};base64,{one}"} if url else {"b64_json": one} for one in contents]
    clear = made.data.shape[1] == 4
    return {
        "created": int(time()), "data": data, "size": "{}x{}".format(*pictures[0].size), "output_format": kind,
        "quality": AUTO, "background": "transparent" if clear else "opaque", "seed": made.seed,
    }  # fmt: skip


def _edit_body(form: FormData) -> EditBody:
    fields: Mapping[str, Any] = {name: value for name, value in form.items() if isinstance(value, str) and name not in FILES}
    try:
        return EditBody.model_validate({"prompt": "", **fields})
    except ValidationError as error:
        raise ConfigError("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())) from None


_FORM = {"requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object", "properties": {
    "image": {"type": "string", "format": "binary"}, "mask": {"type": "string", "format": "binary"},
    "prompt": {"type": "string"},
}, "required": ["image"]}}}}}  # fmt: skip
