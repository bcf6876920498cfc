"""Providers of chat robots on a local port: they check signatures and limits as the real ones."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_server import Handler, LocalServer


@dataclass
class Provider(LocalServer):
    """One provider with one robot; `clock` gives the seconds by which it counts and checks."""

    kind: str
    secret: str = ""
    limits: tuple[tuple[int, int], ...] = ()
    max_bytes: int = 20_000
    clock: Callable[[], float] = time.time
    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    failing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://{self.address}/robot/send?access_token=token"

    def take(self, target: str, body: bytes) -> tuple[int, bytes]:
        """Judge one request and give the answer's status and body."""
        with self._lock:
            if self.failing:
                return 500, b"{}"
            reason = self._refusal(target, body)
            if reason is None:
                self.times.append(self.clock())
                self.texts.append(self._text(json.loads(body)))
            else:
                self.refusals.append(reason)
            return self._answer(reason)

    def _refusal(self, target: str, body: bytes) -> str | None:
        document = json.loads(body)
        if len(body) > self.max_bytes:
            return "too_large"
        if not self._is_signed(parse_qs(urlsplit(target).query), document):
            return "sign"
        for count, seconds in self.limits:
            if sum(self.clock() - at < seconds for at in self.times) >= count:
                return "too_fast"
        return None

    def _is_signed(self, query: dict[str, list[str]], document: dict[str, Any]) -> bool:
        if self.kind == "dingtalk":
            stamp, sign = query["timestamp"][0], query["sign"][0]
            key, message, unit = self.secret, f"{stamp}\n{self.secret}", 1000
        elif self.kind == "feishu":
            stamp, sign = document["timestamp"], document["sign"]
            key, message, unit = f"{stamp}\n{self.secret}", "", 1
        else:
            return True
        digest = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()
        is_fresh = abs(self.clock() - int(stamp) / unit) < 3600
        return is_fresh and hmac.compare_digest(base64.b64encode(digest).decode(), sign)

    def _text(self, document: dict[str, Any]) -> str:
        found = {
            "dingtalk": lambda: document["text"]["content"] * (document["msgtype"] == "text"),
            "wecom": lambda: document["text"]["content"] * (document["msgtype"] == "text"),
            "feishu": lambda: document["content"]["text"] * (document["msg_type"] == "text"),
            "slack": lambda: document["text"],
        }[self.kind]()
        assert isinstance(found, str)
        return found

    def _answer(self, reason: str | None) -> tuple[int, bytes]:
        if self.kind == "slack":
            status = {None: 200, "too_fast": 429}.get(reason, 400)
            return status, b"ok" if reason is None else b"invalid_payload"
        code = {
            "dingtalk": {"too_fast": 130101, "sign": 310000},
            "wecom": {"too_fast": 45009},
            "feishu": {"too_fast": 11232, "sign": 19021},
        }[self.kind]
        name = "code" if self.kind == "feishu" else "errcode"
        number = 0 if reason is None else code.get(reason, 1)
        return 200, json.dumps({name: number, "msg": reason or "ok"}).encode()


@dataclass
class Clock:
    """A clock that the test moves."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()


class _Handler(Handler):
    def do_POST(self) -> None:  # noqa: N802  http.server looks for this name
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, answer = self.server.owner.take(self.path, body)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


Provider.handler = _Handler
