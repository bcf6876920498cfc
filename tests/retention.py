"""What tests of retention stand on: recordings of long ago, and a way to let time pass.

The database's own clock decides what may go, so tests do not move the clock: they move every date
that is stored into the past, as a superuser past all triggers.
"""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from starlette.testclient import TestClient

from service.config import settings
from service.db import front_door_session, tenant_session
from service.ingest import record_arrival
from service.keeping.retention import note_tick
from service.keeping.storage import store
from tests.factories import Lender, Sender, make_call, make_case, make_recording, post_event

_ASIDE = timedelta(days=36_500)
SHIFTED = {
    "recording": ("received_at", "retain_until", "purged_at", "store_until"),
    "recording_use": ("started_at",),
    "hold": ("placed_at", "released_at", "period_from", "period_to"),
    "purge_run": ("planned_at", "ready_at", "approved_at", "ended_at", "lease_until"),
    "purge_item": ("received_at", "retain_until", "removed_at"),
    "clock_tick": ("at",),
    "api_key": ("created_at",),
    "interaction": ("started_at",),
}


def let_time_pass(superuser_url: str, span: timedelta, *, ticking: bool = True) -> None:
    """Make everything older by `span`; with `ticking` the clock was seen each day of it."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        # In two steps, because the first date that moves may meet one that has not moved yet.
        for step in (span + _ASIDE, -_ASIDE):
            for table, columns in SHIFTED.items():
                sets = ", ".join(f"{name} = {name} - %(step)s" for name in columns)
                connection.execute(f"update {table} set {sets}".encode(), {"step": step})
        if ticking:
            connection.execute(
                "insert into clock_tick (at) select at from generate_series("
                " now() - %(span)s::interval, now(), interval '1 day') as at"
                " on conflict do nothing",
                {"span": span},
            )
    root = settings().object_dir
    for path in root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            moment = path.stat().st_mtime - span.total_seconds()
            os.utime(path, (moment, moment))


def tick() -> None:
    """See the clock now, as the keeper does once a day."""
    with front_door_session() as session:
        note_tick(session, now=datetime.now(UTC))


def keep_bytes(sender: Sender, audio: bytes, *, at: datetime | None = None) -> str:
    """Bring bytes in as if they had arrived at a time; gives their hash."""
    sha256 = hashlib.sha256(audio).hexdigest()
    store().put_stream(sender.tenant_id, [audio], sha256, 1_000_000)
    with tenant_session(sender.tenant_id) as session:
        record_arrival(
            session,
            tenant_id=sender.tenant_id,
            agency_id=sender.id,
            sha256=sha256,
            size_bytes=len(audio),
            now=at or datetime.now(UTC),
        )
    return sha256


def make_kept_call(
    client: TestClient,
    agency: Sender,
    audio: bytes,
    *,
    started_at: datetime,
    case: dict[str, Any] | None = None,
    **data: Any,
) -> str:
    """A case, a call that announces its recording, and the bytes; gives the hash."""
    case_id = data.setdefault("case_id", "K-1")
    if case is not None:
        posted = post_event(client, agency, make_case(case_id=case_id, **case))
        assert posted.status_code == 202, posted.text
    call = make_call(
        started_at=started_at.isoformat(),
        timestamp=started_at.isoformat(),
        recording=make_recording(audio),
        transcript=[{"speaker": "collector", "start": 0, "end": 2, "text": "您好。"}],
        **data,
    )
    posted = post_event(client, agency, call)
    assert posted.status_code == 202, posted.text
    return keep_bytes(agency, audio, at=started_at)


def where(lender: Lender, sha256: str) -> Path:
    """Where the local store keeps a recording."""
    return settings().object_dir / str(lender.id) / sha256[:2] / sha256


def rows(url: str, query: str, *values: Any, tenant: UUID | None = None) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        if tenant is not None:
            connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant),))
        return connection.execute(query.encode(), values).fetchall()
