"""Evidence is genuine or not, and both verifiers say the same of every file, changed or whole."""

import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any
from uuid import uuid4

import pikepdf
import pypdfium2
import pytest
from starlette.testclient import TestClient

from hegui.cli_verify import WORDS
from hegui.verify import verify_file
from service.clock import now
from service.db import tenant_session
from service.evidence import ledger_audit
from service.evidence.checkpoint import Checkpoint, PublicKey, origin_of, signer
from service.evidence.ledger import commit_to, make_leaf
from service.evidence.ledger_read import list_keys
from service.evidence.ledger_source import SOURCES
from service.evidence.manifest import make_package
from service.evidence.merkle import inclusion_proof, leaf_hash, root
from service.evidence.pdf_seal import seal_pdf
from service.evidence.report_pdf import render
from service.evidence.sealed_zip import Part
from service.models import Actor, Scope
from tests.factories import (
    Lender,
    Sender,
    make_call,
    make_case,
    make_key,
    make_recording,
    post_event,
    put_recording,
)

TOOL = Path(__file__).parents[2] / "tools" / "verify_evidence.py"
EVERY = os.environ.get("HYPOTHESIS_PROFILE") == "long"
TENANT = uuid4()
ORIGIN = origin_of(TENANT)
THREAT = [
    {"speaker": "collector", "start": 0.0, "end": 2.0, "text": "您好，是蒋涛吗"},
    {"speaker": "collector", "start": 3.0, "end": 7.0, "text": "再不还钱就上门泼油漆"},
]

DOCUMENT: dict[str, Any] = {
    "made_at": "2026-06-30T12:00:00+00:00",
    "view": "plain",
    "tenant": {"name": "汇民银行"},
    "agency": {"name": "安正催收"},
    "interaction": {
        "interaction_id": "C-1",
        "case_id": "K-1",
        "channel": "call",
        "direction": "outbound",
        "started_at": "2026-06-03T11:00:00+08:00",
        "received_at": "2026-06-03T11:05:00+08:00",
        "outcome": None,
        "collector_id": None,
        "party_role": None,
    },
    "verdicts": [],
    "rules": [],
    "articles": [],
    "recording": None,
    "transcript": None,
}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_evidence", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ask(tool: ModuleType, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Ask both verifiers, see that they agree, and give their answer."""
    path = tmp_path / "evidence"

    def both(data: bytes, key: str | None = None) -> tuple[int, str, str]:
        path.write_bytes(data)
        one, other = verify_file(path, key), tool.answer(str(path), key)
        said = (one.status, one.problem, one.place)
        assert said == (other["status"], other["problem"], other["place"])
        if one.status == 0:
            assert one.key is not None
            assert one.key.fingerprint == other["key_fingerprint"]
        return said

    return both


def package(
    *, leaf_at: int = 3, content: dict[str, Any] | None = None, text: str = "{}", **change: Any
) -> bytes:
    """A small package with one proven entry; keywords make it lie in one place."""
    sealed = {"id": "7", "body_sha256": leaf_digest("{}")}
    made = commit_to(sealed, b"s" * 16)
    leaf = make_leaf(TENANT, 3, "receipt", now(), made)
    leaves = [leaf_hash(bytes([number])) for number in range(7)]
    leaves[3] = leaf_hash(leaf)
    head = Checkpoint(ORIGIN, 7, root(leaves), now())
    entry = {
        "seq": leaf_at,
        "leaf": leaf.decode(),
        "path": [node.hex() for node in inclusion_proof(leaves, 3)],
        "salt": (b"s" * 16).hex(),
        "content": content or sealed,
        "documents": {"body_sha256": "events/7.body.json"},
        **change,
    }
    ledger = {"schema": "hegui.ledger/1", "size": 7, "entries": [entry]}
    parts = {
        "checkpoint.txt": signer().sign(head.text, ORIGIN),
        "events/7.body.json": text,
        "ledger.json": json.dumps(ledger),
    }
    return b"".join(
        make_package(
            "hegui.bundle/1",
            {"tenant": str(TENANT), "view": "plain"},
            [Part.of(name, value.encode()) for name, value in parts.items()],
            signer=signer(),
            origin=ORIGIN,
            now=now(),
        )
    )


def leaf_digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def changed(data: bytes, places: range | list[int]) -> Iterator[bytes]:
    """The data with one byte changed, or cut short, at each place."""
    dice = Random(20261122)  # noqa: S311
    for place in places:
        yield data[:place] + bytes([data[place] ^ dice.randrange(1, 256)]) + data[place + 1 :]


Ask = Callable[..., tuple[int, str, str]]


def test_every_changed_byte_of_a_small_package_is_refused(database: object, ask: Ask) -> None:
    data, key = package(), str(signer().public(ORIGIN))
    assert ask(data, key) == (0, "", "")
    assert ask(data) == (0, "", "")

    for bad in changed(data, range(len(data))):
        assert ask(bad, key)[0] != 0
    for cut in range(0, len(data), 97):
        assert ask(data[:cut], key)[0] != 0
    assert ask(data + b"\n", key)[:2] == (1, "zip_malformed")


def test_an_added_removed_or_reordered_file_is_refused(database: object, ask: Ask) -> None:
    data, key = package(), str(signer().public(ORIGIN))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    from service.evidence.sealed_zip import pack

    def again(chosen: dict[str, bytes]) -> bytes:
        return b"".join(pack([Part.of(name, content) for name, content in chosen.items()]))

    assert again(files) == data
    assert ask(again({**files, "more.txt": b"x"}), key) == (1, "file_unlisted", "MANIFEST.txt")
    fewer = {name: content for name, content in files.items() if name != "ledger.json"}
    assert ask(again(fewer), key) == (1, "file_missing", "ledger.json")
    other = {**files, "events/7.body.json": b"[]"}
    assert ask(again(other), key) == (1, "file_changed", "events/7.body.json")
    turned = dict(reversed(files.items()))
    assert ask(again(turned), key) == (1, "file_missing", "MANIFEST.txt")


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ({"leaf_at": 4}, "leaf_differs"),
        ({"path": ["00" * 32] * 3}, "not_in_the_ledger"),
        ({"path": []}, "not_in_the_ledger"),
        ({"content": {"id": "8", "body_sha256": leaf_digest("{}")}}, "content_differs"),
        ({"salt": "00" * 16}, "content_differs"),
        ({"text": "[]"}, "document_differs"),
        ({"documents": {"body_sha256": "nowhere"}}, "document_differs"),
        ({"salt": "zz"}, "ledger_malformed"),
    ],
)
def test_who_holds_the_key_cannot_lie_about_the_ledger(
    database: object, ask: Ask, lie: dict[str, Any], problem: str
) -> None:
    status, found, _ = ask(package(**lie), str(signer().public(ORIGIN)))

    assert (status, found) == (1, problem)


def test_another_key_or_a_broken_one_is_refused(database: object, ask: Ask) -> None:
    data = package()
    other = PublicKey(ORIGIN, b"\x07" * 32)

    assert ask(data, str(other))[0] == 1
    assert ask(data, "not a key") == (2, "key_malformed", "")
    assert ask(b"something else", str(other)) == (2, "not_verifiable", "")


def test_every_changed_byte_of_a_checkpoint_is_refused(database: object, ask: Ask) -> None:
    head = Checkpoint(ORIGIN, 7, b"\x01" * 32, now())
    note = signer().sign(head.text, ORIGIN).encode()
    key = str(signer().public(ORIGIN))
    assert ask(note, key) == (0, "", "")
    assert ask(note) == (2, "key_needed", "")

    for bad in changed(note, range(len(note))):
        assert ask(bad, key)[0] != 0


def test_changed_bytes_of_a_signed_pdf_are_refused(database: object, ask: Ask) -> None:
    pdf = seal_pdf(render("bundle", DOCUMENT, now=now()), signer(), ORIGIN)
    key = str(signer().public(ORIGIN))
    assert ask(pdf, key) == (0, "", "")
    assert ask(pdf) == (0, "", "")

    # The signature's own place is the one part that the signature does not cover: all of it.
    start = pdf.index(b"/Contents <") + 11
    signed = range(start - 30, start + 2_200, 1 if EVERY else 3)
    rest = sorted(Random(7).sample(range(len(pdf)), 60))  # noqa: S311
    for bad in changed(pdf, [*signed, *rest]):
        assert ask(bad, key)[0] != 0
    assert ask(pdf[:-1], key)[0] == 1
    assert ask(pdf + b"\n", key)[0] == 1


@pytest.fixture
def contact(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> str:
    """A contact with a threat in it, its case and its recording; gives its path."""
    audio = bytes(range(256)) * 40
    debtor = {"name": "蒋涛", "phones": ["+8613800010036"]}
    for document in (
        make_case(debtor=debtor),
        make_call(
            interaction_id="C-1",
            transcript=THREAT,
            party={"role": "debtor", "phone": "+8613800010036"},
            recording=make_recording(audio, duration_seconds=7),
        ),
    ):
        assert post_event(client, agency, document).status_code == 202
    assert put_recording(client, agency, audio).status_code == 201
    run_jobs()
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    return f"/v1/interactions/{item['id']}"


def key_of(lender: Lender) -> str:
    with tenant_session(lender.id) as session:
        return str(list_keys(session, lender.id)[0])


def test_a_bundle_holds_all_evidence_and_no_byte_of_it_can_change(
    client: TestClient, lender: Lender, contact: str, ask: Ask, tmp_path: Path
) -> None:
    answer = client.get(f"{contact}/bundle", headers=lender.auth)

    assert answer.status_code == 200
    assert ask(answer.content, key_of(lender)) == (0, "", "")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    interaction = json.loads(files["interaction.json"])
    (verdict,) = interaction["verdicts"]
    threat = next(one for one in verdict["findings"] if one["rule"] == "THR-02")
    assert "泼油漆" in threat["quote"]
    assert {rule["id"] for rule in interaction["rules"]} >= {"THR-02"}
    assert interaction["articles"]
    ledger = json.loads(files["ledger.json"])
    kinds = {json.loads(entry["leaf"])["kind"] for entry in ledger["entries"]}
    assert {"receipt", "recording", "verdict", "interaction_checked"} <= kinds
    assert ledger["not_sealed_yet"] == 0
    assert all("content" in entry for entry in ledger["entries"])
    assert sum(name.startswith("audio/") for name in files) == 1
    assert sum(name.startswith("received/") for name in files) == 2
    assert any("蒋涛" in files[name].decode() for name in files if name.startswith("received/"))
    text = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(files["report.pdf"])
    )
    for said in ("催收接触证据", "泼油漆", "THR-02", "E-104", "nifa-2018"):
        assert said in text
    with pikepdf.open(io.BytesIO(files["report.pdf"])) as pdf, pdf.open_metadata() as metadata:
        assert metadata["pdfaid:part"] == "3"
    size = len(answer.content)
    places = range(size) if EVERY else sorted(Random(5).sample(range(size), 150))  # noqa: S311
    for bad in changed(answer.content, places):
        assert ask(bad, key_of(lender))[0] != 0
    path = tmp_path / "bundle.zip"
    path.write_bytes(answer.content)
    for command in ([sys.executable, "-m", "hegui", "verify"], [sys.executable, str(TOOL)]):
        done = subprocess.run(
            [*command, str(path), "--key", key_of(lender)], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_masked_bundle_proves_the_same_entries_and_names_nobody(
    client: TestClient, lender: Lender, contact: str, ask: Ask
) -> None:
    viewer = make_key(lender, Actor.LENDER, scope=Scope.READ)
    auth = {"authorization": f"Bearer {viewer.token}"}

    answer = client.get(f"{contact}/bundle", headers=auth)

    assert ask(answer.content, key_of(lender)) == (0, "", "")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    ledger = json.loads(files["ledger.json"])
    assert ledger["entries"]
    assert not any({"salt", "content"} & set(entry) for entry in ledger["entries"])
    assert not [name for name in files if name.split("/")[0] in {"audio", "received", "events"}]
    text = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(files["report.pdf"])
    )
    for content in (files["interaction.json"].decode(), files["ledger.json"].decode(), text):
        assert "蒋涛" not in content
        assert "13800010036" not in content
    assert "已脱敏" in text


def test_another_tenants_and_a_missing_contact_have_no_bundle(
    client: TestClient, lender: Lender, contact: str
) -> None:
    from tests.factories import make_tenant

    other = make_tenant()

    foreign = client.get(f"{contact}/bundle", headers=other.auth)
    missing = client.get(f"/v1/interactions/{uuid4()}/bundle", headers=other.auth)

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"] == missing.json()["detail"]


def test_every_answer_is_explained_on_the_page_of_evidence() -> None:
    page = (TOOL.parents[1] / "docs" / "evidence.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z_]+)`", page))
    code = Path(ledger_audit.__file__).read_text(encoding="utf-8")
    # What the audit calls a flaw: the second word of each, and what its judges return.
    flaws = set(re.findall(r'(?:Flaw\([^"]*?|return |code = |else )"([a-z]+_[a-z_]+)"', code))

    assert {word for word in WORDS if word} <= explained
    assert {source.name for source in SOURCES} <= explained
    assert flaws >= {"row_changed", "row_missing", "added_later", "never_sealed", "tail_cut"}
    assert flaws <= explained
