"""An agency disputes a finding inside its window; somebody else judges, and finally."""

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient
from typer.testing import CliRunner

import rules as rules_package
from hegui.cli import app
from hegui.cli_rules import load
from rules.selftest import check, entries
from service.clock import now
from service.db import tenant_session
from service.errors import ConflictError
from service.models import AuditEntry, RecordingRow, VerdictRow
from service.people import disputes
from service.people.disputes_calendar import ZONE, end_of_working_days, is_working_day
from service.people.models import DisputeRow
from tests.factories import Lender, Sender, make_agency
from tests.people import Auth, act, findings, make_quality, make_reviewer, review, send_threat

# A pack of one family is read in a tenth of the time.
OTHER_FAMILIES = [f"[!t]{'?' * 2}.yaml", "t[!h]?.yaml", "[!t]??_*.yaml", "t[!h]?_*.yaml"]
WHY = "这是借款人自己的话，催收员只是复述，请听录音。"


@pytest.fixture
def quality(lender: Lender, agency: Sender) -> Auth:
    return make_quality(lender, agency)


@pytest.fixture
def threat(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> dict[str, Any]:
    send_threat(client, agency, text="张三，明天去你家烧纸。电话13912345678。")
    run_jobs()
    found: dict[str, Any] = findings(client, lender.auth, rule="THR-02")[0]
    return found


def seen_at(lender: Lender, moment: datetime) -> None:
    """Let the verdicts be of that moment."""
    with tenant_session(lender.id) as session:
        for row in session.exec(select(VerdictRow)):
            row.evaluated_at = moment


@pytest.mark.parametrize(
    ("moment", "days", "end"),
    [
        # An ordinary week; the weekend does not count.
        ("2026-06-03T10:00:00+08:00", 5, "2026-06-11T00:00:00+08:00"),
        # National Day: 1–7 October are off, Saturday the 10th is a working day by the notice.
        ("2026-09-30T23:59:59+08:00", 5, "2026-10-14T00:00:00+08:00"),
        # Spring Festival: 15–23 February off, Saturdays the 14th and 28th are worked.
        ("2026-02-12T09:00:00+08:00", 3, "2026-02-25T00:00:00+08:00"),
        # The natural day is that of Shanghai, whatever the offset says.
        ("2026-06-03T23:00:00+00:00", 1, "2026-06-06T00:00:00+08:00"),
    ],
)
def test_working_days_follow_the_notice_of_the_year(moment: str, days: int, end: str) -> None:
    assert end_of_working_days(datetime.fromisoformat(moment), days) == datetime.fromisoformat(end)


def test_every_window_of_two_years_has_its_working_days_and_no_more() -> None:
    for offset in range(0, 700, 3):
        day = date(2025, 1, 1) + timedelta(days=offset)
        moment = datetime(day.year, day.month, day.day, 17, 30, tzinfo=ZONE)
        end = end_of_working_days(moment, 5)

        last = (end - timedelta(seconds=1)).date()
        between = [day + timedelta(days=n) for n in range(1, (last - day).days + 1)]
        assert sum(map(is_working_day, between)) == 5
        assert is_working_day(last)
        assert end.astimezone(ZONE).timetz().replace(tzinfo=None).isoformat() == "00:00:00"


def test_an_upheld_dispute_dismisses_the_finding_for_good(
    client: TestClient, lender: Lender, threat: dict[str, Any], quality: Auth
) -> None:
    first, judge = make_reviewer(lender), make_reviewer(lender)
    review(client, first, threat["id"], "confirm")
    path = f"/v1/findings/{threat['id']}/disputes"
    opened = act(client, quality, path, {"text": WHY}, expect=201)
    assert act(client, quality, path, {"text": WHY}) == opened
    again = act(client, quality, path, {"text": WHY + "再说一次"}, expect=409)
    assert (again["code"], again["dispute"]) == ("disputed_before", opened["id"])
    assert opened["decided_by"] is None

    decision = {"upheld": True, "reason": "录音第 12 秒确为复述"}
    door = f"/v1/disputes/{opened['id']}/judgement"
    assert act(client, first, door, decision, expect=409)["code"] == "own_decision"
    assert client.post(door, json=decision, headers=quality).status_code == 403
    judged = act(client, judge, door, decision, expect=201)
    assert act(client, judge, door, decision) == judged
    other = act(client, judge, door, {**decision, "upheld": False}, expect=409)
    assert other["code"] == "judgement_final"
    late = review(client, judge, threat["id"], "confirm", expect=409)
    assert late["code"] == "judgement_final"

    (shown,) = findings(client, quality, rule="THR-02")
    assert (shown["disposition"], shown["review"]["state"]) == ("violation", "dismiss")
    assert (shown["review"]["is_final"], shown["review"]["dispute_state"]) == (True, "upheld")
    with tenant_session(lender.id) as session:
        acts = session.exec(
            select(AuditEntry)
            .where(col(AuditEntry.action).startswith("dispute_"))
            .order_by(col(AuditEntry.seq))
        ).all()
    assert [entry.action for entry in acts] == ["dispute_opened", "dispute_judged"]
    assert WHY not in str([entry.details for entry in acts])


def test_the_window_is_kept_to_the_second(
    lender: Lender, agency: Sender, threat: dict[str, Any], quality: Auth, client: TestClient
) -> None:
    seen = datetime(2026, 9, 30, 18, 0, tzinfo=ZONE)
    seen_at(lender, seen)
    end = end_of_working_days(seen, 5)

    def dispute(at: datetime) -> DisputeRow:
        with tenant_session(lender.id) as session:
            return disputes.open_dispute(
                session,
                UUID(threat["id"]),
                WHY,
                tenant_id=lender.id,
                agency_id=agency.id,
                by="q",
                now=at,
            )[0]

    for late in (end, end + timedelta(microseconds=1), end + timedelta(days=1)):
        with pytest.raises(ConflictError) as refused:
            dispute(late)
        assert refused.value.code == "window_closed"
    seen_at(lender, seen.astimezone(UTC))
    made = dispute(end - timedelta(microseconds=1))
    assert made.window_until == end
    refused_now = act(
        client, quality, f"/v1/findings/{threat['id']}/disputes", {"text": WHY}, expect=409
    )
    assert refused_now["code"] == "disputed_before"


def test_an_unjudged_dispute_lapses_at_its_deadline_and_the_finding_stands(
    client: TestClient,
    lender: Lender,
    threat: dict[str, Any],
    quality: Auth,
    run_jobs: Callable[[], None],
) -> None:
    from workers.reconcile import reconcile_tenant

    opened = act(
        client, quality, f"/v1/findings/{threat['id']}/disputes", {"text": WHY}, expect=201
    )
    due = datetime.fromisoformat(opened["decide_by"])
    with tenant_session(lender.id) as session:
        assert not disputes.lapse(
            session, UUID(opened["id"]), tenant_id=lender.id, now=due - timedelta(seconds=1)
        )
    door = f"/v1/disputes/{opened['id']}"
    assert client.get(door, headers=quality).json()["state"] == "open"

    assert reconcile_tenant(lender.id, now=due).get("lapse", 0) == 0  # its job still waits
    with tenant_session(lender.id) as session:
        assert disputes.lapse(session, UUID(opened["id"]), tenant_id=lender.id, now=due)
    run_jobs()

    assert client.get(door, headers=quality).json()["state"] == "lapsed"
    refused = act(
        client,
        make_reviewer(lender),
        f"{door}/judgement",
        {"upheld": True, "reason": "太晚了"},
        expect=409,
    )
    assert refused["code"] == "dispute_lapsed"
    (shown,) = findings(client, lender.auth, rule="THR-02")
    assert (shown["review"]["state"], shown["review"]["dispute_state"]) == ("open", "lapsed")
    assert act(client, quality, f"{door}/withdrawal", expect=409)["code"] == "dispute_lapsed"


def test_files_are_kept_by_hash_and_only_for_the_two_sides(
    client: TestClient, lender: Lender, threat: dict[str, Any], quality: Auth
) -> None:
    opened = act(
        client, quality, f"/v1/findings/{threat['id']}/disputes", {"text": WHY}, expect=201
    )
    content = b"%PDF-1.7 evidence"
    name = hashlib.sha256(content).hexdigest()
    path = f"/v1/disputes/{opened['id']}/files/{name}"
    kind = {"content-type": "application/pdf"}

    assert client.put(path, content=content, headers={**quality, **kind}).status_code == 201
    assert client.put(path, content=content, headers={**quality, **kind}).status_code == 200
    wrong = client.put(path, content=b"other", headers={**quality, **kind})
    assert wrong.json()["code"] == "digest_mismatch"
    script = client.put(path, content=content, headers={**quality, "content-type": "text/html"})
    assert script.status_code == 422
    read = client.get(path, headers=lender.auth)
    assert (read.content, read.headers["x-content-type-options"]) == (content, "nosniff")
    assert client.get(path, headers=quality).content == content

    sibling = make_agency(lender)
    for auth in (sibling.auth, make_quality(lender, sibling)):
        assert client.get(path, headers=auth).status_code == 404
        assert client.get("/v1/disputes", headers=auth).json()["items"] == []
        assert client.get(f"/v1/disputes/{opened['id']}", headers=auth).status_code == 404
    foreign = client.put(path, content=content, headers={**make_quality(lender, sibling), **kind})
    assert foreign.status_code == 404
    with tenant_session(lender.id) as session:
        kept = session.exec(select(RecordingRow)).one()
    assert kept.sha256 == name
    assert kept.retain_until > now() + timedelta(days=365)
    assert act(client, quality, f"/v1/disputes/{opened['id']}/withdrawal")["state"] == "withdrawn"
    more = client.put(path[:-64] + "0" * 64, content=b"", headers={**quality, **kind})
    assert more.json()["code"] == "dispute_withdrawn"


def test_an_upheld_dispute_becomes_a_test_that_fails_until_the_rule_is_mended(
    client: TestClient, lender: Lender, threat: dict[str, Any], quality: Auth, tmp_path: Path
) -> None:
    opened = act(
        client, quality, f"/v1/findings/{threat['id']}/disputes", {"text": WHY}, expect=201
    )
    door = f"/v1/disputes/{opened['id']}"
    early = client.get(f"{door}/near-miss", headers=lender.auth)
    assert early.json()["code"] == "not_upheld"
    decision = {"upheld": True, "reason": "引用而已"}
    act(client, make_reviewer(lender), f"{door}/judgement", decision, expect=201)

    exported = client.get(f"{door}/near-miss", headers=lender.auth)
    assert exported.status_code == 200, exported.text
    for personal in ("13912345678", "张三"):
        assert personal not in exported.text
    folder = tmp_path / "misses"
    folder.mkdir()
    (folder / "one.yaml").write_text(exported.text, "utf-8")
    pack = tmp_path / "pack"
    with resources.as_file(resources.files(rules_package) / "packs" / "collection") as shipped:
        shutil.copytree(shipped, pack, ignore=shutil.ignore_patterns(*OTHER_FAMILIES))
    run = CliRunner()

    failing = run.invoke(app, ["rules", "near-misses", str(folder), "--pack", str(pack)])
    assert (failing.exit_code, "1 still reported" in failing.stdout) == (1, True)
    applied = run.invoke(app, ["rules", "near-misses", str(folder), "--apply", str(pack)])
    assert applied.stdout == f"1 near misses, 1 added to {pack}\n"
    again = run.invoke(app, ["rules", "near-misses", str(folder), "--apply", str(pack)])
    assert "0 added" in again.stdout

    loaded = load(str(pack))
    (rule,) = (each for each in loaded.rules if each.id == "THR-02")
    kind, number, entry, fires = next(each for each in entries(rule) if each[0] == "misses")
    assert (kind, number, fires) == ("misses", 1, False)
    assert "is reported" in str(check(loaded, rule, entry, fires=fires))

    for file in pack.glob("*.yaml"):  # the rule is mended: it knows these words no more
        text = file.read_text("utf-8")
        file.write_text(text.replace("(烧纸|", "("), "utf-8")
    mended = run.invoke(app, ["rules", "near-misses", str(folder), "--pack", str(pack)])
    assert (mended.exit_code, mended.stdout) == (0, "1 near misses, 0 still reported\n")
