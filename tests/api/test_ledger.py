"""The ledger by HTTP: what it proves can be checked with the proof, a head and a key alone."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from service.audit import add_entry
from service.db import tenant_session
from service.evidence import merkle
from service.evidence.checkpoint import Checkpoint, PublicKey, open_note
from service.evidence.ledger import commit_to
from service.evidence.ledger_run import run_sealer
from tests.factories import Lender, Sender, make_agency, make_sms, make_tenant, post_event


def read(client: TestClient, path: str, caller: Lender | Sender, **query: Any) -> Any:
    answer = client.get(f"/v1/ledger/{path}", params=query, headers=caller.auth)
    assert answer.status_code == 200, answer.text
    return answer.json()


def act(lender: Lender, count: int) -> None:
    with tenant_session(lender.id) as session:
        for _ in range(count):
            add_entry(session, tenant_id=lender.id, actor="test", action="act_done")


def head_of(client: TestClient, caller: Lender | Sender, note: str) -> Checkpoint:
    key = PublicKey.parse(read(client, "key", caller)["items"][0]["key"])
    return Checkpoint.parse(open_note(note, key))


def climbs(proof: dict[str, Any], head: Checkpoint) -> bool:
    """Whether a proof of inclusion leads to the head's root."""
    path = [base64.b64decode(node) for node in proof["path"]]
    leaf = merkle.leaf_hash(proof["entry"]["leaf"].encode())
    return merkle.verify_inclusion(leaf, proof["entry"]["seq"], head.size, path, head.root)


def test_an_entry_is_proven_and_opened(client: TestClient, lender: Lender) -> None:
    act(lender, 20)
    run_sealer(lender.id)

    proof = read(client, "proof/inclusion", lender, seq=11)
    entry = proof["entry"]

    assert climbs(proof, head_of(client, lender, proof["checkpoint"]))
    made = commit_to(entry["content"], bytes.fromhex(entry["salt"]))
    leaf = json.loads(entry["leaf"])
    assert (leaf["sha256"], leaf["sm3"]) == (made.sha256.hex(), made.sm3.hex())
    assert entry["content"]["action"] == entry["kind"]


def test_an_agency_proves_its_receipts_and_no_others(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    other = make_agency(lender, "另一家催收")
    receipt = post_event(client, agency, make_sms()).json()["receipt"]
    run_sealer(lender.id)

    proof = read(client, f"proof/receipts/{receipt}", agency)
    refused = client.get("/v1/ledger/proof/inclusion?seq=0", headers=agency.auth)
    foreign = client.get(f"/v1/ledger/proof/receipts/{receipt}", headers=other.auth)
    missing = client.get(f"/v1/ledger/proof/receipts/{uuid4()}", headers=other.auth)

    assert climbs(proof, head_of(client, agency, proof["checkpoint"]))
    assert proof["entry"]["content"]["id"] == receipt
    assert refused.status_code == 403
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert client.get("/v1/ledger/entries", headers=agency.auth).status_code == 403


def test_a_later_head_is_shown_to_continue_an_earlier_one(
    client: TestClient, lender: Lender
) -> None:
    act(lender, 9)
    run_sealer(lender.id)
    earlier = client.get("/v1/ledger/checkpoint", headers=lender.auth).text
    act(lender, 30)
    run_sealer(lender.id)

    first = head_of(client, lender, earlier)
    proof = read(client, "proof/consistency", lender, **{"from": first.size})

    second = head_of(client, lender, proof["checkpoint"])
    path = [base64.b64decode(node) for node in proof["path"]]
    assert second.size > first.size
    assert merkle.verify_consistency(first.size, second.size, path, first.root, second.root)


def test_entries_are_listed_page_by_page(client: TestClient, lender: Lender) -> None:
    act(lender, 12)
    run_sealer(lender.id)

    seen: list[int] = []
    after: int | None = -1
    while after is not None:
        page = read(client, "entries", lender, limit=5, after=after)
        seen += [item["seq"] for item in page["items"]]
        after = page["next_after"]
    acts = read(client, "entries", lender, kind="act_done", limit=50)["items"]

    assert seen == list(range(len(seen)))
    assert len(acts) == 12


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("checkpoint", 404),
        ("checkpoint?size=3", 404),
        ("proof/inclusion?seq=3", 404),
        ("proof/consistency?from=3", 404),
        ("proof/inclusion", 422),
        ("proof/consistency?from=0", 422),
        ("entries?kind=A-1", 422),
    ],
)
def test_what_is_not_there_is_said(client: TestClient, path: str, status: int) -> None:
    assert client.get(f"/v1/ledger/{path}", headers=make_tenant().auth).status_code == status
