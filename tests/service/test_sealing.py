"""Who an event is about lies sealed in the database, and opens in its own place only."""

import os
import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from service.clock import now
from service.config import settings
from service.db import tenant_session
from service.errors import MasterKeyError
from service.history import list_interactions, read_history
from service.models import EventRow
from service.privacy import data_keys, sealing
from service.privacy.master_key import make_master_key, master_keys
from service.privacy.resealing import reseal_fields
from tests.conftest import Database
from tests.factories import Lender, Sender, make_case, make_sms, make_tenant, post_event

NAME, PHONE, FRIEND = "欧阳金丝雀", "+8613900017654", "皇甫信鸽"
CASE = make_case(
    debtor={"name": NAME, "phones": [PHONE, "+8613900017655"], "timezone": "Asia/Shanghai"},
    contacts=[{"phone": "+8613700026543", "relation": "朋友", "name": FRIEND}],
    guarantors=[{"phone": "+8613700026544"}],
)
SMS = make_sms(interaction_id="S-1", party={"role": "debtor", "phone": PHONE, "name": NAME})
STOP = {
    "type": "stop.requested",
    "timestamp": "2026-06-04T09:00:00+08:00",
    "data": {"case_id": "K-1", "phone": PHONE, "at": "2026-06-04T09:00:00+08:00", "by": "debtor"},
}


@pytest.fixture
def stored(client: TestClient, agency: Sender) -> None:
    for event in (CASE, SMS, STOP):
        assert post_event(client, agency, event).status_code == 202


def rows(lender: Lender) -> dict[str, EventRow]:
    with tenant_session(lender.id) as session:
        return {row.kind: row for row in session.exec(select(EventRow))}


@pytest.mark.asvs("11.3.2", "14.2.4")
def test_the_database_holds_no_name_and_no_number(
    database: Database, lender: Lender, stored: None
) -> None:
    with psycopg.connect(database.superuser_url) as connection:
        held = str(
            connection.execute(
                "select (select json_agg(e) from event e), (select json_agg(k) from data_key k),"
                " (select json_agg(p) from person_phone p)"
            ).fetchone()
        )

    for mark in (NAME, FRIEND, PHONE, PHONE[1:], "13700026543", "13700026544", "13900017655"):
        assert mark not in held
    opened = {kind: sealing.open_event(row) for kind, row in rows(lender).items()}
    assert opened == {event["type"]: event for event in (CASE, SMS, STOP)}


def test_a_history_is_judged_with_the_numbers_that_were_sent(lender: Lender, stored: None) -> None:
    with tenant_session(lender.id) as session:
        history = read_history(session, "K-1", list_interactions(session, "K-1"))

    assert history.versions[0].case.debtor.phones == (PHONE, "+8613900017655")
    assert history.contacts[0].interaction.party.phone == PHONE
    assert history.stops[0].phone == PHONE


@pytest.mark.asvs("14.2.4")
def test_a_number_is_looked_up_by_a_keyed_digest_that_differs_between_lenders(
    database: Database, lender: Lender, stored: None
) -> None:
    digest = sealing.phone_digest(lender.id, PHONE)
    with psycopg.connect(database.superuser_url) as connection:
        found = connection.execute(
            "select role, case_id from person_phone where digest = %s order by role", (digest,)
        ).fetchall()

    assert found == [("debtor", "K-1"), ("party", "K-1"), ("stop", "K-1")]
    assert sealing.phone_digest(make_tenant("another lender").id, PHONE) != digest


@pytest.mark.asvs("11.3.3")
def test_what_is_sealed_opens_in_its_own_place_only(lender: Lender, stored: None) -> None:
    held = rows(lender)
    row, other = held["case.upserted"], held["interaction.completed"]
    assert row.sealed is not None
    moved = EventRow(**{**other.model_dump(), "sealed": row.sealed})
    changed = EventRow(
        **{**row.model_dump(), "sealed": row.sealed[:-1] + bytes([row.sealed[-1] ^ 1])}
    )

    for wrong in (moved, changed):
        with pytest.raises(MasterKeyError, match="changed, or moved"):
            sealing.open_event(wrong)


@pytest.mark.asvs("11.2.2", "13.3.4")
def test_after_a_rotation_old_and_new_open_and_a_reseal_ends_the_old_key(
    client: TestClient, lender: Lender, agency: Sender, stored: None
) -> None:
    before = sealing.load_keys(lender.id).current
    with tenant_session(lender.id) as session:
        made = data_keys.rotate_key(session, tenant_id=lender.id, by="test")
    sealing.forget_keys()
    second = make_sms(interaction_id="S-2", party={"role": "debtor", "phone": PHONE})
    assert post_event(client, agency, second).status_code == 202
    with tenant_session(lender.id) as session:
        keys = [sealing.key_of(row.sealed) for row in session.exec(select(EventRow)) if row.sealed]
        assert {*keys} == {before, made}
        assert data_keys.drop_unused(session, tenant_id=lender.id, before=now(), by="test") == 0

    with tenant_session(lender.id) as session:
        assert data_keys.reseal(session, tenant_id=lender.id) == data_keys.Resealed(3, None)
        assert reseal_fields(session, tenant_id=lender.id) == 1  # the secret of its webhooks
    with tenant_session(lender.id) as session:
        soon = now() + timedelta(seconds=1)
        assert data_keys.drop_unused(session, tenant_id=lender.id, before=soon, by="test") == 1
    sealing.forget_keys()

    assert sealing.open_event(rows(lender)["case.upserted"]) == CASE
    assert {sealing.key_of(row.sealed) for row in rows(lender).values() if row.sealed} == {made}


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Settings of a test; what was set before comes back."""
    names = (
        "HEGUI_MASTER_KEY",
        "HEGUI_MASTER_KEY_PREVIOUS",
        "HEGUI_ENVIRONMENT",
        "HEGUI_MASTER_KEY_FILE",
    )
    before = {name: os.environ[name] for name in names if name in os.environ}
    yield {}
    for name in names:
        os.environ.pop(name, None)
    os.environ.update(before)
    start_anew()


def start_anew(**values: str) -> None:
    """As a process that starts with these settings."""
    os.environ.update({f"HEGUI_{name.upper()}": value for name, value in values.items()})
    settings.cache_clear()
    master_keys.cache_clear()
    sealing.forget_keys()


@pytest.mark.asvs("11.2.5")
def test_a_wrong_master_key_is_told_and_the_right_one_can_be_replaced(
    environment: Any, lender: Lender, stored: None
) -> None:
    own = (settings().object_dir.parent / "master.key").read_text().strip()
    used = master_keys()[0].id
    wrong = make_master_key()
    row = rows(lender)["case.upserted"]
    start_anew(master_key=wrong)

    with pytest.raises(MasterKeyError, match=f"wrapped by master key {used}; the one set is"):
        sealing.open_event(row)

    start_anew(master_key=wrong, master_key_previous=own)
    assert sealing.open_event(row) == CASE
    with tenant_session(lender.id) as session:
        assert data_keys.rewrap(session, tenant_id=lender.id) == 2
    del os.environ["HEGUI_MASTER_KEY_PREVIOUS"]
    start_anew()
    assert sealing.open_event(row) == CASE


@pytest.mark.asvs("13.3.1")
def test_production_makes_no_master_key_of_its_own(environment: Any, tmp_path: Path) -> None:
    start_anew(environment="production")
    with pytest.raises(
        MasterKeyError, match=re.escape("Set HEGUI_MASTER_KEY (32 bytes in base64)")
    ):
        master_keys()

    start_anew(master_key_file=str(tmp_path / "absent"))
    with pytest.raises(MasterKeyError, match="cannot be read: FileNotFoundError"):
        master_keys()

    start_anew(master_key="c2hvcnQ=")
    with pytest.raises(MasterKeyError, match="HEGUI_MASTER_KEY does not hold 32 bytes"):
        master_keys()


def test_the_key_file_of_a_folder_is_its_owners_alone(database: Database) -> None:
    master_keys.cache_clear()
    master_keys()
    path = settings().object_dir.parent / "master.key"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.asvs("13.2.2")
def test_the_application_cannot_change_what_an_event_says(
    database: Database, lender: Lender, stored: None
) -> None:
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute("select set_config('app.tenant_id', %s, false)", (str(lender.id),))
        for statement in (
            "update event set body = '{}'",
            "update event set sealed = null",
            "update event set body = body - 'data', erased_at = now(), sealed = null",
        ):
            with pytest.raises(psycopg.DatabaseError) as caught:
                connection.execute(statement.encode())
            assert caught.value.sqlstate == "HG003"
