"""Recordings in an S3-compatible bucket: versions, COMPLIANCE retention, legal hold, checksums.

A plain delete only hides an object behind a marker, so everything here goes by version.
"""

import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from service.clock import now
from service.config import Settings
from service.errors import (
    DigestMismatchError,
    FieldProblem,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from service.keeping.storage import FIRST_LOCK, RetentionError, RetentionProof, Stored, is_hash

_CHUNK = 256 * 1024
_IN_MEMORY = 1024 * 1024
_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "405"})
_REFUSED = frozenset({"AccessDenied", "InvalidRequest", "MethodNotAllowed"})


def open_bucket(config: Settings) -> "S3Store":
    """Return the store in the bucket that the settings name."""
    client = boto3.client(
        "s3",
        endpoint_url=config.s3_endpoint_url or None,
        region_name=config.s3_region or None,
        aws_access_key_id=config.s3_access_key_id or None,
        aws_secret_access_key=config.s3_secret_access_key.get_secret_value() or None,
        config=Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"max_attempts": 3, "mode": "standard"},
            # Stores that speak S3 but are not Amazon's refuse checksums they were not asked for.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return S3Store(client, config.s3_bucket, config.s3_prefix)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _spoken() -> Iterator[None]:
    """Turn what the store answers, or that it does not, into our own errors."""
    try:
        yield
    except BotoCoreError as error:
        raise UnavailableError("The object store is away; send it again.") from error
    except ClientError as error:
        if _code(error) in _GONE:
            raise NotFoundError("There is no such recording.") from error
        raise UnavailableError("The object store refuses; ask its operator.") from error


class S3Upload:
    """One recording on its way in: gathered in a file without a name, then put whole."""

    def __init__(self, store: "S3Store", key: str, expected_sha256: str, max_bytes: int) -> None:
        self._store = store
        self._key = key
        self._expected = expected_sha256
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        """Open the file that gathers the bytes."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the file."""
        self._file.close()

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise TooLargeError(f"A recording may have up to {self._max_bytes} bytes.")
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> Stored:
        """Check the hash and put the bytes; the store checks it once more on its side."""
        if self._hash.hexdigest() != self._expected:
            problem = FieldProblem("sha256", "is not the SHA-256 of the bytes that arrived")
            raise DigestMismatchError("Nothing was stored.", errors=(problem,))
        if self._store.has(self._key):
            return Stored(size_bytes=self._size, fresh=False)
        self._file.seek(0)
        self._store.put(self._key, self._file, self._hash.digest(), until=now() + FIRST_LOCK)
        return Stored(size_bytes=self._size, fresh=True)


class S3Store:
    """Objects `<prefix><tenant>/<sha256>` of one bucket; every version of them counts."""

    removal = "every version deleted from the bucket by its id"

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    @cached_property
    def _locks(self) -> bool:
        """Whether the bucket has Object Lock."""
        try:
            found = self._client.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError:
            return False
        locked = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        return bool(locked == "Enabled")

    def _key(self, tenant_id: UUID, sha256: str) -> str:
        if not is_hash(sha256):
            raise NotFoundError("There is no such recording.")
        return f"{self._prefix}{tenant_id}/{sha256}"

    def begin(self, tenant_id: UUID, expected_sha256: str, max_bytes: int) -> S3Upload:
        """Start to take a recording in."""
        return S3Upload(self, self._key(tenant_id, expected_sha256), expected_sha256, max_bytes)

    def put_stream(
        self, tenant_id: UUID, chunks: Iterable[bytes], expected_sha256: str, max_bytes: int
    ) -> Stored:
        """Take a whole recording in."""
        with self.begin(tenant_id, expected_sha256, max_bytes) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish()

    def put(self, key: str, body: Any, digest: bytes, *, until: datetime) -> str:
        """Put one object, locked until a date where the bucket locks; gives its version."""
        lock: dict[str, Any] = {}
        if self._locks:
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        with _spoken():
            made = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=b64encode(digest).decode(),
                **lock,
            )
        return str(made.get("VersionId", "null"))

    def has(self, key: str) -> bool:
        """Tell whether an object has a version that holds bytes."""
        return bool(self._versions(key))

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there, hidden by a marker or not."""
        return is_hash(sha256) and self.has(self._key(tenant_id, sha256))

    def read(
        self, tenant_id: UUID, sha256: str, first: int = 0, last: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes from `first` to `last`, both included; raises `NotFoundError` at once."""
        key = self._key(tenant_id, sha256)
        end = "" if last is None else last
        wanted = {} if (first, last) == (0, None) else {"Range": f"bytes={first}-{end}"}
        with _spoken():
            found = self._client.get_object(
                Bucket=self._bucket, Key=key, VersionId=self._oldest(key), **wanted
            )
        chunks: Iterator[bytes] = found["Body"].iter_chunks(_CHUNK)
        return chunks

    @contextmanager
    def as_file(self, tenant_id: UUID, sha256: str) -> Iterator[Path]:
        """Lend a copy in a folder that only we can read."""
        with tempfile.TemporaryDirectory(prefix="hegui-recording-") as folder:
            path = Path(folder) / sha256
            with path.open("xb") as file:
                for chunk in self.read(tenant_id, sha256):
                    file.write(chunk)
            yield path

    def protect(self, tenant_id: UUID, sha256: str, *, until: datetime, held: bool) -> None:
        """Raise the retention of every version, and set or lift its legal hold."""
        if not self._locks:
            return
        key = self._key(tenant_id, sha256)
        self._oldest(key)
        for version in self._versions(key):
            place = {"Bucket": self._bucket, "Key": key, "VersionId": version}
            with _spoken():
                head = self._client.head_object(**place)
                told = head.get("ObjectLockRetainUntilDate")
                if told is None or told < until:
                    # The store keeps whole seconds; a fraction must not make it a second early.
                    date = until.replace(microsecond=0) + timedelta(seconds=1)
                    self._client.put_object_retention(
                        **place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": date}
                    )
                if (head.get("ObjectLockLegalHoldStatus") == "ON") != held:
                    self._client.put_object_legal_hold(
                        **place, LegalHold={"Status": "ON" if held else "OFF"}
                    )

    def remove(self, tenant_id: UUID, sha256: str, *, now: datetime) -> None:
        """Delete every version and every marker; what the bucket locks it refuses."""
        del now  # the bucket has a clock of its own
        key = self._key(tenant_id, sha256)
        for version in [*self._versions(key), *self._versions(key, "DeleteMarkers")]:
            self._delete(key, version)

    def prove(self, at: datetime) -> RetentionProof:
        """Put a canary under a day's lock, then try to delete it and to shorten its date."""
        try:
            detail = self._try_canary(at)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            detail = f"The bucket could not be tried: {type(error).__name__}."
        if detail is None:
            proven = "A locked canary could be neither deleted nor given an earlier date."
            return RetentionProof("proven", "s3", proven, at)
        return RetentionProof("unproven", "s3", detail, at)

    def _try_canary(self, at: datetime) -> str | None:
        """Say what the bucket let us do that it should not; None where it refused everything."""
        if not self._locks:
            return "The bucket has no Object Lock."
        key, body = f"{self._prefix}canary/{uuid4().hex}", b"canary"
        until = at + timedelta(days=1)
        version = self.put(key, body, hashlib.sha256(body).digest(), until=until)
        place = {"Bucket": self._bucket, "Key": key, "VersionId": version}
        shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": at + timedelta(minutes=1)}
        weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        attempts: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("delete the canary", lambda: self._client.delete_object(**place)),
            (
                "delete the canary with bypass",
                lambda: self._client.delete_object(**place, BypassGovernanceRetention=True),
            ),
            (
                "shorten the canary's retention",
                lambda: self._client.put_object_retention(**place, Retention=shorter),
            ),
            (
                "weaken the canary's retention",
                lambda: self._client.put_object_retention(**place, Retention=weaker),
            ),
        )
        for what, attempt in attempts:
            try:
                attempt()
            except ClientError as error:
                if _code(error) in _REFUSED:
                    continue
                raise
            return f"The bucket let us {what}."
        return None

    def _delete(self, key: str, version: str) -> None:
        with _spoken():
            try:
                self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
            except ClientError as error:
                if _code(error) in _REFUSED:
                    raise RetentionError("The bucket keeps the recording.") from error
                if _code(error) not in _GONE:
                    raise

    def _oldest(self, key: str) -> str:
        """The version that came first; raises `NotFoundError`."""
        found = self._versions(key)
        if not found:
            raise NotFoundError("There is no such recording.")
        return found[-1]

    def _versions(self, key: str, kind: str = "Versions") -> list[str]:
        """Ids of an object's versions, the newest first."""
        with _spoken():
            listing: Any = self._client.get_paginator("list_object_versions")
            pages = listing.paginate(Bucket=self._bucket, Prefix=key)
            return [
                str(entry["VersionId"])
                for page in pages
                for entry in page.get(kind, [])
                if entry["Key"] == key
            ]
