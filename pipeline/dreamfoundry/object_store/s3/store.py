"""The store protocol on S3: conditional writes, proven writes, listings.

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

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from dreamfoundry.errors import AlteredBytes, ObjectMissing
from dreamfoundry.object_store.protocol import (
    CHUNK_BYTES,
    ObjectStat,
    Unfinished,
    fill,
    is_made_of,
    num_bytes_of,
    require_key,
)
from dreamfoundry.object_store.s3.client import new_client
from dreamfoundry.object_store.s3.digests import etag_of, expected_etags, md5, sha256
from dreamfoundry.object_store.s3.faults import ALTERED_CODES, code_of, status_of
from dreamfoundry.object_store.s3.multipart import PART_BYTES, upload_in_parts
from dreamfoundry.object_store.s3.retry import (
    CHECK_TIMEOUT_S,
    RETRY_TIMEOUT_S,
    Retries,
)

T = TypeVar("T")


class S3Store:
    """An `ObjectStore` under `s3://bucket/prefix`.

    `retry_timeout_s` is how long a call is retried after throttling, server errors and lost connections
    before it raises StoreUnavailable; `on_wait` gets lines about longer waits and their end. Objects
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
        self._part_bytes = part_bytes
        self._retries = Retries(self.url, retry_timeout_s, on_wait or (lambda text: None), sleep)
        self._client = client if client is not None else new_client()
        self._clock_lead_s = 0.0
        self._client.meta.events.register("after-call.s3", self._learn_clock)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def check(self, retry_timeout_s: float = CHECK_TIMEOUT_S, prefix: str = "") -> None:
        """Fail soon, with advice, when the keys that begin with `prefix` cannot be listed."""
        page = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": 1}
        self._retries.call(lambda: self._client.list_objects_v2(**page), timeout_s=retry_timeout_s)

    def get(self, key: str) -> bytes:
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        def action() -> tuple[bytes, str]:
            # botocore does not retry a body that breaks off: the body belongs to the retried part
            response = self._client.get_object(**self._named(key))
            return response["Body"].read(), etag_of(response)

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
            return etag_of(head) in expected_etags(file, self._part_bytes) or self._with_retries(
                lambda: self._reads_as(key, file), key
            )
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
                if code_of(error) != "NoSuchUpload":
                    raise

        self._with_retries(action, "")

    def refuses_wrong_digests(self, key: str) -> bool:
        """True if bytes without the SHA-256 sent with them are refused; leaves `key` behind where not."""
        from botocore.exceptions import ClientError

        wrong = sha256(b"meant")

        def action() -> bool:
            try:
                self._client.put_object(**self._named(key), Body=b"sent", ChecksumSHA256=wrong)
            except ClientError as error:
                if code_of(error) not in ALTERED_CODES:
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
        """One PutObject; AlteredBytes when the store does not hold our bytes afterwards."""
        # the digest as a header, computed here, works where trailing checksums do not
        answer = self._client.put_object(
            **self._named(key), Body=data, ContentType=media_type, ChecksumSHA256=sha256(data), **conditions
        )
        if etag_of(answer) != md5(data) and self._client.get_object(**self._named(key))["Body"].read() != data:
            raise AlteredBytes(key, etag_of(answer))

    def _upload_in_parts(self, key: str, file: io.BufferedIOBase, media_type: str) -> None:
        """A multipart upload; AlteredBytes as in `_upload`."""
        upload_in_parts(self._client, self._named(key), file, media_type, self._part_bytes)
        if not self.holds_file(key, file):
            raise AlteredBytes(key, "")

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
                if status_of(error) != 412:
                    raise
                metadata = error.response.get("ResponseMetadata", {})
                retried = tries > 1 or metadata.get("RetryAttempts", 0) > 0
                return retried and self.get(key) == data
            except AlteredBytes as error:
                condition.clear()
                condition["IfMatch"] = error.etag  # we have won, with bytes that are not ours: mend them
                raise
            return True

        try:
            return self._with_retries(action, key)
        except ObjectMissing:  # nothing to replace, or deleted before we could compare
            return False

    def _with_retries(self, action: Callable[[], T], key: str) -> T:
        return self._retries.call(action, key)

    def _learn_clock(self, parsed: dict[str, Any], **_: Any) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._clock_lead_s = parsedate_to_datetime(date).timestamp() - time.time()


def _stat(key: str, num_bytes: int, modified: datetime) -> ObjectStat:
    return ObjectStat(key, num_bytes, modified.timestamp())
