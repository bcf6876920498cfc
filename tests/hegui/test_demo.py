import hashlib
from importlib import resources
from typing import Any

import pytest
from standardwebhooks import Webhook

from hegui.check import Result
from hegui.demo import Seen, _compare, demo_events, expectations
from hegui.demo_client import AlertReceiver
from hegui.inputs import read_inputs
from service.clock import now
from service.packs import load_pack

DATA = resources.files("hegui").joinpath("demo_data")
COMPACT = 3 * 1024 * 1024


def interactions() -> list[dict[str, Any]]:
    return [e["data"] for e in demo_events() if e["type"] == "interaction.completed"]


def as_expected() -> list[Seen]:
    return [
        Seen(
            name,
            "call",
            wish["outcome"][0],
            [{"rule": rule, "disposition": "violation"} for rule in wish.get("rules", ())],
        )
        for name, wish in expectations().items()
    ]


def test_every_contact_of_the_demonstration_has_an_expectation() -> None:
    assert {one["interaction_id"] for one in interactions()} == set(expectations())
    rules = {rule.id for rule in load_pack().rules}
    for wish in expectations().values():
        assert {*wish.get("rules", ()), *wish.get("also", ())} <= rules


def test_its_recordings_are_the_announced_ones_and_small() -> None:
    recordings = [one["recording"] for one in interactions() if "recording" in one]
    contents = [DATA.joinpath(*r["path"].split("/")).read_bytes() for r in recordings]

    assert len(recordings) == 8
    assert sum(map(len, contents)) < COMPACT
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert digests == [recording["sha256"] for recording in recordings]


def test_its_events_are_a_file_that_check_takes() -> None:
    with resources.as_file(DATA.joinpath("events.jsonl")) as path:
        inputs = read_inputs([path], moment=now(), speakers=("collector", "party"))
    assert len(inputs.events) == len(demo_events())
    assert Result((), (), None).exit_status == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Seen("D034-01", "call", "pass", []), "D034-01: pass instead of fail"),
        (Seen("D034-01", "call", "fail", []), "THR-02 was not reported"),
        (
            Seen("D013-01", "call", "pass", [{"rule": "ABU-01", "disposition": "violation"}]),
            "ABU-01 was not expected",
        ),
        (Seen("X", "call", "pass", []), "X was not expected"),
    ],
    ids=["outcome", "missing", "surplus", "unknown"],
)
def test_any_difference_is_named(change: Seen, word: str) -> None:
    assert _compare(as_expected()) == []

    others = [one for one in as_expected() if one.interaction_id != change.interaction_id]
    assert any(word in problem for problem in _compare([*others, change]))


def test_an_alert_with_a_wrong_signature_is_refused() -> None:
    receiver = AlertReceiver(secret="whsec_" + "A" * 44)
    other = Webhook("whsec_" + "B" * 44)
    moment = now()
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(moment.timestamp()))}
    for signer, status in ((other, 401), (Webhook(receiver.secret), 204)):
        headers["webhook-signature"] = signer.sign("m", moment, "{}")
        assert receiver.take(headers, b"{}") == status
    assert (receiver.refused, receiver.alerts) == (1, [{}])
