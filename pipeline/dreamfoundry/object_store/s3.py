"""The store protocol on S3 and on what speaks its language; the only file that knows boto3.

Conditional writes are single PutObject calls with If-None-Match or If-Match. 409 means "try
again", 412 means "lost", except after a retry of our own, whose first try may have taken effect
although its answer was lost: then the object is read back and its bytes decide. Big objects go in
parts, of which one is in memory at a time, never under a condition.

Every write carries its SHA-256, but not every store checks it. So a write counts only when it is
proven: the etag in the answer is the MD5 of our bytes, or else (encrypted buckets have other
etags) the object is read back. What was altered on the way is written again (docs/adr/0008).

Settings come from the usual environment (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3 …).
Our writes bring their checksum in a header, so they need no trailing checksums, which some stores
do not know; AWS_REQUEST_CHECKSUM_CALCULATION=when_required keeps boto3 from adding any elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from dreamfoundry.errors import ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.protocol import (
    CHUNK_BYTES,
    ObjectStat,
    Unfinished,
    fill,
    is_made_of,
    num_bytes_of,
    require_key,
)

T = TypeVar("T")

PART_BYTES = 16 * 2**20
"""Up to this size an object goes in one request, a bigger one in parts of this size; S3 allows 5 MiB to
5 GiB, and 10,000 of them."""

RETRY_TIMEOUT_S = 120.0
"""How long a call goes on while the store is away, unless its caller says otherwise."""

WARN_AFTER_S = 10.0
"""A call that has waited for so long says so."""

_RETRIED_CODES = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "ConditionalRequestConflict",
        "OperationAborted",
        "NoSuchUpload",  # of parts that another try has completed or aborted
        "IncompleteBody",
        "EntityTooSmall",  # a part was cut off on the way: ours are big enough
    }
)
_ALTERED_CODES = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
_HINTS = {
    "NoSuchBucket": "there is no such bucket: make it, or correct the name",
    "AccessDenied": "access is denied: the role needs s3:ListBucket, s3:GetObject and s3:PutObject here",
    "403": "access is denied: the role needs s3:ListBucket, s3:GetObject and s3:PutObject here",
    "404": "there is no such bucket: make it, or correct the name",
    "ExpiredToken": "the credentials have expired: refresh them and run again",
    "InvalidAccessKeyId": "the access key is unknown here: check AWS_ACCESS_KEY_ID and the endpoint",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "301": "the bucket is in another region: set AWS_REGION",
    "NotImplemented": "this store has no conditional writes, which the library depends on: use another",
}


class S3Store:
    """An `ObjectStore` under `s3://bucket/prefix`.

    `retry_timeout_s` is how long a call goes on after throttling, server errors and lost connections
    before it raises StoreUnavailable; `on_wait` is told of longer waits, and of their end. Objects
    of more than `part_bytes` go in parts of that size. `client` (a boto3 S3 client) and `sleep`
    are for callers that need another endpoint, or a test.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        client: Any = None,
        retry_timeout_s: float = RETRY_TIMEOUT_S,
        on_wait: Callable[[str], None] | None = None,
        part_bytes: int = PART_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._retry_timeout_s, self._on_wait = retry_timeout_s, on_wait or (lambda text: None)
        self._part_bytes = part_bytes
        self._sleep = sleep
        self._client = client if client is not None else _new_client()
        self._clock_lead_s = 0.0
        self._client.meta.events.register("after-call.s3", self._learn_clock)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def check(self, retry_timeout_s: float = 5.0) -> None:
        """Fail soon, with advice, when the library cannot be listed."""
        page = {"Bucket": self._bucket, "Prefix": self._prefix, "MaxKeys": 1}
        self._with_retries(lambda: self._client.list_objects_v2(**page), "", retry_timeout_s=retry_timeout_s)

    def get(self, key: str) -> bytes:
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        def action() -> tuple[bytes, str]:
            # botocore does not retry a body that breaks off: the body belongs to the retried part
            response = self._client.get_object(**self._named(key))
            return response["Body"].read(), _plain(response)

        return self._with_retries(action, key)

    def get_file(self, key: str, file: io.BufferedIOBase) -> None:
        def action() -> None:
            with closing(self._client.get_object(**self._named(key))["Body"]) as body:
                fill(file, body.iter_chunks(CHUNK_BYTES))

        self._with_retries(action, key)

    def stat(self, key: str) -> ObjectStat | None:
        head = self._head(key)
        return None if head is None else _stat(key, head["ContentLength"], head["LastModified"])

    def exists(self, key: str) -> bool:
        return self._head(key) is not None

    def holds(self, key: str, data: bytes) -> bool:
        return self.holds_file(key, io.BytesIO(data))

    def holds_file(self, key: str, file: io.BufferedIOBase) -> bool:
        head = self._head(key)
        if head is None or head["ContentLength"] != num_bytes_of(file):
            return False
        try:
            return _plain(head) in self._etags(file) or self._with_retries(lambda: self._reads_as(key, file), key)
        except ObjectMissing:
            return False

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        return self._write_if(key, data, media_type, IfNoneMatch="*")

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self.put_file(key, io.BytesIO(data), media_type)

    def put_file(self, key: str, file: io.BufferedIOBase, media_type: str) -> None:
        if num_bytes_of(file) > self._part_bytes:
            self._with_retries(lambda: self._upload_in_parts(key, file, media_type), key)
        else:
            file.seek(0)
            data = file.read()
            self._with_retries(lambda: self._upload(key, data, media_type), key)

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        return self._write_if(key, data, media_type, IfMatch=expected_etag)

    def copy(self, source: str, target: str) -> None:
        self._with_retries(
            lambda: self._client.copy_object(**self._named(target), CopySource=self._named(source)), source
        )

    def list(self, prefix: str = "") -> Iterator[str]:
        for entry in self.stats(prefix):
            yield entry.key

    def stats(self, prefix: str = "", page_keys: int = 1000) -> Iterator[ObjectStat]:
        page: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": page_keys}
        while True:
            response = self._with_retries(lambda: self._client.list_objects_v2(**page), "")
            for entry in response.get("Contents", ()):
                yield _stat(str(entry["Key"])[len(self._prefix) :], entry["Size"], entry["LastModified"])
            if not response.get("IsTruncated"):
                return
            page["ContinuationToken"] = response["NextContinuationToken"]

    def delete(self, key: str) -> None:
        self._with_retries(lambda: self._client.delete_object(**self._named(key)), key)

    def unfinished(self) -> Iterator[Unfinished]:
        page: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix}
        while True:
            response = self._with_retries(lambda: self._client.list_multipart_uploads(**page), "")
            for upload in response.get("Uploads", ()):
                key = str(upload["Key"])[len(self._prefix) :]
                yield Unfinished(key, str(upload["UploadId"]), upload["Initiated"].timestamp())
            if not response.get("IsTruncated"):
                return
            page.update(KeyMarker=response["NextKeyMarker"], UploadIdMarker=response["NextUploadIdMarker"])

    def discard(self, unfinished: Unfinished) -> None:
        from botocore.exceptions import ClientError

        upload = {**self._named(unfinished.key), "UploadId": unfinished.name}

        def action() -> None:
            try:
                self._client.abort_multipart_upload(**upload)
            except ClientError as error:
                if _code(error) != "NoSuchUpload":
                    raise

        self._with_retries(action, "")

    def refuses_wrong_digests(self, key: str) -> bool:
        """Whether bytes that do not have the SHA-256 sent with them are refused; leaves `key` behind where not."""
        from botocore.exceptions import ClientError

        wrong = _sha256(b"meant")

        def action() -> bool:
            try:
                self._client.put_object(**self._named(key), Body=b"sent", ChecksumSHA256=wrong)
            except ClientError as error:
                if _code(error) not in _ALTERED_CODES:
                    raise
                return True
            return False

        return self._with_retries(action, key)

    def begin_parts(self, key: str) -> Unfinished:
        """Begin to write `key` in parts and leave it at that, as a process does that dies."""
        upload = self._with_retries(lambda: self._client.create_multipart_upload(**self._named(key)), "")
        return Unfinished(key, str(upload["UploadId"]), self.now_s())

    def now_s(self) -> float:
        return time.time() + self._clock_lead_s

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + require_key(key)}

    def _head(self, key: str) -> Any:
        try:
            return self._with_retries(lambda: self._client.head_object(**self._named(key)), key)
        except ObjectMissing:
            return None

    def _upload(self, key: str, data: bytes, media_type: str, **conditions: str) -> None:
        """One PutObject; _Altered when the store does not hold our bytes afterwards."""
        # the digest as a header, computed here, works where trailing checksums do not
        answer = self._client.put_object(
            **self._named(key), Body=data, ContentType=media_type, ChecksumSHA256=_sha256(data), **conditions
        )
        if _plain(answer) != _md5(data) and self._client.get_object(**self._named(key))["Body"].read() != data:
            raise _Altered(key, _plain(answer))

    def _upload_in_parts(self, key: str, file: io.BufferedIOBase, media_type: str) -> None:
        """A multipart upload, aborted wherever it fails; _Altered as in `_upload`."""
        begun = self._client.create_multipart_upload(
            **self._named(key), ContentType=media_type, ChecksumAlgorithm="SHA256"
        )
        upload = {**self._named(key), "UploadId": begun["UploadId"]}
        try:
            num_parts = self._num_parts(file)
            file.seek(0)
            parts = [self._upload_part(upload, number, file) for number in range(1, num_parts + 1)]
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._abort(upload)
            raise
        if not self.holds_file(key, file):
            raise _Altered(key, "")

    def _upload_part(self, upload: dict[str, str], number: int, file: io.BufferedIOBase) -> dict[str, object]:
        """Send what comes next in `file`."""
        part = file.read(self._part_bytes)
        checksum = _sha256(part)
        answer = self._client.upload_part(**upload, PartNumber=number, Body=part, ChecksumSHA256=checksum)
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _abort(self, upload: dict[str, str]) -> None:
        """Give up the parts. Where even this fails they stay, and `unfinished` shows them."""
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(**upload)

    def _num_parts(self, file: io.BufferedIOBase) -> int:
        return -(-num_bytes_of(file) // self._part_bytes)

    def _etags(self, file: io.BufferedIOBase) -> tuple[str, str]:
        """What the etag of these bytes is after one request, and after an upload in parts of our size."""
        whole = hashlib.md5(usedforsecurity=False)

        def next_digest() -> bytes:
            part = file.read(self._part_bytes)
            whole.update(part)
            return hashlib.md5(part, usedforsecurity=False).digest()

        num_parts = self._num_parts(file)
        file.seek(0)
        digests = [next_digest() for _ in range(num_parts)]
        return whole.hexdigest(), f"{_md5(b''.join(digests))}-{num_parts}"

    def _reads_as(self, key: str, file: io.BufferedIOBase) -> bool:
        with closing(self._client.get_object(**self._named(key))["Body"]) as body:
            return is_made_of(file, body.iter_chunks(CHUNK_BYTES))

    def _write_if(self, key: str, data: bytes, media_type: str, **condition: str) -> bool:
        """One conditional PutObject: True when our bytes stand, False when the condition failed."""
        from botocore.exceptions import ClientError

        tries = 0

        def action() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._upload(key, data, media_type, **condition)
            except ClientError as error:
                if _status(error) != 412:
                    raise
                metadata = error.response.get("ResponseMetadata", {})
                retried = tries > 1 or metadata.get("RetryAttempts", 0) > 0
                return retried and self.get(key) == data
            except _Altered as error:
                condition.clear()
                condition["IfMatch"] = error.etag  # we have won, with bytes that are not ours: mend them
                raise
            return True

        try:
            return self._with_retries(action, key)
        except ObjectMissing:  # nothing to replace, or deleted before we could compare
            return False

    def _with_retries(self, action: Callable[[], T], key: str, *, retry_timeout_s: float | None = None) -> T:
        """`action()`, tried again with growing pauses while the fault may pass."""
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError  # a refusal that breaks off comes through botocore as it is

        timeout_s = left_s = self._retry_timeout_s if retry_timeout_s is None else retry_timeout_s
        longest_s, has_warned = 0.5, False
        while True:
            began_s = time.monotonic()
            try:
                result = action()
                if has_warned:
                    self._on_wait(f"library {self.url} answers again")
                return result
            except (ClientError, BotoCoreError, HTTPError, _Altered) as error:
                if key and isinstance(error, ClientError) and _code(error) in ("NoSuchKey", "404"):
                    raise ObjectMissing(f"{key!r} is not in the library {self.url}") from None
                left_s -= time.monotonic() - began_s
                if not _may_pass(error) or left_s <= 0.0:
                    raise StoreUnavailable(f"library {self.url}: {error}; {_advice(error)}") from error
                cause = str(error)
            pause_s = min(random.uniform(0.1, longest_s), left_s)
            left_s -= pause_s
            if not has_warned and timeout_s - left_s > WARN_AFTER_S:
                has_warned = True
                self._on_wait(f"library {self.url}: {cause}; tried again for another {left_s:.0f} s")
            longest_s = min(2.0 * longest_s, 20.0)
            self._sleep(pause_s)

    def _learn_clock(self, parsed: dict[str, Any], **_: Any) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._clock_lead_s = parsedate_to_datetime(date).timestamp() - time.time()


class _Altered(Exception):
    """The store holds other bytes than were sent, under `etag`."""

    def __init__(self, key: str, etag: str) -> None:
        super().__init__(f"{key}: the bytes were altered on the way")
        self.etag = etag


def _new_client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
    )
    # a session of its own: boto3's default session must not be shared between threads
    return boto3.session.Session().client("s3", config=config)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _plain(answer: Any) -> str:
    """The etag of an answer without its quotes, with which radosgw's If-Match never matches."""
    return str(answer["ETag"]).strip('"')


def _stat(key: str, num_bytes: int, modified: datetime) -> ObjectStat:
    return ObjectStat(key, num_bytes, modified.timestamp())


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: throttling, 409, 5xx, altered bytes, a lost connection."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        is_overloaded = _status(error) >= 500 and _status(error) != 501
        return is_overloaded or _code(error) in _RETRIED_CODES | _ALTERED_CODES
    passing = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.FlexibleChecksumError)
    return isinstance(error, (_Altered, HTTPError, *passing))


def _advice(error: Exception) -> str:
    from botocore import exceptions as boto

    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the machine"
    if isinstance(error, boto.ClientError) and _code(error) in _HINTS:
        return _HINTS[_code(error)]
    if isinstance(error, _Altered):
        return "something between here and the store alters requests (a proxy?): find it before going on"
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError)):
        return "check the network and AWS_ENDPOINT_URL_S3"
    return "see the message of the store above, then run again"
