"""What the routes answer, as `/openapi.json` tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """Why a request was refused."""

    message: str = Field(description="What came, and what was expected.")
    type: str = Field(description="The kind of error, as OpenAI's clients know it.")
    param: str | None = Field(description="The field that is at fault, where it is one.")
    code: str


class Refusal(BaseModel):
    """An error as OpenAI's clients read it."""

    error: Problem


class SampleFile(BaseModel):
    """A file of an answer."""

    model_config = ConfigDict(extra="allow")

    media_type: str
    base64: str


class Files(BaseModel):
    """Files that were made. Beside them labels, texts and the journey, where they are of the model and the request."""

    model_config = ConfigDict(extra="allow")

    model: str
    seed: int
    seconds: float
    files: list[SampleFile]


class Pictures(BaseModel):
    """Pictures as OpenAI's clients read them."""

    model_config = ConfigDict(extra="allow")

    created: int
    data: list[dict[str, Any]] = Field(description="Each with b64_json or url.")
    size: str
    output_format: str
    seed: int


WHY = {
    400: "The request cannot be read or cannot be done; the message tells what was expected",
    401: "The API key is missing or wrong",
    404: "There is no such model",
    408: "The body did not come in time",
    413: "The body, or a picture in it, is larger than the server takes",
    429: "Too many samples wait: try again after the seconds of Retry-After",
    499: "The client has gone",
    503: "The server is shutting down",
    504: "The time that a request may take is over",
}
MAKING = (400, 401, 408, 413, 429, 499, 503, 504)
"""Statuses of routes that make samples."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of a route that refuses so."""
    found: dict[int | str, dict[str, Any]] = {status: {"model": Refusal, "description": WHY[status]} for status in statuses}
    if 429 in found:
        found[429]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return found


def making(answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Responses of a route that makes samples: JSON, or events, or refusals."""
    events: dict[str, Any] = {"text/event-stream": {}}
    files: dict[str, Any] = {} if answer is Pictures else {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    made = {"model": answer, "description": "What was made; with stream as server-sent events", "content": events | files}
    return {200: made, **refusals(*MAKING)}
