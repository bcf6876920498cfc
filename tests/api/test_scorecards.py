"""Scorecards count what stands, with its uncertainty; missing recordings never help anybody."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pikepdf
import pypdfium2
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from hegui.cli import app
from service.db import tenant_session
from service.evidence.checkpoint import NoteError, origin_of, signer
from service.evidence.pdf_seal import check_seal, read_seal
from service.models import InteractionRow
from service.people.agreement import share
from service.people.scorecards import Counts, compare
from service.people.scorecards_evaluation import to_xlsx
from tests.factories import Lender, Sender, make_agency, make_call, make_case, make_sms, post_event
from tests.people import findings, make_quality, make_reviewer, review, send_threat
from tests.workers.test_watch import add_contact
from tests.workers.texts import LAWFUL

DAYS = {"from": "2026-06-01T00:00:00+08:00", "to": "2026-07-01T00:00:00+08:00"}


@pytest.fixture
def month(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> Sender:
    """Two threats (one of them dismissed), two lawful messages, a call without its recording."""
    for number in range(2):
        send_threat(client, agency, number, collector={"id": f"E-{number}"})
    post_event(client, agency, make_case(case_id="K-9"))
    for _ in range(2):
        post_event(client, agency, make_sms(case_id="K-9", text=LAWFUL))
    post_event(client, agency, make_call(case_id="K-9", collector={"id": "E-9"}))
    run_jobs()
    reviewer = make_reviewer(lender)
    rows = findings(client, lender.auth, limit=200)
    wronged = next(row["interaction"] for row in rows if row["rule"] == "THR-02")
    for row in rows:
        if row["interaction"] == wronged:
            review(client, reviewer, row["id"], "dismiss")
    return agency


@pytest.mark.parametrize(
    ("since", "to", "field"),
    [
        pytest.param("0017-01-16T17:23:13Z", None, "from", id="two thousand years"),
        pytest.param("2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z", "to", id="backwards"),
    ],
)
def test_a_time_that_no_card_can_show_is_refused(
    client: TestClient, lender: Lender, agency: Sender, since: str, to: str | None, field: str
) -> None:
    days = {"from": since, **({"to": to} if to else {})}

    answer = client.get(f"/v1/scorecards/{agency.id}", params=days, headers=lender.auth)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_a_card_counts_what_stands_after_review(
    client: TestClient, lender: Lender, month: Sender
) -> None:
    card = client.get(f"/v1/scorecards/{month.id}", params=DAYS, headers=lender.auth).json()

    counts = card["counts"]
    assert (counts["contacts"], counts["failed_by_system"] - counts["failed"]) == (5, 1)
    assert counts["is_small"] is True
    assert counts["rate"]["low"] < counts["rate"]["share"] < counts["rate"]["high"]
    assert sum(each["counts"]["contacts"] for each in card["collectors"]) == 5
    assert {each["collector_id"] for each in card["collectors"]} == {"E-0", "E-1", "E-9", "E-104"}
    families = {each["family"]: each["broken"]["count"] for each in card["families"]}
    assert families["THR"] == 1
    assert card["change"]["word"] == "unclear"
    own = client.get(f"/v1/scorecards/{month.id}", params=DAYS, headers=make_quality(lender, month))
    assert own.json()["counts"] == counts
    sibling = make_agency(lender)
    assert (
        client.get(f"/v1/scorecards/{month.id}", params=DAYS, headers=sibling.auth).status_code
        == 404
    )
    assert client.get("/v1/scorecards", params=DAYS, headers=month.auth).status_code == 403


def test_who_sends_no_recordings_never_climbs() -> None:
    honest = Counts(contacts=100, unproven=0, failed=10)
    silent = Counts(contacts=100, unproven=95, failed=0)

    assert silent.rate.share == 0
    assert honest.rate.share == 0.1
    assert (silent.adverse.share or 0) > (honest.adverse.share or 1)
    for hidden in range(101):
        failed = max(0, 10 - hidden)
        less_proof = Counts(contacts=100, unproven=hidden, failed=failed)
        assert (less_proof.adverse.share or 0) >= (honest.adverse.share or 1)


def test_the_league_ranks_only_who_has_enough_contacts(
    client: TestClient, lender: Lender, month: Sender
) -> None:
    make_agency(lender, "没有联系的公司")

    league = client.get("/v1/scorecards", params=DAYS, headers=lender.auth).json()["items"]

    assert [place["rank"] for place in league] == [None, None]
    assert {place["counts"]["contacts"] for place in league} == {0, 5}


def test_hidden_recordings_cost_places_in_the_league(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    silent = make_agency(lender, "不交录音的公司")
    at = datetime.fromisoformat("2026-06-03T11:00:00+08:00")
    with tenant_session(lender.id) as session:
        for number in range(40):
            add_contact(session, agency, "THR-02" if number < 4 else None, at)
            hidden = add_contact(session, silent, None, at)
            if number < 20:
                contact = session.get_one(InteractionRow, (lender.id, hidden))
                contact.outcome = "inconclusive"
    own, theirs = (
        client.get(f"/v1/scorecards/{one.id}", params=DAYS, headers=lender.auth).json()["counts"]
        for one in (agency, silent)
    )
    assert (own["rate"]["share"], theirs["rate"]["share"]) == (0.1, 0.0)

    league = client.get("/v1/scorecards", params=DAYS, headers=lender.auth).json()["items"]

    assert [(place["rank"], place["agency_id"]) for place in league] == [
        (1, str(agency.id)),
        (2, str(silent.id)),
    ]


def test_a_change_is_told_only_where_the_interval_says_so() -> None:
    # Newcombe (1998), table II, method 10: 56/70 against 48/80.
    change = compare(share(48, 80), share(56, 70))

    assert change.difference == pytest.approx(0.2)
    assert (change.low, change.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert change.word == "worse"
    assert compare(share(56, 70), share(48, 80)).word == "better"
    assert compare(share(5, 56), share(4, 50)).word == "unclear"
    assert compare(share(0, 0), share(1, 2)).difference is None


def test_the_yearly_evaluation_is_json_a_workbook_and_a_command(
    client: TestClient, lender: Lender, month: Sender, tmp_path: Any
) -> None:
    path = f"/v1/scorecards/{month.id}/evaluation"
    document = client.get(path, params={"year": 2026}, headers=lender.auth).json()
    assert document["schema"] == "hegui.evaluation/1"
    assert document["totals"]["contacts"] == 5
    assert sum(row["contacts"] for row in document["months"]) == 5
    assert "GB/T 45251" in document["basis"]["zh"]
    assert client.get(path, params={"year": 2098}, headers=lender.auth).status_code == 422

    book = client.get(path, params={"year": 2026, "format": "xlsx"}, headers=lender.auth)
    with zipfile.ZipFile(io.BytesIO(book.content)) as parts:
        assert parts.testzip() is None
        strings = parts.read("xl/sharedStrings.xml").decode()
        assert sum("worksheets/sheet" in name for name in parts.namelist()) == 5
    assert "E-104" in strings
    target = tmp_path / "evaluation.json"
    done = CliRunner().invoke(
        app,
        ["scorecard", str(month.id), "--year", "2026", "--output", str(target)],
    )
    assert done.exit_code == 0, done.output
    written = json.loads(target.read_text("utf-8"))
    assert written["totals"] == document["totals"]


def test_the_yearly_evaluation_is_a_signed_pdf_in_both_languages_with_its_data(
    client: TestClient, lender: Lender, month: Sender, tmp_path: Path
) -> None:
    path = f"/v1/scorecards/{month.id}/evaluation"
    query: dict[str, str | int] = {"year": 2026, "format": "pdf"}
    answer = client.get(path, params=query, headers=lender.auth)

    assert answer.headers["content-type"] == "application/pdf"
    text = "\n".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(answer.content)
    )
    words = "催收机构年度评价 Yearly 示例催收公司 2026-06 威胁 E-104 样本过少 few 45251"
    assert [word for word in words.split() if word not in text] == []
    with pikepdf.open(io.BytesIO(answer.content)) as pdf:
        attached = json.loads(pdf.attachments["report.json"].get_file().read_bytes())
        with pdf.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "3"
    assert attached["totals"]["contacts"] == 5
    target = tmp_path / "year.pdf"
    command = ["scorecard", str(month.id), "--year", "2026", "--format", "pdf"]
    done = CliRunner().invoke(app, [*command, "--output", str(target)])
    assert done.exit_code == 0, done.output
    key = signer().public(origin_of(lender.id))
    for content in (answer.content, target.read_bytes()):
        check_seal(read_seal(content), key)
        with pytest.raises(NoteError, match="not what was signed"):
            check_seal(read_seal(content.replace(b"/Type", b"/Tyqe", 1)), key)


def test_a_text_in_the_workbook_is_never_a_formula() -> None:
    counts = {
        **dict.fromkeys(
            ("contacts", "unproven", "failed_by_system", "failed", "without_recording"), 1
        ),
        "rate": {"share": None, "low": 0.0, "high": 1.0},
        "adverse": {"share": 0.5, "low": 0.0, "high": 1.0},
        "is_small": True,
    }
    document = {
        "agency": {"name": "=HYPERLINK(1)"}, "year": 2026, "basis": {"zh": ""}, "totals": counts,
        "change": {"difference": None, "low": None, "high": None, "word": "unclear"},
        "league": {"rank": None}, "disputes": {}, "months": [], "families": [],
        "collectors": [{"collector_id": "=1+1", **counts}], "method": [],
    }  # fmt: skip

    with zipfile.ZipFile(io.BytesIO(to_xlsx(document))) as parts:
        sheets = b"".join(parts.read(n) for n in parts.namelist() if "worksheets/" in n)

    assert b"<f>" not in sheets


def test_the_badge_shows_a_word_to_whoever_holds_its_token_and_to_nobody_else(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    path = f"/v1/checks/agencies/{agency.id}/badge.svg"
    moment = datetime.now(UTC).isoformat()
    send_threat(client, agency, started_at=moment, timestamp=moment)
    run_jobs()
    bare = client.get(path)
    assert bare.status_code == 401
    made = client.post(f"/v1/checks/agencies/{agency.id}/badge-token", headers=lender.auth).json()

    shown = client.get(made["path"])

    assert shown.headers["content-type"].startswith("image/svg+xml")
    assert "未通过" in shown.text
    assert ET.fromstring(shown.text).tag.endswith("svg")  # noqa: S314  our own picture
    assert "示例催收公司" not in shown.text
    assert "failing" in client.get(made["path"] + "&lang=en").text
    assert "未通过" in client.get(path, headers=agency.auth).text
    wrong = client.get(f"{path}?token=guess")
    assert (wrong.status_code, wrong.json()["detail"]) == (401, bare.json()["detail"])
    other = make_agency(lender)
    foreign = client.get(f"/v1/checks/agencies/{other.id}/badge.svg?token={made['token']}")
    assert foreign.status_code == 401
    assert (
        client.delete(
            f"/v1/checks/agencies/{agency.id}/badge-token", headers=lender.auth
        ).status_code
        == 204
    )
    assert client.get(made["path"]).status_code == 401
