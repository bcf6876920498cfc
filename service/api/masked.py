"""Takes personal data out of every answer to a caller who may not see it, whatever its route."""

from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.tenants import Principal
from service.db import tenant_session
from service.privacy.masking import mask_document, mask_text, may_see_plain, people_in

_JSON = ("application/json", "application/vcon", "application/problem+json")
_LINES = ("application/x-ndjson", "application/jsonl", "application/sarif+json")
_TEXT = ("text/",)


class MaskedAnswers:
    """Around every route: text answers are masked here, so that no route can forget to.

    Files that are not text (PDF, XLSX, sound) pass: those who make them ask `masking.shown_to`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held: Message | None = None
        body = bytearray()

        async def show(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _concerns(scope, message):
                held = message
                return
            if held is None or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                caller = scope["state"]["principal"]
                shown = await run_in_threadpool(_mask, caller, _media_type(held), bytes(body))
                await send({**held, "headers": _resized(held["headers"], len(shown))})
                await send({"type": "http.response.body", "body": shown})

        await self.app(scope, receive, show)


def _concerns(scope: Scope, start: Message) -> bool:
    """Whether the caller is known, may not see personal data, and is sent text."""
    principal = scope.get("state", {}).get("principal")
    if principal is None or may_see_plain(principal):
        return False
    return _media_type(start).startswith(_JSON + _LINES + _TEXT)


def _media_type(start: Message) -> str:
    value: bytes = dict(start["headers"]).get(b"content-type", b"")
    return value.decode("latin-1").split(";")[0].strip().lower()


def _resized(headers: list[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(size).encode())]


def _mask(principal: Principal, media_type: str, body: bytes) -> bytes:
    if not body:
        return body
    with tenant_session(principal.tenant_id) as session:
        if media_type.startswith(_JSON) or media_type == "application/sarif+json":
            document: Any = orjson.loads(body)
            return orjson.dumps(mask_document(document, people_in(session, document)))
        if media_type.startswith(_LINES):
            lines = [orjson.loads(line) for line in body.splitlines() if line.strip()]
            known = people_in(session, lines)
            return b"".join(orjson.dumps(mask_document(line, known)) + b"\n" for line in lines)
        text = body.decode("utf-8", "replace")
        return mask_text(text, people_in(session, {"text": text})).encode()
