"""The bucket: versions under COMPLIANCE locks, and a canary that says whether they hold."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from starlette.testclient import TestClient

from service.config import Settings, settings
from service.errors import DigestMismatchError, NotFoundError, TooLargeError
from service.keeping.storage import RetentionError, retention_proof, store
from service.keeping.storage_s3 import S3Store, open_bucket
from tests.factories import Lender, Sender, put_recording
from tests.s3_server import s3_server
from workers.keeping import protect_recordings

BYTES = b"sound" * 1000
NAME = hashlib.sha256(BYTES).hexdigest()
KEY: dict[str, Any] = {
    "s3_access_key_id": "test",
    "s3_secret_access_key": "test",
    "s3_region": "us-east-1",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server(strict=True) as address:
        yield address


def make_bucket(address: str, *, locks: bool = True, **more: Any) -> S3Store:
    config = Settings(s3_bucket=f"b-{uuid4().hex}", s3_endpoint_url=address, **KEY, **more)
    place = open_bucket(config)
    place._client.create_bucket(Bucket=config.s3_bucket, ObjectLockEnabledForBucket=locks)
    return place


def locked_until(place: S3Store, key: str) -> datetime:
    head = place._client.head_object(Bucket=place._bucket, Key=key)
    found = head["ObjectLockRetainUntilDate"]
    assert isinstance(found, datetime)
    return found


def test_bytes_are_locked_from_the_first_moment_and_read_by_range(server: str) -> None:
    place, tenant = make_bucket(server), uuid4()

    stored = place.put_stream(tenant, [BYTES[:7], BYTES[7:]], NAME, 10_000)
    again = place.put_stream(tenant, [BYTES], NAME, 10_000)

    assert (stored.size_bytes, stored.fresh, again.fresh) == (5000, True, False)
    assert b"".join(place.read(tenant, NAME)) == BYTES
    assert b"".join(place.read(tenant, NAME, 3, 9)) == BYTES[3:10]
    assert b"".join(place.read(tenant, NAME, 0, 0)) == BYTES[:1]
    with place.as_file(tenant, NAME) as path:
        assert path.read_bytes() == BYTES
    assert not path.exists()
    assert not place.exists(uuid4(), NAME)
    with pytest.raises(NotFoundError):
        place.read(uuid4(), NAME)
    with pytest.raises(RetentionError):
        place.remove(tenant, NAME, now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("name", "limit", "error"),
    [(hashlib.sha256(b"").hexdigest(), 10_000, DigestMismatchError), (NAME, 4999, TooLargeError)],
)
def test_refused_bytes_leave_nothing(
    server: str, name: str, limit: int, error: type[Exception]
) -> None:
    place, tenant = make_bucket(server), uuid4()

    with pytest.raises(error):
        place.put_stream(tenant, [BYTES], name, limit)

    assert not place.exists(tenant, name)


def test_a_plain_delete_hides_nothing_from_us(server: str) -> None:
    place, tenant = make_bucket(server), uuid4()
    place.put_stream(tenant, [BYTES], NAME, 10_000)
    place._client.delete_object(Bucket=place._bucket, Key=f"{tenant}/{NAME}")

    assert place.exists(tenant, NAME)
    assert b"".join(place.read(tenant, NAME)) == BYTES


def test_dates_only_move_away_and_holds_outlast_them(server: str) -> None:
    place, tenant = make_bucket(server), uuid4()
    key = f"{tenant}/{NAME}"
    place.put_stream(tenant, [BYTES], NAME, 10_000)
    until = datetime.now(UTC) + timedelta(days=800)

    place.protect(tenant, NAME, until=until, held=True)
    place.protect(tenant, NAME, until=until - timedelta(days=700), held=True)

    assert timedelta() <= locked_until(place, key) - until < timedelta(seconds=2)
    held = place._client.get_object_legal_hold(Bucket=place._bucket, Key=key)
    assert held["LegalHold"]["Status"] == "ON"
    with pytest.raises(RetentionError):
        place.remove(tenant, NAME, now=datetime.now(UTC) + timedelta(days=9000))
    place.protect(tenant, NAME, until=until, held=False)
    held = place._client.get_object_legal_hold(Bucket=place._bucket, Key=key)
    assert held["LegalHold"]["Status"] == "OFF"


def test_every_version_goes_once_nothing_locks_it(server: str) -> None:
    place, tenant = make_bucket(server, locks=False), uuid4()
    place._client.put_bucket_versioning(
        Bucket=place._bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    place.put_stream(tenant, [BYTES], NAME, 10_000)
    place._client.delete_object(Bucket=place._bucket, Key=f"{tenant}/{NAME}")

    place.remove(tenant, NAME, now=datetime.now(UTC))
    place.remove(tenant, NAME, now=datetime.now(UTC))

    assert not place.exists(tenant, NAME)
    listed = place._client.list_object_versions(Bucket=place._bucket)
    assert not listed.get("Versions")
    assert not listed.get("DeleteMarkers")


def test_the_canary_proves_the_lock_or_says_what_gave_way(server: str) -> None:
    moment = datetime.now(UTC)

    assert make_bucket(server).prove(moment).state == "proven"
    unlocked = make_bucket(server, locks=False).prove(moment)
    assert (unlocked.state, unlocked.detail) == ("unproven", "The bucket has no Object Lock.")
    with s3_server(strict=False) as lax:
        weak = make_bucket(lax).prove(moment)
    assert weak.state == "unproven"
    assert weak.detail == "The bucket let us shorten the canary's retention."
    missing = open_bucket(Settings(s3_bucket="b-none", s3_endpoint_url=lax, **KEY)).prove(moment)
    assert missing.state == "unproven"


def test_the_service_keeps_its_recordings_in_the_bucket(
    client: TestClient,
    lender: Lender,
    agency: Sender,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = make_bucket(server)
    for name, value in {**KEY, "s3_bucket": place._bucket, "s3_endpoint_url": server}.items():
        monkeypatch.setenv(f"HEGUI_{name.upper()}", value)
    settings.cache_clear()
    store.cache_clear()
    try:
        answer = put_recording(client, agency, BYTES)
        assert answer.status_code == 201, answer.text
        protect_recordings(lender.id)
        key = f"{lender.id}/{NAME}"
        assert locked_until(place, key) > datetime.now(UTC) + timedelta(days=1820)
        version, _ = place._versions(key)[0]
        there = place._client.get_object(Bucket=place._bucket, Key=key)["Body"].read()
        assert BYTES[:20] not in there  # sealed, and named by the hash of what is sealed
        assert b"".join(store().read(lender.id, NAME, 7, 4000)) == BYTES[7:4001]
        with store().as_file(lender.id, NAME) as path:
            assert path.read_bytes() == BYTES
        with pytest.raises(ClientError):
            place._client.delete_object(Bucket=place._bucket, Key=key, VersionId=version)
        health = client.get("/v1/health").json()["retention"]
        assert (health["state"], health["store"]) == ("proven", "s3")
        assert retention_proof().state == "proven"
    finally:
        monkeypatch.undo()
        settings.cache_clear()
        store.cache_clear()
    assert client.get("/v1/health").json()["retention"]["state"] == "unproven"


@pytest.mark.asvs("11.3.2")
@pytest.mark.parametrize("bucket", ["locking", "versioning"])
def test_a_plain_version_is_sealed_beside_its_lock_and_goes_when_it_may(
    server: str, lender: Lender, bucket: str
) -> None:
    locks = bucket == "locking"
    plain = make_bucket(server, locks=locks)
    if not locks:
        plain._client.put_bucket_versioning(
            Bucket=plain._bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    place = S3Store(plain._client, plain._bucket, seals=True)
    plain.put_stream(lender.id, [BYTES], NAME, 10_000)
    until = datetime.now(UTC) + timedelta(days=800)
    plain.protect(lender.id, NAME, until=until, held=True)
    assert b"".join(place.read(lender.id, NAME, 2, 5)) == BYTES[2:6]

    assert place.seal(lender.id, NAME)
    assert not place.seal(lender.id, NAME)

    key = f"{lender.id}/{NAME}"
    assert b"".join(place.read(lender.id, NAME)) == BYTES
    assert len(place._versions(key)) == 1 + locks  # what is locked stays beside it
    if locks:
        assert locked_until(place, key) >= until
        held = place._client.get_object_legal_hold(Bucket=place._bucket, Key=key)
        assert held["LegalHold"]["Status"] == "ON"
