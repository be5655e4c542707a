"""The store protocol on S3 and on what speaks its language; the only file that knows boto3.

Conditional writes are single PutObject calls with If-None-Match or If-Match. 409 means "try
again", 412 means "lost", except after a retry of our own, whose first try may have taken effect
although its answer was lost: then the object is read back and its bytes decide.

Settings come from the usual environment (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3 …);
AWS_REQUEST_CHECKSUM_CALCULATION=when_required helps with stores that know no trailing checksums.
"""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from dreamfoundry.errors import ObjectMissing, StoreUnavailable

T = TypeVar("T")

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
    }
)
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

    `patience_s` is how long a call goes on after throttling, server errors and lost connections
    before it raises StoreUnavailable. `client` (a boto3 S3 client) and `sleep` are for callers
    that need another endpoint, or a test.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        client: Any = None,
        patience_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._patience_s = patience_s
        self._sleep = sleep
        self._client = client if client is not None else _new_client()
        self._clock_lead_s = 0.0
        self._client.meta.events.register("after-call.s3", self._learn_clock)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def check(self) -> None:
        """Fail within seconds, with advice, when the bucket cannot be used."""
        self._patiently(lambda: self._client.head_bucket(Bucket=self._bucket), "", patience_s=5.0)

    def get(self, key: str) -> bytes:
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        def action() -> tuple[bytes, str]:
            # botocore does not retry a body that breaks off: the body belongs to the retried part
            response = self._client.get_object(**self._named(key))
            return response["Body"].read(), str(response["ETag"])

        return self._patiently(action, key)

    def etag(self, key: str) -> str | None:
        try:
            response = self._patiently(lambda: self._client.head_object(**self._named(key)), key)
        except ObjectMissing:
            return None
        return str(response["ETag"])

    def exists(self, key: str) -> bool:
        return self.etag(key) is not None

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        return self._write_if(key, data, media_type, IfNoneMatch="*")

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self._patiently(lambda: self._upload(key, data, media_type), key)

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        return self._write_if(key, data, media_type, IfMatch=expected_etag)

    def copy(self, source: str, target: str) -> None:
        self._patiently(lambda: self._client.copy_object(**self._named(target), CopySource=self._named(source)), source)

    def list(self, prefix: str = "") -> Iterator[str]:
        page: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        while True:
            response = self._patiently(lambda: self._client.list_objects_v2(**page), prefix)
            for entry in response.get("Contents", ()):
                yield str(entry["Key"])[len(self._prefix) :]
            if not response.get("IsTruncated"):
                return
            page["ContinuationToken"] = response["NextContinuationToken"]

    def delete(self, key: str) -> None:
        self._patiently(lambda: self._client.delete_object(**self._named(key)), key)

    def now_s(self) -> float:
        return time.time() + self._clock_lead_s

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _upload(self, key: str, data: bytes, media_type: str, **conditions: str) -> Any:
        # the digest as a header, computed here, works where trailing checksums do not
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return self._client.put_object(
            **self._named(key), Body=data, ContentType=media_type, ChecksumSHA256=checksum, **conditions
        )

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
            return True

        try:
            return self._patiently(action, key)
        except ObjectMissing:  # nothing to replace, or deleted before we could compare
            return False

    def _patiently(self, action: Callable[[], T], key: str, *, patience_s: float | None = None) -> T:
        """`action()`, tried again with growing pauses while the fault may pass."""
        from botocore.exceptions import BotoCoreError, ClientError

        patience_left_s = self._patience_s if patience_s is None else patience_s
        longest_s = 0.5
        while True:
            began_s = time.monotonic()
            try:
                return action()
            except (ClientError, BotoCoreError) as error:
                if key and isinstance(error, ClientError) and _code(error) in ("NoSuchKey", "404"):
                    raise ObjectMissing(f"{key!r} is not in the library {self.url}") from None
                patience_left_s -= time.monotonic() - began_s
                if not _may_pass(error) or patience_left_s <= 0.0:
                    raise StoreUnavailable(f"library {self.url}: {error}; {_advice(error)}") from error
            pause_s = min(random.uniform(0.1, longest_s), patience_left_s)
            patience_left_s -= pause_s
            longest_s = min(2.0 * longest_s, 20.0)
            self._sleep(pause_s)

    def _learn_clock(self, parsed: dict[str, Any], **_: Any) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date:
            self._clock_lead_s = parsedate_to_datetime(date).timestamp() - time.time()


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


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: throttling, 409, 5xx, or a lost connection."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return (_status(error) >= 500 and _status(error) != 501) or _code(error) in _RETRIED_CODES
    return isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError))


def _advice(error: Exception) -> str:
    from botocore import exceptions as boto

    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the machine"
    if isinstance(error, boto.ClientError) and _code(error) in _HINTS:
        return _HINTS[_code(error)]
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError)):
        return "check the network and AWS_ENDPOINT_URL_S3"
    return "see the message of the store above, then run again"
