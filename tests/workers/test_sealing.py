"""The sealer's jobs: every lender's ledger, and signed heads for those who ask for them."""

import json

from starlette.testclient import TestClient

from service.db import tenant_session
from service.evidence.checkpoint import Checkpoint, PublicKey, open_note
from service.evidence.ledger_read import list_keys
from service.models import Heartbeat, LedgerPost
from tests.factories import Lender
from tests.receiver import Receiver
from workers.sealing import checkpoint, seal


def test_signed_heads_reach_the_endpoints_that_ask_for_them(
    client: TestClient, lender: Lender, receiver: Receiver
) -> None:
    wish = {"url": receiver.url, "checkpoints": True}
    endpoint = client.post("/v1/endpoints", json=wish, headers=lender.auth).json()
    client.post("/v1/endpoints", json={"url": f"{receiver.url}/other"}, headers=lender.auth)

    seal(0)
    for _ in range(2):  # a job may run twice
        checkpoint(tenant_id=str(lender.id), subject_id=endpoint["id"])

    (request,) = receiver.requests
    body = json.loads(request.body)
    assert body["type"] == "checkpoint.sealed"
    with tenant_session(lender.id) as session:
        key: PublicKey = list_keys(session, lender.id)[0]
        post = session.get(LedgerPost, (lender.id, endpoint["id"]))
        assert session.get(Heartbeat, "seal") is not None
    head = Checkpoint.parse(open_note(body["data"]["note"], key))
    assert post is not None
    assert post.posted == post.wanted == head.size
    assert request.signed_with(endpoint["secret"])
    assert (head.size, head.root.hex()) == (body["data"]["size"], body["data"]["root_sha256"])
    email = {"url": "mailto:a@example.com", "kind": "email", "checkpoints": True}
    refused = client.post("/v1/endpoints", json=email, headers=lender.auth)
    assert "checkpoints" in {problem["field"] for problem in refused.json()["errors"]}
