"""How long recordings are kept: dates that only rise, holds that win, and no way around either."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors as pg
from sqlmodel import select
from starlette.testclient import TestClient

from rules.events import LenderType, Product
from service.check import load_case
from service.db import tenant_session
from service.errors import ConflictError, InvalidInputError
from service.keeping import holds, retention
from service.keeping.holds import HoldWish
from service.keeping.retention import Facts, retain_until
from service.keeping.storage import RetentionError, store
from service.models import CollectionCase
from service.parameters import Setting
from tests.conftest import Database
from tests.factories import Lender, Sender, make_agency, make_sms, make_tenant, post_event
from tests.retention import keep_bytes, let_time_pass, make_kept_call, rows, tick
from workers.keeping import protect_recordings

AT = datetime(2024, 2, 29, 10, tzinfo=UTC)
CARD = Facts(Product.CREDIT_CARD, LenderType.BANK)
CONSUMER = Facts(Product.CREDIT_CARD, LenderType.CONSUMER_FINANCE)
LONGER = (
    Setting(0, None, {}),
    Setting(1, datetime(2025, 1, 1, tzinfo=UTC), {"REC-02": {"card_years": 7, "other_years": 5}}),
)


@pytest.mark.parametrize(
    ("cases", "policies", "until"),
    [
        ([CARD], (), datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ([CONSUMER], (), datetime(2029, 3, 1, 10, tzinfo=UTC)),
        ([CARD, Facts(Product.ONLINE_LOAN)], (), datetime(2029, 3, 1, 10, tzinfo=UTC)),
        ([], (), datetime(2029, 3, 1, 10, tzinfo=UTC)),
        ([CARD], LONGER, datetime(2031, 3, 1, 10, tzinfo=UTC)),
        ([Facts(Product.ONLINE_LOAN)], LONGER, datetime(2029, 3, 1, 10, tzinfo=UTC)),
    ],
    ids=["card", "consumer finance", "changed", "unknown", "policy", "policy of another product"],
)
def test_the_longest_floor_counts_and_a_leap_day_is_not_cut(
    cases: list[Facts], policies: tuple[Setting, ...], until: datetime
) -> None:
    assert retain_until(AT, cases, policies) == until


def _read_cases(lender: Lender, *, after: timedelta = timedelta()) -> None:
    """Read every case as a check does when it begins, after earlier checks have let it go."""
    moment = datetime.now(UTC) + after
    with tenant_session(lender.id) as session:
        for case in session.exec(select(CollectionCase)).all():
            load_case(session, tenant_id=lender.id, case_uuid=case.id, now=moment)


def _until(database: Database, sha256: str) -> datetime:
    query = "select retain_until from recording where sha256 = %s"
    [(until,)] = rows(database.superuser_url, query, sha256)
    assert isinstance(until, datetime)
    return until


def test_the_latest_of_several_contacts_decides_and_a_late_fact_only_raises(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    first = datetime(2026, 6, 3, 2, tzinfo=UTC)
    sha256 = make_kept_call(client, agency, b"one", started_at=first, case={"lender_type": "bank"})
    assert _until(database, sha256) == first.replace(year=2028)

    later = first + timedelta(days=30)
    make_kept_call(client, agency, b"one", started_at=later, case_id="K-2",
                   case={"lender_type": "bank"})  # fmt: skip
    _read_cases(lender)
    assert _until(database, sha256) == later.replace(year=2028)

    make_kept_call(client, agency, b"two", started_at=first, case={"product": "online_loan"})
    _read_cases(lender, after=timedelta(hours=1))
    assert _until(database, sha256) == first.replace(year=2031)


def test_a_recording_that_an_agency_replaced_is_still_the_contacts(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    at = datetime(2026, 6, 3, 2, tzinfo=UTC)
    old = make_kept_call(client, agency, b"first", started_at=at, interaction_id="C-1")
    new = make_kept_call(
        client, agency, b"second", started_at=at + timedelta(hours=1), interaction_id="C-1"
    )
    [(interaction,)] = rows(database.superuser_url, "select id from interaction")

    with tenant_session(lender.id) as session:
        wish = HoldWish("投诉 12378", interaction_id=interaction)
        placed = holds.place_hold(
            session, tenant_id=lender.id, wish=wish, by="t", now=datetime.now(UTC)
        )
        held = {sha256: holds.holds_on(session, sha256=sha256) for sha256 in (old, new)}

    assert placed.held == 2
    assert all([row.id for row in found] == [placed.row.id] for found in held.values())


def _purge_by_hand(url: str, lender: Lender, sha256: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(lender.id),))
        connection.execute(
            "update recording set purged_at = now(), purge_run_id = gen_random_uuid()"
            " where sha256 = %s",
            (sha256,),
        )


@pytest.mark.parametrize("role", ["app", "owner", "superuser"])
@pytest.mark.parametrize("why", ["date", "hold", "no run"])
def test_no_role_takes_a_recording_away_by_sql(
    client: TestClient, lender: Lender, agency: Sender, database: Database, role: str, why: str
) -> None:
    tick()
    old = datetime.now(UTC) - timedelta(days=1 if why == "date" else 4000)
    sha256 = make_kept_call(client, agency, b"kept", started_at=old)
    if why == "hold":
        with tenant_session(lender.id) as session:
            wish = HoldWish("诉讼", case_id="K-1")
            holds.place_hold(session, tenant_id=lender.id, wish=wish, by="t", now=old)
    url = getattr(database, f"{role}_url")
    refusal = {"date": "under retention", "hold": "legal hold", "no run": "no approved purge run"}

    with pytest.raises(psycopg.DatabaseError, match=refusal[why]) as caught:
        _purge_by_hand(url, lender, sha256)
    assert caught.value.sqlstate == "HG001"
    for statement in ("delete from recording", "truncate recording"):
        with psycopg.connect(url) as connection:
            connection.execute("select set_config('app.tenant_id', %s, true)", (str(lender.id),))
            with pytest.raises((psycopg.DatabaseError, pg.InsufficientPrivilege)) as caught:
                connection.execute(statement.encode())
            assert caught.value.sqlstate in {"HG001", "42501"}
    assert b"".join(store().read(lender.id, sha256)) == b"kept"


@pytest.mark.parametrize(
    "statement",
    [
        "delete from hold",
        "update hold set reason = 'other'",
        "update hold set released_at = null, released_by = null, release_reason = null",
        "update hold set case_id = 'K-2'",
    ],
)
def test_holds_keep_their_history(
    client: TestClient, lender: Lender, agency: Sender, database: Database, statement: str
) -> None:
    make_kept_call(client, agency, b"x", started_at=datetime.now(UTC))
    with tenant_session(lender.id) as session:
        wish = HoldWish("诉讼", case_id="K-1")
        placed = holds.place_hold(
            session, tenant_id=lender.id, wish=wish, by="one", now=datetime.now(UTC)
        )
    with tenant_session(lender.id) as session:
        holds.release_hold(session, placed.row.id, reason="结案", by="two", now=datetime.now(UTC))

    with psycopg.connect(database.superuser_url) as connection:
        with pytest.raises(psycopg.DatabaseError) as caught:
            connection.execute(statement.encode())
        assert caught.value.sqlstate == "HG001"
    with tenant_session(lender.id) as session, pytest.raises(ConflictError):
        holds.release_hold(session, placed.row.id, reason="x", by="two", now=datetime.now(UTC))


def test_every_hold_on_a_case_is_found_on_its_messages_too(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    at = datetime(2026, 6, 3, 3, tzinfo=UTC)
    post_event(client, agency, make_sms(started_at=at.isoformat(), case_id="K-SMS"))
    make_kept_call(client, agency, b"x", started_at=at, case_id="K-OTHER")
    wishes = (
        HoldWish("r", case_id="K-SMS"),
        HoldWish("r", agency_id=agency.id, period_from=at, period_to=at + timedelta(hours=1)),
        HoldWish("r", agency_id=agency.id, period_from=at - timedelta(hours=1), period_to=at),
        HoldWish("r", case_id="K-OTHER"),
    )
    with tenant_session(lender.id) as session:
        placed = [
            holds.place_hold(session, tenant_id=lender.id, wish=wish, by="t", now=at).row.id
            for wish in wishes
        ]
        found = {row.id for row in holds.holds_on_case(session, "K-SMS")}

    assert found == set(placed[:2])


def test_a_hold_names_one_thing_that_there_is(clean: None) -> None:
    lender = make_tenant()
    agency, now = make_agency(lender), datetime.now(UTC)
    for wish in (
        HoldWish("r"),
        HoldWish("r", case_id="K-1", sha256="0" * 64),
        HoldWish("r", agency_id=agency.id),
        HoldWish("r", agency_id=agency.id, period_from=now, period_to=now),
        HoldWish("r", case_id="K-9"),
        HoldWish("r", sha256="0" * 64),
    ):
        with tenant_session(lender.id) as session, pytest.raises(InvalidInputError):
            holds.place_hold(session, tenant_id=lender.id, wish=wish, by="t", now=now)


def test_the_store_keeps_by_itself_what_it_was_told(
    client: TestClient, lender: Lender, agency: Sender, database: Database
) -> None:
    sha256 = keep_bytes(agency, b"stored")
    with pytest.raises(RetentionError):
        store().remove(lender.id, sha256, now=datetime.now(UTC))

    assert protect_recordings(lender.id) == 1
    assert protect_recordings(lender.id) == 0
    with pytest.raises(RetentionError):
        store().remove(lender.id, sha256, now=datetime.now(UTC) + timedelta(days=1800))
    with tenant_session(lender.id) as session:
        wish = HoldWish("诉讼", sha256=sha256)
        placed = holds.place_hold(
            session, tenant_id=lender.id, wish=wish, by="t", now=datetime.now(UTC)
        )
    assert protect_recordings(lender.id) == 1
    far = datetime.now(UTC) + timedelta(days=9000)
    with pytest.raises(RetentionError, match="hold"):
        store().remove(lender.id, sha256, now=far)
    with tenant_session(lender.id) as session:
        holds.release_hold(session, placed.row.id, reason="x", by="t", now=datetime.now(UTC))
    protect_recordings(lender.id)
    store().remove(lender.id, sha256, now=far)

    assert not store().exists(lender.id, sha256)


def test_the_clock_is_trusted_only_with_a_whole_row_of_ticks(
    database: Database, clean: None
) -> None:
    lender = make_tenant()

    def flaw() -> str | None:
        with tenant_session(lender.id) as session:
            return retention.clock_flaw(session)

    assert flaw() == "no_tick"
    tick()
    assert flaw() is None
    let_time_pass(database.superuser_url, timedelta(days=1100), ticking=False)
    assert flaw() == "no_tick"
    tick()
    assert flaw() == "jumped"
    with tenant_session(lender.id) as session:
        retention.vouch_for_clock(session, by="operator:a")
    assert flaw() is None
    let_time_pass(database.superuser_url, timedelta(days=-5), ticking=False)
    assert flaw() in {"no_tick", "went_back"}
