"""The HTTP interface of ``walt ui``, which its page uses too; ``/api/openapi.json`` describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from walt.commands.ui.guard import Guard
from walt.commands.ui.jobs import FullError
from walt.commands.ui.orders import Id, JobView, LimitsView, ModelList, ModelView, Order, ResultView, UploadView
from walt.commands.ui.previews import MEDIA_TYPE
from walt.commands.ui.studio import Studio
from walt.commands.ui.uploads import NoRoomError
from walt.commands.ui.worker import plain
from walt.core.errors import ConfigurationError, WaltError
from walt.core.suggestions import did_you_mean

T = TypeVar("T")
_FILES = Path(__file__).parent
_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/results.js": ("results.js", "text/javascript"),
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def make_app(studio: Studio, hosts: Iterable[str]) -> Guard:
    """The application.

    Args:
        hosts: what the ``Host`` header may say.
    """
    app = FastAPI(
        title="walt ui", summary="Prompts to videos.", version="1", openapi_url="/api/openapi.json",
        docs_url=None, redoc_url=None,  # those pages load their scripts from elsewhere
    )  # fmt: skip
    app.include_router(_models(studio), prefix="/api")
    app.include_router(_jobs(studio), prefix="/api")
    app.include_router(_results(studio), prefix="/api")
    app.include_router(_uploads(studio), prefix="/api")
    for path in _PAGE:
        app.get(path, include_in_schema=False)(_page_file(path))
    app.exception_handler(WaltError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(ClientDisconnect)(_left)
    return Guard(app, hosts)


def _models(studio: Studio) -> APIRouter:
    router = APIRouter(tags=["models"])

    @router.get("/models")
    def list_models() -> ModelList:
        """The models that can be chosen."""
        return studio.catalogue.list()

    @router.get("/model")
    def describe_model(address: Annotated[str, Query(max_length=500)] = "", cascade: bool | None = None) -> ModelView:
        """What can be asked of some models; those of the registry are fetched for it."""
        return studio.describe(address, cascade)

    @router.get("/limits")
    def limits() -> LimitsView:
        """What this server takes."""
        return studio.limits()

    return router


def _jobs(studio: Studio) -> APIRouter:
    router = APIRouter(tags=["jobs"])

    @router.post("/jobs", status_code=202)
    def submit(order: Order) -> JobView:
        """Ask for a video. 429 where too many wait."""
        return studio.submit(order)

    @router.get("/jobs")
    def list_jobs() -> list[JobView]:
        """Jobs that ended lately, those that run, and those that wait, in their order."""
        return studio.queue.views()

    @router.get("/jobs/{job}")
    def show_job(job: Id) -> JobView:
        """One job."""
        return _found(studio.queue.view(job), "job")

    @router.delete("/jobs/{job}")
    def cancel(job: Id) -> JobView:
        """End a job: at once where it waits, after the present step where it runs."""
        return _found(studio.queue.cancel(job), "job")

    @router.get("/jobs/{job}/preview", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
    def preview(job: Id) -> Response:
        """What the video looks like so far, as a moving picture."""
        found = _found(studio.queue.find(job), "job").preview
        return Response(_found(found, "preview"), media_type=MEDIA_TYPE)

    return router


def _results(studio: Studio) -> APIRouter:
    router = APIRouter(tags=["results"])

    @router.get("/results")
    def list_results(
        limit: Annotated[int, Query(ge=1, le=500)] = 50, offset: Annotated[int, Query(ge=0)] = 0
    ) -> list[ResultView]:
        """Finished videos, the newest first."""
        return studio.results.newest()[offset : offset + limit]

    @router.get("/results/{result}")
    def show_result(result: Id) -> ResultView:
        """One finished video: its order and all its settings."""
        return _found(studio.results.get(result), "result")

    @router.delete("/results/{result}")
    def delete_result(result: Id) -> ResultView:
        """Delete a finished video, and the upload that it began with where nothing else needs it."""
        return _found(studio.delete(result), "result")

    @router.get("/results/{result}/video", response_class=FileResponse, responses={200: {"content": {"video/mp4": {}}}})
    def video(result: Id) -> FileResponse:
        """The file, as ``walt sample`` writes it."""
        file = _found(studio.results.video(result), "video")
        return FileResponse(file, media_type="video/mp4", content_disposition_type="inline")

    return router


def _uploads(studio: Studio) -> APIRouter:
    router = APIRouter(tags=["uploads"])

    @router.post("/uploads", status_code=201, openapi_extra=_BODY)
    async def upload(request: Request, name: Annotated[str, Query(min_length=1, max_length=300)]) -> UploadView:
        """Send an image or a video as the body, under a name with its suffix. 413 where it is too large, 507 where all
        uploads together would be."""
        most = round(studio.settings.upload_megabytes * 1e6)
        too_large = HTTPException(413, f"{name}: more than {studio.settings.upload_megabytes:g} MB")
        size = int(request.headers.get("content-length") or most)
        if size > most:
            raise too_large
        with studio.uploads.receiving(name, size) as file:
            size = 0
            with open(file, "wb") as stream:
                async for piece in request.stream():
                    size += len(piece)
                    if size > most:
                        raise too_large
                    await run_in_threadpool(stream.write, piece)
            return await run_in_threadpool(studio.uploads.add, file)

    @router.get("/uploads/{upload}")
    def show_upload(upload: Id) -> UploadView:
        """What is known of an upload."""
        return _found(studio.uploads.find(upload), "upload")

    return router


def _page_file(path: str) -> Callable[[], FileResponse]:
    name, media_type = _PAGE[path]

    def page() -> FileResponse:
        return FileResponse(_FILES / name, media_type=media_type)

    return page


def _found(value: T | None, what: str) -> T:
    if value is None:
        raise HTTPException(404, f"there is no such {what}")
    return value


def _refused(request: Request, error: Exception) -> JSONResponse:
    """One line, in the words of the command line."""
    statuses = {FullError: 429, NoRoomError: 507, ConfigurationError: 422}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), 503)
    return JSONResponse({"detail": plain(str(error))}, status)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """One line instead of FastAPI's list."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return JSONResponse({"detail": "the body of the request is not JSON"}, 422)
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if not where:
        said = "an order is an object of JSON, sent with the header Content-Type: application/json"
        return JSONResponse({"detail": f"the body of the request is not an order: {said}"}, 422)
    if first["type"] == "extra_forbidden":
        nearest = did_you_mean(where, Order.model_fields)
        return JSONResponse({"detail": f"an order has no '{where}'{nearest}"}, 422)
    message = str(first["msg"])
    return JSONResponse({"detail": f"{where}: {message[:1].lower()}{message[1:]}"}, 422)


def _left(request: Request, error: Exception) -> Response:
    """Whoever sent the request has gone, in the middle of an upload: nobody reads the answer."""
    return Response(status_code=400)
