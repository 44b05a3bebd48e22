"""The application: all routes of one model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from pellucid.core.errors import PellucidError
from pellucid.modalities.joint import Joint
from pellucid.modalities.series import Series
from pellucid.modalities.text import Text
from pellucid.modalities.video import Video
from pellucid.samplers import samplers
from pellucid.serving import completions, images, page, samples
from pellucid.serving.answers import refusals
from pellucid.serving.guard import Guard, explained, told
from pellucid.serving.service import Service

GRACE = 60.0
"""Seconds that what was taken on has when the server shuts down."""


def application(service: Service, *, key: str | None = None, grace: float = GRACE) -> FastAPI:
    """HTTP for one model.

    Arguments:
        key: that requests have to carry; None: none.
        grace: seconds.
    """
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close, grace)

    app = FastAPI(title="pellucid", summary="Samples of a diffusion model", lifespan=lifespan,
                  docs_url=None, redoc_url=None)  # fmt: skip
    for part in (samples, images, completions, page):
        app.include_router(part.router(service))
    _describe(app, service)
    _explain(app)
    app.add_middleware(Guard, watch=service.watch, body=service.limits.body, key=key)
    app.openapi = lambda: _documented(app)  # type: ignore[method-assign]
    return app


def facts(service: Service) -> dict[str, Any]:
    """What a client needs to know of the model."""
    model = service.model
    how, modality = model.sampling(), model.modality
    return {
        "id": service.name, "object": "model", "owned_by": "pellucid", "created": service.began,
        "kind": type(modality).__name__.lower(), "shape": list(model.facts.shape), "labels": list(model.facts.labels),
        "captions": "caption" in model.conditioners, "sourced": bool(modality.sourced),
        "tokens": isinstance(modality, Text), "formats": list(modality.suffixes),
        "parts": list(modality.made_of) if isinstance(modality, Joint) else [],
        "columns": list(modality.columns) if isinstance(modality, Series) else [],
        "completes": "given" in model.conditioners and isinstance(modality, Series | Video | Text) and not modality.sourced,
        "defaults": {name: how[name] for name in ("sampler", "steps", "guidance")}, "samplers": list(samplers),
        "batch": service.rows, "limits": {"samples": service.limits.samples, "seconds": service.limits.seconds},
    }  # fmt: skip


def _describe(app: FastAPI, service: Service) -> None:
    """What tells of the server and the model."""

    @app.get("/v1/models", tags=["models"], summary="The model, as a list", responses=refusals(401))
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [facts(service)]}

    @app.get("/v1/models/{name}", tags=["models"], summary="The model", responses=refusals(400, 401, 404))
    def model(name: str) -> dict[str, Any]:
        if name != service.name:
            raise HTTPException(404, f"Model '{name}' is not served here: expected '{service.name}'")
        return facts(service)

    @app.get("/health", tags=["server"], summary="Whether it works", responses={503: {"description": "It does not"}})
    def health() -> JSONResponse:
        fine, held = service.batcher.alive, service.batcher
        content = {"status": "ok" if fine else "stopped", "model": service.name, "waiting": held.depth,
                   "drawing": len(held.drawing), "uptime": round(time() - service.began)}  # fmt: skip
        return JSONResponse(content, 200 if fine else 503)

    @app.get("/metrics", tags=["server"], summary="Figures for Prometheus",
             response_class=PlainTextResponse, responses=refusals(401))  # fmt: skip
    def metrics() -> Response:
        content, media = service.watch.text()
        return Response(content, media_type=media)


def _documented(app: FastAPI) -> dict[str, Any]:
    """The document of all routes, without FastAPI's own 422, which is never sent: what is invalid is a 400."""
    found = FastAPI.openapi(app)
    for path in found["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        found.get("components", {}).get("schemas", {}).pop(name, None)
    return found


def _explain(app: FastAPI) -> None:
    """Errors as OpenAI's clients read them."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        status, body, headers = explained(error)
        return JSONResponse(body, status, headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = str(first["loc"][1]) if len(first["loc"]) > 1 else "body"  # deeper are ours, such as the kinds of a union
        return JSONResponse(told(400, f"{place}: {first['msg']}", "invalid_request_error", param=place), 400)

    async def plain(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        body = told(error.status_code, str(error.detail), "invalid_request_error")
        return JSONResponse(body, error.status_code, error.headers)

    app.add_exception_handler(PellucidError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, ours)
