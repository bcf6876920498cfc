"""Playing recordings: by role, in ranges, in bounded memory, and written down."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.keeping.ranges import UnsatisfiableRangeError, read_range
from service.models import Actor, Scope
from tests.conftest import Database
from tests.factories import (
    Lender,
    Sender,
    make_agency,
    make_key,
    make_regulator,
    make_tenant,
)
from tests.retention import make_kept_call, rows

AUDIO = bytes(range(256)) * 40
NAME = hashlib.sha256(AUDIO).hexdigest()
PATH = f"/v1/recordings/{NAME}"


@pytest.fixture
def heard(client: TestClient, lender: Lender, agency: Sender) -> str:
    return make_kept_call(client, agency, AUDIO, started_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=10000-", 10000, 10239),
        ("bytes=-7", 10233, 10239),
        ("bytes=-99999", 0, 10239),
        ("bytes=0-99999", 0, 10239),
    ],
)
def test_a_range_gives_just_these_bytes(
    client: TestClient, lender: Lender, heard: str, asked: str, first: int, last: int
) -> None:
    answer = client.get(PATH, headers={**lender.auth, "range": asked})

    assert answer.status_code == 206
    assert answer.content == AUDIO[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/10240"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=-0"])
def test_a_range_past_the_end_says_how_long_it_is(
    client: TestClient, lender: Lender, heard: str, asked: str
) -> None:
    answer = client.get(PATH, headers={**lender.auth, "range": asked})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10240"
    assert answer.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=9-5"},
        {"range": "seconds=1-2"},
        {"range": "bytes=0-1", "if-range": '"another"'},
        {"range": "bytes=0-1", "if-range": "Wed, 03 Jun 2026 10:00:00 GMT"},
    ],
)
def test_what_is_no_range_gives_the_whole(
    client: TestClient, lender: Lender, heard: str, headers: dict[str, str]
) -> None:
    answer = client.get(PATH, headers={**lender.auth, **headers})

    assert answer.status_code == 200
    assert answer.content == AUDIO
    assert answer.headers["accept-ranges"] == "bytes"
    same = client.get(PATH, headers={**lender.auth, "range": "bytes=0-1",
                                     "if-range": answer.headers["etag"]})  # fmt: skip
    assert same.status_code == 206


def test_a_head_has_the_headers_alone(client: TestClient, lender: Lender, heard: str) -> None:
    answer = client.head(PATH, headers={**lender.auth, "range": "bytes=5-9"})

    assert (answer.status_code, answer.content) == (206, b"")
    assert answer.headers["content-range"] == "bytes 5-9/10240"


def test_who_may_hear_hears(
    client: TestClient, lender: Lender, agency: Sender, heard: str, database: Database
) -> None:
    sibling, stranger = make_agency(lender), make_agency(make_tenant())
    missing = client.get(f"/v1/recordings/{'0' * 64}", headers=lender.auth)
    viewer = make_key(lender, scope=Scope.READ).token
    reviewer = make_key(lender, scope=Scope.REVIEW).token
    quality = make_key(lender, Actor.AGENCY, scope=Scope.QUALITY, agency_id=agency.id).token

    def ask(token: str) -> Any:
        return client.get(PATH, headers={"authorization": f"Bearer {token}"})

    for token in (lender.key, reviewer, agency.key, quality):
        assert ask(token).content == AUDIO
    assert ask(viewer).status_code == 403
    for sender in (sibling, stranger):
        foreign = ask(sender.key)
        assert foreign.status_code == 404
        assert foreign.content == missing.content
    assert client.get(PATH).status_code == 401
    client.get(PATH, headers={**lender.auth, "range": "bytes=5-9"})
    played = rows(
        database.superuser_url,
        "select count(*) from audit_entry where action = 'recording_played' and subject_id = %s",
        NAME,
    )
    assert played == [(4,)], "once for each who heard it, however many ranges"


def test_a_regulator_hears_what_its_grant_opens(
    client: TestClient, lender: Lender, agency: Sender
) -> None:
    inside = datetime(2026, 6, 3, 3, tzinfo=UTC)
    heard = make_kept_call(client, agency, AUDIO, started_at=inside)
    later = make_kept_call(client, agency, b"later", started_at=datetime(2027, 6, 3, tzinfo=UTC))
    opened = {"authorization": f"Bearer {make_regulator(lender).token}"}
    closed = {"authorization": f"Bearer {make_regulator(lender, fields=frozenset()).token}"}

    assert client.get(f"/v1/recordings/{heard}", headers=opened).content == AUDIO
    for auth, sha256 in ((opened, later), (closed, heard)):
        assert client.get(f"/v1/recordings/{sha256}", headers=auth).status_code == 404
    for path in ("/v1/holds", "/v1/purges", "/v1/retention", "/v1/retention/past"):
        assert client.get(path, headers=opened).status_code == 403
        assert client.get(path, headers=agency.auth).status_code == 403


@given(
    size=st.integers(0, 50),
    header=st.one_of(
        st.from_regex(r"bytes=[0-9]{0,2}-[0-9]{0,2}", fullmatch=True), st.text(max_size=12)
    ),
)
def test_every_part_lies_within_the_recording(size: int, header: str) -> None:
    try:
        part = read_range(header, None, size=size, etag='"e"')
    except UnsatisfiableRangeError:
        return
    assert part is None or 0 <= part.first <= part.last < size


LARGE = """
import resource, sys
from pathlib import Path
from uuid import UUID
from service.keeping.storage import LocalStore
store = LocalStore(Path(sys.argv[1]))
def chunks():
    for _ in range(300):
        yield bytes(1024 * 1024)
import hashlib
digest = hashlib.sha256()
for chunk in chunks():
    digest.update(chunk)
name, tenant = digest.hexdigest(), UUID(int=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put_stream(tenant, chunks(), name, 2**30)
total = sum(len(chunk) for chunk in store.read(tenant, name))
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_recording_passes_through_in_little_memory(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    total, grown_kb = map(int, done.stdout.split())

    assert total == 300 * 1024 * 1024
    assert grown_kb < 20_000
