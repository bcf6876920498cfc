"""A flood of alerts at a receiver in every bad mood: each arrives under its one id, or is dead."""

import heapq
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select
from starlette.testclient import TestClient

from service.alerts.alert import MAX_ATTEMPTS, Attempt, load_alert, store_attempt
from service.alerts.endpoints import change_endpoint
from service.db import tenant_session
from service.models import AlertRow, DeliveryRow, Endpoint, InteractionRow
from tests.factories import Lender, Sender
from tests.local_server import Handler, LocalServer
from tests.workers.test_watch import add_contact
from workers.egress import Egress
from workers.sender import next_attempt_at, send

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
ALERTS = 10_000 if IS_LONG else 200
START = datetime(2026, 6, 3, 2, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
STALL_S = 1.0
BAD_DAYS = 60
# What it answers: nearly always well, and each of these after so many requests.
MOODS: dict[int | str, int] = {410: 97, "stall": 61, 301: 23, 429: 17, 500: 11}
# Verdicts to hang the alerts on: revisions of one contact.
_FLOOD = text(
    "with v as (insert into verdict (tenant_id, id, interaction_id, revision, outcome, reasons,"
    "  pack, pack_digest, findings_digest, parameters_revision, untrusted_share, evaluated_at,"
    "  is_current)"
    " select :tenant, gen_random_uuid(), :contact, n + 1, 'fail', '[]', 'p', '', '', 0, 0, :at,"
    "  false from generate_series(1, :count) as n returning id, revision)"
    " insert into alert (tenant_id, id, endpoint_id, interaction_id, verdict_id, message_id,"
    "  payload, state, attempts, next_at, created_at, rule, severity, findings, escalated)"
    " select :tenant, a.id, :endpoint, :contact, v.id, 'alert_' || replace(a.id::text, '-', ''),"
    "  jsonb_build_object('n', v.revision), 'pending', 0, :at, :at, '', 'high', 1, false"
    " from v cross join lateral (select gen_random_uuid() as id where v.revision > 0) as a"
)


class Moody(LocalServer):
    """Answers by its moods, and remembers what it answered to whom."""

    def __init__(self) -> None:
        self.count = 0
        self.answers: dict[str, list[int | str]] = defaultdict(list)
        self.ids: dict[int, set[str]] = defaultdict(set)

    def next_mood(self) -> int | str:
        self.count += 1
        return next((mood for mood, each in MOODS.items() if self.count % each == 0), 204)


class _Answers(Handler):
    def do_POST(self) -> None:  # noqa: N802  http.server looks for this name
        owner: Moody = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, mood = self.headers["webhook-id"], owner.next_mood()
        owner.answers[name].append(mood)
        owner.ids[json.loads(body)["n"]].add(name)
        if mood == "stall":
            time.sleep(STALL_S * 1.5)
            self.close_connection = True
            return
        self.send_response(int(mood))
        if mood == 429:
            self.send_header("Retry-After", "90")
        if mood == 301:
            self.send_header("Location", "/elsewhere")
        if mood != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()


Moody.handler = _Answers


def prepare(lender: Lender, agency: Sender, url: str) -> tuple[UUID, list[UUID]]:
    with tenant_session(lender.id) as session:
        add_contact(session, agency, "THR-02", START)
        contact = session.exec(select(InteractionRow.id)).one()
        endpoint = Endpoint(tenant_id=lender.id, url=url, secret="whsec_" + "A" * 43 + "=")
        session.add(endpoint)
        session.flush()
        values = {
            "tenant": lender.id, "contact": contact, "endpoint": endpoint.id, "at": START,
            "count": ALERTS,
        }  # fmt: skip
        session.connection().execute(_FLOOD, values)
        return endpoint.id, list(session.exec(select(AlertRow.id)))


def attempt(lender: Lender, alert: UUID, egress: Egress, now: datetime) -> Attempt | None:
    """Load, send, store by this clock; None where it was not its turn."""
    with tenant_session(lender.id) as session:
        work = load_alert(session, tenant_id=lender.id, alert_id=alert, now=now, lease=LEASE)
    if work is None:
        return None
    made = send(egress, work, now=now)
    with tenant_session(lender.id) as session:
        next_at = next_attempt_at(work.attempts, made, now=now)
        store_attempt(session, work, made, next_at=next_at, now=now)
    return made


def flood(lender: Lender, endpoint: UUID, alerts: list[UUID], egress: Egress) -> datetime:
    """Try each alert whenever it is its turn, in any order, until none is left; gives when."""
    dice = random.Random(1)  # noqa: S311  an order of trying, repeatable
    due = [(START, dice.random(), alert) for alert in alerts]
    heapq.heapify(due)
    clock = resume = START
    while due:
        at, _, alert = heapq.heappop(due)
        clock = max(clock, at, resume)
        attempt(lender, alert, egress, clock)
        with tenant_session(lender.id) as session:
            row = session.get_one(AlertRow, (lender.id, alert))
            held = session.get_one(Endpoint, (lender.id, endpoint))
            if not held.active and dice.random() < 0.2:  # the lender mends it, not at once
                change_endpoint(session, endpoint, {"active": True}, by="test")
            resume = held.paused_until or clock
        if row.state == "pending":
            heapq.heappush(due, (max(row.next_at, clock), dice.random(), alert))
        assert clock < START + timedelta(days=BAD_DAYS), "some alert never ends"
    return clock


def test_every_alert_arrives_under_one_id_or_is_dead_with_its_reason(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    with Moody() as server:
        egress = Egress(allow=[server.address], total_s=STALL_S)
        endpoint, alerts = prepare(lender, agency, f"http://{server.address}/hook")
        ended = flood(lender, endpoint, alerts, egress)

    with tenant_session(lender.id) as session:
        rows = session.exec(select(AlertRow)).all()
        log = session.exec(select(DeliveryRow.result, DeliveryRow.reason)).all()
    assert len(rows) == ALERTS
    assert {row.state for row in rows} == {"delivered", "dead"}
    assert all(len(ids) == 1 for ids in server.ids.values())
    for row in rows:
        told = server.answers.get(row.message_id, [])
        # On a busy machine an attempt may time out before it is heard, or after it was answered.
        assert len(told) <= row.attempts <= MAX_ATTEMPTS
        if row.state == "delivered":
            assert 204 in told
        else:
            assert row.last_reason in {"endpoint_gone", "endpoint_disabled"}
    reasons = Counter(reason for _, reason in log)
    assert {"delivered", "http_500", "http_429", "http_301", "endpoint_gone"} <= set(reasons)
    assert "timed_out" in reasons
    states = Counter(row.state for row in rows)
    assert states["delivered"] > 0.9 * ALERTS
    if IS_LONG:
        dead = Counter(row.last_reason for row in rows if row.state == "dead")
        spans = (ended - START).total_seconds() / 3600
        sys.stdout.write(f"\n{dict(states)} {dict(dead)} {dict(reasons)} {spans:.0f} h\n")
