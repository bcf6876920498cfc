"""The whole product as one story: a call comes in, and the lender learns what was wrong with it."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

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
from tests.receiver import Receiver

# Twenty seconds in which a collector says 案子法院已经立案: that a lawsuit has been filed.
AUDIO = (Path(__file__).parents[1] / "data" / "claimed_lawsuit_mulaw.wav").read_bytes()


def only_interaction(client: TestClient, lender: Lender) -> dict[str, Any]:
    (item,) = client.get("/v1/interactions", headers=lender.auth).json()["items"]
    answer = client.get(f"/v1/interactions/{item['id']}", headers=lender.auth)
    found: dict[str, Any] = answer.json()
    return found


# The tokenizer of Whisper leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
def test_a_recorded_lie_becomes_a_cited_finding_and_an_alert(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    receiver: Receiver,
    endpoint: dict[str, Any],
    run_jobs: Callable[[], None],
) -> None:
    # The agency reports a case and a call, and the recording is still on its way.
    debtor = {"name": "蒋涛", "phones": ["+8613800010036"]}
    case = make_case(debtor=debtor, lender_type="bank", proceedings={"lawsuit": "none"})
    call = make_call(
        interaction_id="D048-01",
        started_at="2026-06-03T09:50:00+08:00",
        timestamp="2026-06-03T09:51:00+08:00",
        talk_seconds=20.4,
        party={"role": "debtor", "phone": "+8613800010036"},
        recording=make_recording(AUDIO, duration_seconds=20.4),
    )
    assert post_event(client, agency, case).status_code == 202
    assert post_event(client, agency, call).status_code == 202
    run_jobs()
    assert only_interaction(client, lender)["state"] == "waiting"
    assert receiver.requests == []

    # The bytes arrive; a worker hears them and checks the case.
    assert put_recording(client, agency, AUDIO).status_code == 201
    run_jobs()

    # The lender reads what broke which article, in whose words, at which second.
    found = only_interaction(client, lender)
    assert found["outcome"] == "fail"
    findings = [finding["evidence"] for finding in found["verdict"]["findings"]]
    lies = [evidence for evidence in findings if evidence["rule"] == "FAL-01"]
    assert {one["speaker"] for one in lies} == {"collector"}
    (lie,) = (one for one in lies if "立案" in one["quote"])  # 案号都下来 beside it is another
    assert lie["articles"] == ["cba-2026/red-line-3"]
    assert 9 <= lie["start"] <= lie["end"] <= 19
    transcript = client.get(f"/v1/interactions/{found['id']}/transcript", headers=lender.auth)
    heard = transcript.json()["segments"][lie["segment"]]
    assert heard["text"][lie["char_start"] : lie["char_end"]] == lie["heard"]

    # The alert came once, signed, and says no more than where to look.
    (alert,) = receiver.requests
    assert alert.signed_with(endpoint["secret"])
    body = json.loads(alert.body)
    assert body["type"] == "interaction.failed"
    assert body["data"]["interaction_id"] == "D048-01"
    broken = {"rule": "FAL-01", "severity": lie["severity"], "disposition": "violation"}
    assert broken in body["data"]["findings"]
    assert body["data"]["link"].endswith(f"/v1/interactions/{found['id']}")
    for secret in ("蒋涛", "13800010036", "立案", lie["heard"], lie["why"]):
        assert secret not in alert.body.decode()

    # The recording is kept for as long as the longest floor asks.
    kept = datetime.fromisoformat(found["recording"]["retain_until"])
    assert kept >= datetime.fromisoformat("2028-06-03T09:50:00+08:00")

    # Nothing is left to do, and doing it again changes nothing.
    assert post_event(client, agency, make_case(timestamp="2026-05-01T00:00:00+08:00")).is_success
    run_jobs()
    verdicts = client.get(f"/v1/interactions/{found['id']}/verdicts", headers=lender.auth).json()
    assert len(verdicts["items"]) == 1
    assert len(receiver.requests) == 1


def test_a_message_needs_no_ears(
    client: TestClient, lender: Lender, agency: Sender, run_jobs: Callable[[], None]
) -> None:
    assert post_event(client, agency, make_case()).status_code == 202
    assert post_event(client, agency, make_sms(started_at="2026-06-03T23:30:00+08:00")).is_success

    run_jobs()

    found = only_interaction(client, lender)
    assert found["outcome"] == "fail"
    assert "TIM-01" in {finding["rule"] for finding in found["verdict"]["findings"]}
