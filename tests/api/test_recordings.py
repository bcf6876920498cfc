"""The recordings' door: bytes under their hash, whole or not at all."""

import hashlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from service.config import settings
from service.keeping.storage import LocalStore, store
from tests.conftest import Database
from tests.factories import (
    Sender,
    make_agency,
    make_call,
    make_key,
    make_recording,
    make_tenant,
    post_event,
    put_recording,
)

AUDIO = b"RIFF" + bytes(range(256)) * 3000


@pytest.fixture
def agency(client: TestClient) -> Sender:
    return make_agency(make_tenant())


@pytest.fixture
def rows(database: Database) -> Any:
    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database.superuser_url) as connection:
            return connection.execute(query.encode()).fetchall()

    return ask


def _leftovers(agency: Sender) -> list[str]:
    folder = settings().object_dir / str(agency.tenant_id)
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_recording_is_kept_and_a_repetition_changes_nothing(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    first = put_recording(client, agency, AUDIO)
    again = put_recording(client, agency, AUDIO)

    name = hashlib.sha256(AUDIO).hexdigest()
    assert first.status_code == 201, first.text
    assert again.status_code == 200
    assert b"".join(store().read(agency.tenant_id, name)) == AUDIO
    assert _leftovers(agency) == [name]
    [(size, until)] = rows("select size_bytes, retain_until from recording")
    assert size == len(AUDIO)
    assert until > datetime.now(UTC) + timedelta(days=5 * 365)


def test_waiting_interactions_of_that_agency_go_on(client: TestClient, rows: Any) -> None:
    lender = make_tenant()
    agency, neighbour = make_agency(lender), make_agency(lender)
    for sender in (agency, agency, neighbour):
        post_event(client, sender, make_call(recording=make_recording(AUDIO)))

    put_recording(client, agency, AUDIO)

    assert rows("select agency_id, state from interaction order by 2, 1") == [
        (agency.id, "transcribing"),
        (agency.id, "transcribing"),
        (neighbour.id, "waiting"),
    ]
    assert rows("select count(*) from procrastinate_jobs where task_name = 'transcribe'") == [(2,)]

    put_recording(client, neighbour, AUDIO)

    assert rows("select distinct state from interaction") == [("transcribing",)]


def test_event_and_bytes_that_cross_never_miss_each_other(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    clips = [b"clip %d" % number for number in range(40)]
    work = [lambda c=clip: post_event(client, agency, make_call(recording=make_recording(c)))
            for clip in clips]  # fmt: skip
    work += [lambda c=clip: put_recording(client, agency, c) for clip in clips]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda step: step().status_code, work[::2] + work[1::2]))

    assert set(answers) == {201, 202}
    assert rows("select state, count(*) from interaction group by 1") == [("transcribing", 40)]


def test_wrong_hash_stores_nothing(client: TestClient, agency: Sender, rows: Any) -> None:
    name = hashlib.sha256(b"something else").hexdigest()

    answer = client.put(f"/v1/recordings/{name}", content=AUDIO, headers=agency.auth)

    assert answer.status_code == 422
    assert answer.json()["code"] == "digest_mismatch"
    assert answer.json()["errors"][0]["field"] == "sha256"
    assert rows("select count(*) from recording") == [(0,)]
    assert _leftovers(agency) == []


@pytest.mark.parametrize(
    "digest",
    [
        pytest.param("sha-256=:" + b64encode(bytes(32)).decode() + ":", id="other bytes"),
        pytest.param("sha-256=abc", id="malformed"),
    ],
)
def test_wrong_content_digest_is_refused(client: TestClient, agency: Sender, digest: str) -> None:
    answer = put_recording(client, agency, AUDIO, **{"content-digest": digest})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "content-digest"


def test_right_content_digest_is_taken(client: TestClient, agency: Sender) -> None:
    digest = b64encode(hashlib.sha256(AUDIO).digest()).decode()

    answer = put_recording(
        client, agency, AUDIO, **{"content-digest": f"sha-512=:AA==:, sha-256=:{digest}:"}
    )

    assert answer.status_code == 201


def test_empty_and_odd_files_are_evidence_too(client: TestClient, agency: Sender) -> None:
    for content in (b"", b"not audio at all", AUDIO[:50]):
        assert put_recording(client, agency, content).status_code == 201


def test_length_must_be_declared_and_kept_small(client: TestClient, agency: Sender) -> None:
    path = f"/v1/recordings/{hashlib.sha256(b'ab').hexdigest()}"

    chunked = client.put(path, content=iter([b"a", b"b"]), headers=agency.auth)
    large = client.put(path, content=b"ab", headers={**agency.auth, "content-length": "999999999"})

    assert chunked.status_code == 411
    assert large.status_code == 413


@pytest.mark.parametrize("name", ["0", "A" * 64, "..%2f..%2fetc", "g" * 64])
def test_address_must_be_a_hash(client: TestClient, agency: Sender, name: str) -> None:
    answer = client.put(f"/v1/recordings/{name}", content=b"x", headers=agency.auth)

    assert answer.status_code in {404, 422}


def test_only_an_agency_that_may_send_puts_recordings(client: TestClient) -> None:
    lender = make_tenant()
    path = f"/v1/recordings/{hashlib.sha256(b'x').hexdigest()}"

    assert client.put(path, content=b"x").status_code == 401
    assert client.put(path, content=b"x", headers=lender.auth).status_code == 403
    wrong = {"authorization": f"Bearer {make_key(lender).token[:-1]}~"}
    assert client.put(path, content=b"x", headers=wrong).status_code == 401


def test_uploads_of_one_recording_in_parallel_have_one_winner(
    client: TestClient, agency: Sender, rows: Any
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: put_recording(client, agency, AUDIO).status_code, range(16))
        )

    assert sorted(answers) == [200] * 15 + [201]
    assert rows("select count(*) from recording") == [(1,)]
    assert isinstance(store(), LocalStore)
