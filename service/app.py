"""Build the FastAPI application: routers, the one answer to errors, request ids. No logic."""

import gc
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from secrets import token_hex
from typing import Any

import orjson
import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from prometheus_client import Counter, Histogram
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolEmptyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rules.events import EVENT
from service import db, ingest, log
from service.access.oidc_protocol import Outbound
from service.api import ROUTERS
from service.api.masked import MaskedAnswers
from service.config import settings
from service.errors import FieldProblem, InvalidInputError, ServiceError, UnavailableError
from service.privacy.master_key import master_keys
from service.together import Together

PROBLEM = "application/problem+json"
_log = log.get(__name__)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_ANSWERS = Counter("hegui_http_answers_total", "Answers, by route and status.", ["route", "status"])
_SECONDS = Histogram("hegui_http_seconds", "Time to the answer, by route.", ["route"])
_CODES = {404: "not_found", 405: "method_not_allowed"}


class ProblemField(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemField] = []


_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in (
        (400, "The request is broken."),
        (401, "The signature or the API key is refused."),
        (403, "Not allowed with this key."),
        (404, "There is no such thing for this caller."),
        (409, "It contradicts what is stored."),
        (408, "The body came too slowly."),
        (411, "The length is missing."),
        (413, "The body is too large."),
        (415, "Compressed bodies are not taken."),
        (422, "The content is malformed; `errors` names the fields."),
        (429, "The limit is used up; come back after `Retry-After` seconds."),
        (503, "Come back after `Retry-After` seconds."),
        (507, "No room is left."),
    )
}


def _answer(error: ServiceError) -> Response:
    return Response(
        orjson.dumps(error.problem()),
        status_code=error.status,
        media_type=PROBLEM,
        headers=error.headers(),
    )


def _translated(error: Exception) -> ServiceError:
    """Return the service's word for any error; what is not known is a 500 and is logged."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, RequestValidationError):
        problems = tuple(
            FieldProblem(".".join(str(part) for part in found["loc"][1:]) or "body", found["msg"])
            for found in error.errors()
        )
        return InvalidInputError(
            "The request has fields that are missing or wrong.", errors=problems
        )
    if isinstance(
        error, OperationalError | InterfaceError | PoolEmptyError | psycopg.OperationalError
    ):
        return UnavailableError("The database is away; send it again.")
    return ServiceError("Something failed inside; it was noted under the request id.")


async def _answer_error(_request: Request, error: Exception) -> Response:
    problem = _translated(error)
    if problem is not error and problem.status >= ServiceError.status:
        _log.error("request_failed", code=problem.code, exc_info=error)
    return _answer(problem)


async def _answer_http(_request: Request, error: Exception) -> Response:
    """Give the framework's own refusals the one shape."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "bad_request")
    document = {
        "type": f"urn:hegui:problem:{code}",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": str(error.detail),
        "code": code,
    }
    return Response(
        orjson.dumps(document),
        status_code=error.status_code,
        media_type=PROBLEM,
        headers=dict(error.headers or {}),
    )


class Envelope:
    """Around every request: an id, a count, a time, and a last answer to what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._process = token_hex(8)
        self._numbers = count(1)

    def _next_id(self) -> bytes:
        """Return an id that no other request of any process has; it need not be secret."""
        return f"{self._process}-{next(self._numbers)}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._next_id()
        begun = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id))
                if not any(name.lower() == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
                for name, value in scope.get("state", {}).get("limit", {}).items():
                    message["headers"].append((name.lower().encode(), value.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self.app(scope, receive, note)
            except Exception as error:  # noqa: BLE001  the last line: nothing reaches the server
                response = await _answer_error(Request(scope), error)
                if not status:
                    await response(scope, receive, note)
            self._count(scope, status, time.perf_counter() - begun)

    @staticmethod
    def _count(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        _ANSWERS.labels(route, status).inc()
        _SECONDS.labels(route).observe(seconds)
        if status >= 400:  # noqa: PLR2004  refusals and failures
            _log.info(
                "request_refused",
                method=scope["method"],
                route=route,
                status=status,
                duration_ms=round(seconds * 1000),
                tenant_id=str(scope.get("state", {}).get("tenant_id", "")),
                key_id=scope.get("state", {}).get("key_id"),
            )


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the events' shapes and the webhook's signature."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        schema = EVENT.json_schema(ref_template="#/components/schemas/{model}")
        parts = document.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        for name, shape in schema.pop("$defs", {}).items():
            schemas.setdefault(name, shape)
        schemas["Event"] = schema
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas["ProblemField"] = schemas["Problem"].pop("$defs")["ProblemField"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        parts.setdefault("securitySchemes", {})["webhookSignature"] = {
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "Standard Webhooks, with the agency's secret.",
        }
        app.openapi_schema = document
    return app.openapi_schema


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    log.configure(settings())
    master_keys()  # without it nothing can be taken in: better told at the start
    # What the start has made lives on. Looking through it for garbage again and again takes 0.2 s
    # each time, in which every request waits.
    gc.collect()
    gc.freeze()
    yield
    db.dispose()


def create_app(outbound: Outbound | None = None) -> FastAPI:
    """Return the application; it connects to the database when the first request needs it.

    `outbound` is the way out to lenders' OpenID providers; without it nobody signs in there.
    """
    app = FastAPI(
        title="hegui",
        version="1",
        summary="Checks every collection contact against the rules that protect the debtor.",
        lifespan=_lifespan,
        responses=_REFUSALS,
        docs_url=None,
        redoc_url=None,
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind in (ServiceError, RequestValidationError, DBAPIError, PoolEmptyError, psycopg.Error):
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http)
    app.state.outbound = outbound
    app.state.events = Together(ingest.store_events)
    app.add_middleware(MaskedAnswers)
    app.add_middleware(Envelope)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app
