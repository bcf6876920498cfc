"""A client of the HTTP API, as an agency and a lender would write it, and a receiver of alerts."""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

ALERT_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class AgencyAccess:
    """What an agency needs to send: its id, the secret of its webhooks and an API key."""

    id: str
    name: str
    secret: str
    key: str


class Client:
    """Speaks to one hegui. Every call raises `httpx.HTTPStatusError` where it is refused."""

    def __init__(self, url: str, lender_key: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._lender = {"authorization": f"Bearer {lender_key}"}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post JSON as the lender."""
        return self._json(self._http.post(path, json=body, headers=self._lender))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read JSON as the lender."""
        return self._json(self._http.get(path, params=query, headers=self._lender))

    def download(self, path: str, **query: str) -> bytes:
        """Read a file as the lender."""
        answer = self._http.get(path, params=query, headers=self._lender)
        answer.raise_for_status()
        return answer.content

    def add_agency(self, name: str) -> AgencyAccess:
        """Make an agency and a key with which it sends."""
        made = self.post("/v1/agencies", {"name": name})
        wish = {"actor": "agency", "scope": "send", "label": "dialler", "agency_id": made["id"]}
        key = self.post("/v1/keys", wish)["key"]
        return AgencyAccess(made["id"], name, made["webhook_secret"], key)

    def send_event(self, agency: AgencyAccess, message_id: str, event: dict[str, Any]) -> str:
        """Post one signed event as the agency; gives the receipt."""
        body = json.dumps(event, ensure_ascii=False)
        moment = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(agency.secret).sign(message_id, moment, body),
        }
        path = f"/v1/webhooks/{agency.id}"
        answer = self._http.post(path, content=body.encode(), headers=headers)
        return str(self._json(answer)["receipt"])

    def put_recording(self, agency: AgencyAccess, sha256: str, path: Path) -> None:
        """Upload a recording as the agency."""
        headers = {"authorization": f"Bearer {agency.key}"}
        content = path.read_bytes()
        answer = self._http.put(f"/v1/recordings/{sha256}", content=content, headers=headers)
        answer.raise_for_status()

    def interactions(self) -> list[dict[str, Any]]:
        """Read every interaction, page by page."""
        found: list[dict[str, Any]] = []
        query = {"limit": "200"}
        while True:
            page = self.get("/v1/interactions", **query)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    @staticmethod
    def _json(answer: httpx.Response) -> dict[str, Any]:
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@dataclass
class AlertReceiver:
    """A lender's endpoint on a free local port; keeps what is truly signed. Use with `with`."""

    secret: str = ""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """`host:port`, as HEGUI_EGRESS_ALLOW wants it."""
        return f"127.0.0.1:{self._server.server_port}"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Check one alert's signature and keep it; gives the HTTP status to answer."""
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return 401
        self.alerts.append(json.loads(body))
        return 204

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many alerts came; tell whether they did."""
        deadline = time.monotonic() + seconds
        while len(self.alerts) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self.alerts) >= count


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: AlertReceiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Take one alert."""
        length = min(int(self.headers.get("content-length") or 0), ALERT_MAX_BYTES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.owner.take(headers, self.rfile.read(length)))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by the base class
        """Say nothing."""
