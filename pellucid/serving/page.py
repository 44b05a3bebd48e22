"""The page by which people use a model: plain files, which ask the same routes as every client."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, RedirectResponse
from starlette.exceptions import HTTPException

from pellucid.serving.service import Service

FOLDER = Path(__file__).parent / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
                               "media-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                               "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
}  # fmt: skip
"""Nothing is loaded from elsewhere, and no script runs that is not a file of the page."""


def router(_: Service) -> APIRouter:
    """The page's files, by their names."""
    routes, known = APIRouter(include_in_schema=False), {path.name: path for path in sorted(FOLDER.iterdir())}

    @routes.get("/")
    def start() -> RedirectResponse:
        return RedirectResponse("/page/index.html")

    @routes.get("/page/{name}")
    def file(name: str) -> FileResponse:
        if name not in known:
            raise HTTPException(404, "There is no such page")
        return FileResponse(known[name], headers=HEADERS)

    return routes
