"""Audit reports: totals that can be counted again, and a PDF/A-3 that carries its own data."""

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from hegui.verify import verify_file
from service.clock import now
from service.db import tenant_session
from service.evidence.ledger_models import LedgerEntry
from service.evidence.ledger_read import list_keys
from service.evidence.ledger_run import run_sealer
from service.evidence.report_file import render_pdf
from service.models import AuditEntry, InteractionRow
from service.transcribe import Heard, load_recording, store_transcript
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_call,
    make_case,
    make_recording,
    make_sms,
    make_tenant,
    post_event,
    put_recording,
)

PERIOD = "from=2026-06-01&to=2026-06-30"


@pytest.fixture
def lender(client: TestClient) -> Lender:
    return make_tenant("汇民银行")


@pytest.fixture
def agency(lender: Lender) -> Sender:
    return make_agency(lender, "安正催收")


@pytest.fixture
def path(client: TestClient, agency: Sender, run_jobs: Callable[[], None]) -> str:
    """The report of a month with a night SMS, a threat, a lawful dial and an undecodable file."""
    noise = b"this is not audio at all"
    threat = [{"speaker": "collector", "start": 3.0, "end": 7.0, "text": "再不还钱就上门泼油漆"}]
    for document in (
        make_case(),
        make_sms(interaction_id="S-1", started_at="2026-06-03T23:30:00+08:00"),
        make_call(interaction_id="C-1", transcript=threat, recording=make_recording(b"later")),
        make_call(interaction_id="C-2", outcome="no_answer", talk_seconds=None),
        make_call(interaction_id="C-3", recording=make_recording(noise)),
        make_call(interaction_id="C-4", started_at="2026-07-01T10:00:00+08:00", outcome="busy"),
    ):
        assert post_event(client, agency, document).status_code == 202
    assert put_recording(client, agency, noise).status_code == 201
    run_jobs()
    return f"/v1/reports/agencies/{agency.id}?{PERIOD}"


def test_every_total_can_be_counted_again(client: TestClient, lender: Lender, path: str) -> None:
    report: dict[str, Any] = client.get(path, headers=lender.auth).json()

    totals, findings = report["totals"], report["findings"]
    assert report["schema"] == "hegui.report/1"
    assert totals["interactions"] == sum(totals["by_outcome"].values()) == 4
    assert totals["findings"] == len(findings) == sum(totals["by_severity"].values())
    counted = Counter(finding["rule"] for finding in findings)
    assert {row["rule"]: row["count"] for row in totals["by_rule"]} == counted
    assert counted["THR-02"] == 1
    assert counted["TIM-01"] == 1
    assert "C-4" not in {finding["interaction_id"] for finding in findings}


def test_a_finding_says_what_who_when_and_which_article(
    client: TestClient, lender: Lender, path: str
) -> None:
    report = client.get(path, headers=lender.auth).json()

    (threat,) = [row for row in report["findings"] if row["rule"] == "THR-02"]
    assert "泼油漆" in threat["quote"]
    assert threat["collector_id"] == "E-104"
    assert 3.0 <= threat["start"] < threat["end"] <= 7.0
    texts = {article["id"]: article for article in report["articles"]}
    assert set(threat["articles"]) <= set(texts)
    assert all(article["label"] != "U" for article in texts.values())


def test_every_recording_has_its_retention_status(
    client: TestClient, lender: Lender, path: str
) -> None:
    rows = client.get(path, headers=lender.auth).json()["retention"]

    status = {row["interaction_id"]: row["status"] for row in rows}
    assert status == {"C-1": "not_received", "C-3": "undecodable"}
    (kept,) = [row for row in rows if row["interaction_id"] == "C-3"]
    assert kept["retain_until"] > "2028"
    assert kept["size_bytes"] == len(b"this is not audio at all")


def test_the_pdf_is_pdf_a_3_with_chinese_text_and_the_same_data(
    client: TestClient, lender: Lender, path: str
) -> None:
    answer = client.get(f"{path}&format=pdf", headers=lender.auth)

    assert answer.headers["content-type"] == "application/pdf"
    with pikepdf.open(io.BytesIO(answer.content)) as pdf:
        attached = json.loads(pdf.attachments["report.json"].get_file().read_bytes())
        with pdf.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "3"
    text = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(answer.content)
    )
    assert "催收合规审计报告" in text
    assert "泼油漆" in text
    assert str(attached["totals"]["interactions"]) in text
    assert attached["agency"]["name"] == "安正催收"


def test_the_method_says_how_calls_were_heard_and_what_was_odd(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    flags = (("C-1", 60.0, 0.5, ("clipped", "swapped_channels")), ("C-2", 180.0, 0.1, ("clipped",)))
    for name, seconds, share, found in flags:
        audio = name.encode() * 30
        put_recording(client, agency, audio)
        post_event(client, agency, make_call(interaction_id=name, recording=make_recording(audio)))
        with tenant_session(lender.id) as session:
            row = session.exec(
                select(InteractionRow).where(InteractionRow.interaction_id == name)
            ).one()
            work = load_recording(session, tenant_id=lender.id, interaction_id=row.id, now=now())
            assert work is not None
            heard = Heard((), "openai-whisper", "0" * 64, {}, seconds, share, found)
            store_transcript(session, work, heard, now=now())
    address = f"/v1/reports/agencies/{agency.id}?{PERIOD}"

    hearing = client.get(address, headers=lender.auth).json()["hearing"]
    pdf = client.get(f"{address}&format=pdf", headers=lender.auth)

    assert (hearing["recordings"], hearing["untrusted_share"]) == (2, 0.2)
    assert [(row["flag"], row["interactions"]) for row in hearing["flags"]] == [
        ("clipped", ["C-1", "C-2"]),
        ("swapped_channels", ["C-1"]),
    ]
    text = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf.content)
    )
    assert "声道对调" in text
    assert "20%" in text


def test_the_same_document_gives_the_same_pdf(
    client: TestClient, lender: Lender, path: str
) -> None:
    report = client.get(path, headers=lender.auth).json()

    assert render_pdf(report) == render_pdf(report)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-06-30&to=2026-06-01", "to"),
        ("from=2024-01-01&to=2026-06-01", "to"),
        ("from=June&to=2026-06-01", "from"),
        ("to=2026-06-01", "from"),
        (f"{PERIOD}&format=docx", "format"),
    ],
)
def test_an_impossible_period_is_named(
    client: TestClient, lender: Lender, agency: Sender, query: str, field: str
) -> None:
    answer = client.get(f"/v1/reports/agencies/{agency.id}?{query}", headers=lender.auth)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]


def test_an_empty_period_says_so(client: TestClient, lender: Lender, agency: Sender) -> None:
    answer = client.get(f"/v1/reports/agencies/{agency.id}?{PERIOD}", headers=lender.auth)

    assert answer.json()["totals"]["interactions"] == 0
    pdf = client.get(f"/v1/reports/agencies/{agency.id}?{PERIOD}&format=pdf", headers=lender.auth)
    text = pypdfium2.PdfDocument(pdf.content)[0].get_textpage().get_text_range()
    assert "没有收到任何接触记录" in text


def test_the_signed_pdf_and_the_package_are_genuine_and_in_the_ledger(
    client: TestClient, lender: Lender, path: str, tmp_path: Path
) -> None:
    pdf = client.get(f"{path}&format=pdf", headers=lender.auth).content
    whole = client.get(f"{path}&format=zip", headers=lender.auth).content
    run_sealer(lender.id)

    with tenant_session(lender.id) as session:
        key = str(list_keys(session, lender.id)[0])
        noted = {
            row.details["format"]: row.details["sha256"]
            for row in session.exec(select(AuditEntry).where(AuditEntry.action == "report_made"))
        }
        sealed = [row.kind for row in session.exec(select(LedgerEntry))]
    for name, content in (("report.pdf", pdf), ("report.zip", whole)):
        (tmp_path / name).write_bytes(content)
        assert verify_file(tmp_path / name, key).status == 0
        assert noted[name[-3:]] == hashlib.sha256(content).hexdigest()
    assert sealed.count("report_made") == 2
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert {"report.json", "report.pdf", "report.xlsx"} <= set(opened.namelist())
    with pikepdf.open(io.BytesIO(pdf)) as opened_pdf, opened_pdf.open_metadata() as metadata:
        assert metadata["pdfaid:part"] == "3"
        assert json.loads(opened_pdf.attachments["report.json"].get_file().read_bytes())
        # What PDF/A asks of a signature: printed, not hidden, nothing left for a reader to draw.
        form = opened_pdf.Root.AcroForm
        (field,) = form.Fields
        assert int(field.F) & 0b110 == 0b100
        assert [int(side) for side in field.Rect] == [0, 0, 0, 0]
        assert "/NeedAppearances" not in form
        assert field.V.SubFilter == "/ETSI.CAdES.detached"


def test_the_workbook_holds_every_finding_and_no_formula(
    client: TestClient, lender: Lender, agency: Sender, path: str, run_jobs: Callable[[], None]
) -> None:
    trap = "=cmd|'/C'!A0"
    said = [{"speaker": "collector", "start": 3.0, "end": 7.0, "text": "再不还钱就上门泼油漆"}]
    call = make_call(interaction_id=trap, transcript=said)
    assert post_event(client, agency, call).status_code == 202
    run_jobs()

    report = client.get(path, headers=lender.auth).json()
    answer = client.get(f"{path}&format=xlsx", headers=lender.auth)

    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        sheets = {name: book.read(name).decode() for name in book.namelist() if "sheet" in name}
    assert "<f>" not in "".join(sheets.values())
    assert sheets["xl/worksheets/sheet2.xml"].count("<row ") == len(report["findings"]) + 1
    assert any(trap in text for text in sheets.values())


def test_a_lenders_report_counts_all_agencies_and_an_agencys_its_own(
    client: TestClient, lender: Lender, agency: Sender, path: str, run_jobs: Callable[[], None]
) -> None:
    other = make_agency(lender, "另一家催收")
    post_event(client, other, make_sms(started_at="2026-06-05T23:30:00+08:00", case_id="K-2"))
    run_jobs()

    whole = client.get(f"/v1/reports/lender?{PERIOD}", headers=lender.auth).json()
    own = client.get(f"/v1/reports/lender?{PERIOD}", headers=other.auth).json()
    pdf = client.get(f"/v1/reports/lender?{PERIOD}&format=pdf", headers=lender.auth)

    assert whole["agency"] is None
    assert whole["totals"]["interactions"] == 5
    assert {row["name"]: row["interactions"] for row in whole["agencies"]} == {
        "安正催收": 4,
        "另一家催收": 1,
    }
    assert sum(day["interactions"] for day in whole["days"]) == 5
    assert own["totals"]["interactions"] == 1
    assert own["agency"]["name"] == "另一家催收"
    assert pdf.status_code == 200
