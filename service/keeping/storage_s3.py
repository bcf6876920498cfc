"""Recordings in an S3-compatible bucket: versions, COMPLIANCE retention, legal hold, checksums.

A plain delete only hides an object behind a marker, so everything here goes by version.
"""

import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
from service.keeping.sealed import (
    HEAD_BYTES,
    NOT_THERE,
    PREFIX_BYTES,
    Form,
    Plain,
    Sealed,
    find_opener,
    last_byte,
    lent,
    opened,
)
from service.keeping.storage import FIRST_LOCK, RetentionError, RetentionProof, Stored, is_hash
from service.privacy.stream_cipher import StreamOpener

_CHUNK = 256 * 1024
_IN_MEMORY = 1024 * 1024
_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "405"})
_REFUSED = frozenset({"AccessDenied", "InvalidRequest", "MethodNotAllowed"})


def open_bucket(config: Settings, *, seals: bool = False) -> "S3Store":
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
    return S3Store(client, config.s3_bucket, config.s3_prefix, seals=seals)


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
            raise NotFoundError(NOT_THERE) from error
        raise UnavailableError("The object store refuses; ask its operator.") from error


class S3Upload:
    """One recording on its way in: gathered in a file without a name, then put whole.

    `until` is the date up to which it is locked first.
    """

    def __init__(
        self,
        key: str,
        form: Form,
        max_bytes: int,
        *,
        holds: Callable[[], bool],
        put: Callable[[str, Any, bytes], str],
    ) -> None:
        self._key = key
        self._form = form
        self._max_bytes = max_bytes
        self._holds = holds
        self._put = put
        self._hash, self._put_hash = hashlib.sha256(), hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        """Open the file that gathers the bytes."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)
        self._gather(self._form.head)
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
        self._gather(self._form.write(chunk))

    def finish(self) -> Stored:
        """Check the hash and put the bytes; the store checks what it gets once more on its side."""
        if self._hash.hexdigest() != self._key.rpartition("/")[2]:
            problem = FieldProblem("sha256", "is not the SHA-256 of the bytes that arrived")
            raise DigestMismatchError("Nothing was stored.", errors=(problem,))
        if self._holds():
            return Stored(size_bytes=self._size, fresh=False)
        self._gather(self._form.end())
        self._form.keep()
        self._file.seek(0)
        self._put(self._key, self._file, self._put_hash.digest())
        return Stored(size_bytes=self._size, fresh=True)

    def _gather(self, data: bytes) -> None:
        self._put_hash.update(data)
        self._file.write(data)


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of an object that can be read: `opener` is None where it lies plain."""

    id: str
    size: int
    opener: StreamOpener | None


class S3Store:
    """Objects `<prefix><tenant>/<sha256>` of one bucket; every version of them counts.

    Without `seals` new objects are put as they come; either kind is read.
    """

    removal = "every version deleted from the bucket by its id, and its key deleted"

    def __init__(self, client: Any, bucket: str, prefix: str = "", *, seals: bool = False) -> None:
        self._seals = seals
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
            raise NotFoundError(NOT_THERE)
        return f"{self._prefix}{tenant_id}/{sha256}"

    def begin(self, tenant_id: UUID, expected_sha256: str, max_bytes: int) -> S3Upload:
        """Start to take a recording in."""
        key = self._key(tenant_id, expected_sha256)
        form = Sealed(tenant_id, expected_sha256) if self._seals else Plain()
        return S3Upload(
            key,
            form,
            max_bytes,
            holds=lambda: self.exists(tenant_id, expected_sha256),
            put=lambda *of: self.put(*of, until=now() + FIRST_LOCK),
        )

    def put_stream(
        self, tenant_id: UUID, chunks: Iterable[bytes], expected_sha256: str, max_bytes: int
    ) -> Stored:
        """Take a whole recording in."""
        with self.begin(tenant_id, expected_sha256, max_bytes) as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.finish()

    def put(
        self, key: str, body: Any, digest: bytes, *, until: datetime, held: bool = False
    ) -> str:
        """Put one object, locked (and held) where the bucket locks; gives its version."""
        lock: dict[str, Any] = {}
        if self._locks:
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
            lock |= {"ObjectLockLegalHoldStatus": "ON"} if held else {}
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

    def exists(self, tenant_id: UUID, sha256: str) -> bool:
        """Tell whether a recording is there and can be opened, hidden by a marker or not."""
        return is_hash(sha256) and bool(self._readable(tenant_id, sha256))

    def read(
        self, tenant_id: UUID, sha256: str, first: int = 0, last: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes from `first` to `last`, both included; raises `NotFoundError` at once."""
        key = self._key(tenant_id, sha256)
        version = self._best(tenant_id, sha256)
        opener = version.opener
        if opener is None:
            return self._get(key, version.id, first, last, version.size)
        end = last_byte(opener, last)
        if first > max(end, 0):
            return iter(())
        start, stop = opener.span(first, max(end, 0))
        sealed = self._get(
            key, version.id, PREFIX_BYTES + start, PREFIX_BYTES + stop - 1, version.size
        )
        return opened(opener, sealed, first, end)

    @contextmanager
    def as_file(self, tenant_id: UUID, sha256: str) -> Iterator[Path]:
        """Lend a copy that has no name on the disk."""
        with lent(self.read(tenant_id, sha256)) as path:
            yield path

    def seal(self, tenant_id: UUID, sha256: str) -> bool:
        """Put a sealed version beside a plain one, under its lock, and delete the plain one.

        A plain version that the bucket still locks stays beside it until it is tried again.
        """
        if not self._seals:
            return False
        key = self._key(tenant_id, sha256)
        found = self._readable(tenant_id, sha256)
        plain = [version for version in found if version.opener is None]
        if not found:
            raise NotFoundError(NOT_THERE)
        if len(plain) == len(found):
            self._put_sealed(tenant_id, sha256, plain[0])
        for version in plain:
            with suppress(RetentionError):
                self._delete(key, version.id)
        return len(plain) == len(found)

    def _put_sealed(self, tenant_id: UUID, sha256: str, plain: _Version) -> None:
        key, form = self._key(tenant_id, sha256), Sealed(tenant_id, sha256)
        place = {"Bucket": self._bucket, "Key": key, "VersionId": plain.id}
        with _spoken():
            head = self._client.head_object(**place)
        until = max(head.get("ObjectLockRetainUntilDate") or now(), now() + FIRST_LOCK)
        held = head.get("ObjectLockLegalHoldStatus") == "ON"

        def put(key: str, body: Any, digest: bytes) -> str:
            return self.put(key, body, digest, until=until, held=held)

        with S3Upload(key, form, plain.size, holds=lambda: False, put=put) as upload:
            for chunk in self._get(key, plain.id, 0, None, plain.size):
                upload.write(chunk)
            upload.finish()

    def _readable(self, tenant_id: UUID, sha256: str) -> list[_Version]:
        """The versions that can be opened, the oldest first."""
        key = self._key(tenant_id, sha256)
        found = []
        for version, size in reversed(self._versions(key)):
            head = b"".join(self._get(key, version, 0, HEAD_BYTES - 1, size))
            with suppress(NotFoundError):
                found.append(_Version(version, size, find_opener(tenant_id, sha256, head, size)))
        return found

    def _best(self, tenant_id: UUID, sha256: str) -> _Version:
        """The oldest version that is sealed, or else the oldest; raises `NotFoundError`."""
        found = self._readable(tenant_id, sha256)
        if not found:
            raise NotFoundError(NOT_THERE)
        return next((version for version in found if version.opener is not None), found[0])

    def _get(
        self, key: str, version: str, first: int, last: int | None, size: int
    ) -> Iterator[bytes]:
        """The bytes of one version as they lie there, from `first` to `last`."""
        end = size - 1 if last is None else min(last, size - 1)
        if first > end:
            return iter(())
        wanted = {} if (first, end) == (0, size - 1) else {"Range": f"bytes={first}-{end}"}
        with _spoken():
            found = self._client.get_object(
                Bucket=self._bucket, Key=key, VersionId=version, **wanted
            )
        chunks: Iterator[bytes] = found["Body"].iter_chunks(_CHUNK)
        return chunks

    def protect(self, tenant_id: UUID, sha256: str, *, until: datetime, held: bool) -> None:
        """Raise the retention of every version, and set or lift its legal hold."""
        if not self._locks:
            return
        key = self._key(tenant_id, sha256)
        versions = self._versions(key)
        if not versions:
            raise NotFoundError(NOT_THERE)
        for version, _ in versions:
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
        for version, _ in [*self._versions(key), *self._versions(key, "DeleteMarkers")]:
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

    def _versions(self, key: str, kind: str = "Versions") -> list[tuple[str, int]]:
        """Ids and sizes of an object's versions, the newest first."""
        with _spoken():
            listing: Any = self._client.get_paginator("list_object_versions")
            pages = listing.paginate(Bucket=self._bucket, Prefix=key)
            return [
                (str(entry["VersionId"]), int(entry.get("Size", 0)))
                for page in pages
                for entry in page.get(kind, [])
                if entry["Key"] == key
            ]
