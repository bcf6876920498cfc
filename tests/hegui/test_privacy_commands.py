"""The operator's commands of privacy: keys that seal, limits, and a person's rights."""

import base64
import hashlib
import json
import re
import stat
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from hegui.cli import app
from service import limits
from service.keeping.storage import store
from service.privacy.debtor import ErasureRefusedError
from tests.factories import Lender, Sender, make_case, make_sms, post_event, put_recording
from tests.retention import where

NAME, PHONE = "欧阳金丝雀", "+8613900017654"


def run(folder: Path, lender: Lender, *words: str, expect: int = 0) -> Result:
    options = ["--tenant", str(lender.id), "--data-dir", str(folder)]
    done = CliRunner().invoke(app, [*words, *options])
    assert done.exit_code == expect, f"{done.output}{done.exception or ''}"
    return done


def test_data_keys_are_listed_rotated_and_sealed_anew(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    assert post_event(client, agency, make_sms()).status_code == 202
    made = run(tmp_path, lender, "keys", "rotate").stdout.removeprefix("data_key=").strip()

    resealed = run(tmp_path, lender, "keys", "reseal").stdout

    # The event, and the secret of the agency's webhooks; the old key stays for five minutes.
    assert resealed == "resealed=2\nkeys_dropped=0\n"
    listed = run(tmp_path, lender, "keys", "list").stdout.splitlines()
    assert len(listed) == 3
    assert [line.split()[0] for line in listed if "seal" in line and "in use" in line] == [made]
    rewrapped = CliRunner().invoke(app, ["keys", "rewrap", "--data-dir", str(tmp_path)])
    assert rewrapped.stdout == "rewrapped=0\n"
    master = CliRunner().invoke(app, ["keys", "master"]).stdout
    assert len(base64.b64decode(master)) == 32


@pytest.mark.asvs("11.2.2")
def test_recordings_of_earlier_releases_are_sealed_and_what_is_wrong_is_named(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    names = []
    for content in (b"plain", b"damaged", b"missing", b"sealed"):
        assert put_recording(client, agency, content).status_code == 201
        names.append(hashlib.sha256(content).hexdigest())
    plain, damaged, missing, _ = names
    where(lender, missing).unlink()
    for name, content in ((plain, b"plain"), (damaged, b"Damaged")):
        where(lender, name).unlink()
        where(lender, name).write_bytes(content)

    told = run(tmp_path, lender, "keys", "seal-recordings", expect=1).stdout.splitlines()

    assert sorted(told[:2]) == sorted([f"{damaged}  damaged", f"{missing}  missing"])
    assert told[2:] == ["sealed=1", "was_sealed=1", "missing=1", "damaged=1"]
    where(lender, damaged).unlink()
    for content in (b"damaged", b"missing"):  # the agency sends them again
        assert put_recording(client, agency, content).status_code == 200
    again = run(tmp_path, lender, "keys", "seal-recordings").stdout.splitlines()
    assert again == ["sealed=0", "was_sealed=4", "missing=0", "damaged=0"]
    assert b"".join(store().read(lender.id, plain)) == b"plain"


def test_limits_are_set_listed_and_cleared(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    run(tmp_path, lender, "limits", "set", "events", "2", "--period", "3600", "--burst", "1")
    run(tmp_path, lender, "limits", "set", "requests", "60", "--agency", str(agency.id))

    limits.forget_limits()
    seen = [post_event(client, agency, make_sms()).status_code for _ in range(2)]

    assert seen == [202, 429]
    told = run(tmp_path, lender, "limits", "list").stdout
    assert "events  lender  2 in 3600 s, burst 1" in told
    assert f"requests  {agency.id}  60 in 60 s, burst 10" in told
    assert re.search(r"requests  lender  \d+ in 60 s, burst \d+  default", told)
    run(tmp_path, lender, "limits", "clear", "events")
    limits.forget_limits()
    assert post_event(client, agency, make_sms()).status_code == 202
    run(tmp_path, lender, "limits", "clear", "pigeons", expect=1)


def test_a_person_is_answered_on_the_command_line(
    client: TestClient, lender: Lender, agency: Sender, tmp_path: Path
) -> None:
    party = {"role": "debtor", "phone": PHONE}
    for event in (make_case(debtor={"name": NAME, "phones": [PHONE]}), make_sms(party=party)):
        assert post_event(client, agency, event).status_code == 202

    access = json.loads(run(tmp_path, lender, "debtor", "access", "--phone", "13900017654").stdout)
    copy = tmp_path / "copy.json"
    run(tmp_path, lender, "debtor", "export", "--case", "K-1", "--output", str(copy))
    right = ("debtor", "correct", "--case", "K-1", "--name", "欧阳金丝")
    receipt = json.loads(run(tmp_path, lender, *right).stdout)
    refused = run(tmp_path, lender, "debtor", "erase", "--phone", PHONE, expect=1)

    assert access["cases"][0]["events"] == 2
    assert NAME in copy.read_text("utf-8")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert receipt["fields"] == ["debtor"]
    assert isinstance(refused.exception, ErasureRefusedError)
    assert "the last until 2028-06-03" in str(refused.exception)
