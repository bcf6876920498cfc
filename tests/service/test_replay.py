"""Replay gives the same bytes; a changed pack is compared with the old one, and nothing written."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlmodel import func, select
from starlette.testclient import TestClient

import rules
from rules.model import Disposition
from service.db import tenant_session
from service.errors import NotFoundError
from service.evidence.ledger_run import run_sealer
from service.evidence.replay import (
    Backtest,
    backtest_case,
    judge_case,
    list_cases,
    read_pack,
    replay,
)
from service.models import AuditEntry, FindingRow, InteractionRow, RecordingRow, VerdictRow
from service.packs import load_pack
from service.people.models import WatchPeriod
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_recording,
    make_sms,
    post_event,
    put_recording,
)

SINCE, UNTIL = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def contact(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> UUID:
    """A night SMS in a case of its own; gives its id."""
    audio = b"later" * 40
    for document in (
        make_case(),
        make_sms(interaction_id="S-1", started_at="2026-06-03T23:30:00+08:00"),
        make_call(interaction_id="C-1", recording=make_recording(audio)),
    ):
        assert post_event(client, agency, document).status_code == 202
    put_recording(client, agency, audio)
    run_jobs()
    items = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    return UUID(next(one["id"] for one in items if one["interaction_id"] == "S-1"))


@pytest.fixture
def other_pack(tmp_path: Path) -> rules.Pack:
    """The pack as a later release might have it: without the rules of time."""
    source = Path(rules.__file__).parent / "packs" / "collection"
    for path in source.glob("*.yaml"):
        if path.name != "tim.yaml":
            shutil.copy(path, tmp_path)
    return read_pack(str(tmp_path))


def state(lender: Lender) -> list[Any]:
    """Everything that a replay must not touch."""
    with tenant_session(lender.id) as session:
        counts = [
            session.exec(select(func.count()).select_from(table)).one()
            for table in (VerdictRow, FindingRow, AuditEntry)
        ]
        return [*counts, session.exec(select(RecordingRow.retain_until)).all()]


def test_the_same_pack_gives_the_same_bytes_and_writes_nothing(
    lender: Lender, contact: UUID, database: Database
) -> None:
    with psycopg.connect(database.superuser_url) as superuser:
        superuser.execute("set session_replication_role = replica")
        superuser.execute("update recording set retain_until = retain_until - interval '9 years'")
    before = state(lender)
    with tenant_session(lender.id) as session:
        found = replay(session, read_pack("collection"), contact)

    assert found.differs == ()
    assert found.made_digest == found.stored_digest
    assert found.outcome == "fail"
    assert state(lender) == before


def test_a_rule_under_watch_only_asks_for_review_in_a_replay_too(
    lender: Lender, contact: UUID
) -> None:
    with tenant_session(lender.id) as session:
        session.add(WatchPeriod(tenant_id=lender.id, rule="TIM-01", since_at=SINCE, at_start={}))
    with tenant_session(lender.id) as session:
        found = replay(session, load_pack(), contact)
        row = session.get_one(InteractionRow, (lender.id, contact))
        made = judge_case(session, load_pack(), row.case_id)

    (night,) = [
        one for one in made[str(row.agency_id), row.interaction_id].findings if one.rule == "TIM-01"
    ]
    assert night.disposition is Disposition.REVIEW
    assert found.differs == ("findings",)


def test_another_pack_is_named_and_its_verdict_would_stand_beside_the_old(
    lender: Lender, contact: UUID, other_pack: rules.Pack
) -> None:
    with tenant_session(lender.id) as session:
        found = replay(session, other_pack, contact)

    assert {"pack", "findings"} <= set(found.differs)
    assert found.pack_digest == other_pack.digest != load_pack().digest


def test_a_backtest_counts_what_a_pack_adds_and_removes_by_rule_and_agency(
    lender: Lender, contact: UUID, other_pack: rules.Pack
) -> None:
    run_sealer(lender.id)
    before = state(lender)
    there, back = Backtest(), Backtest()
    pairs = ((there, (other_pack, load_pack())), (back, (load_pack(), other_pack)))
    with tenant_session(lender.id) as session:
        cases = list_cases(session, SINCE, UNTIL)
        for found, packs in pairs:
            for case_id in cases:
                backtest_case(session, found, packs, case_id, since=SINCE, until=UNTIL)

    (removed,) = [one for one in there.rows if one.rule == "TIM-01"]
    (added,) = [one for one in back.rows if one.rule == "TIM-01"]
    assert (removed.added, removed.removed, removed.agency) == (0, 1, "示例催收公司")
    assert (added.added, added.removed) == (1, 0)
    assert removed.samples[0].startswith("- S-1:")
    assert (there.cases, there.contacts) == (1, 2)
    assert state(lender) == before


def test_a_foreign_contact_cannot_be_replayed(contact: UUID, client: TestClient) -> None:
    from tests.factories import make_tenant

    other = make_tenant()
    with tenant_session(other.id) as session, pytest.raises(NotFoundError):
        replay(session, load_pack(), contact)
