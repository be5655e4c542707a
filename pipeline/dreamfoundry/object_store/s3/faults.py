"""Faults of an S3 server: which of them may pass, and advice about the others."""

from __future__ import annotations

from typing import Any

from dreamfoundry.errors import AlteredBytes

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

ALTERED_CODES = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
"""Refusals of bytes that do not have the digest sent with them."""

NO_BUCKET = "there is no such bucket: make it, or correct the name"

_ADVICE = {
    "NoSuchBucket": NO_BUCKET,
    "AccessDenied": "access is denied: the role needs s3:ListBucket, s3:GetObject and s3:PutObject here",
    "403": "access is denied: the role needs s3:ListBucket, s3:GetObject and s3:PutObject here",
    "404": NO_BUCKET,
    "ExpiredToken": "the credentials have expired: refresh them and run again",
    "InvalidAccessKeyId": "the access key is unknown here: check AWS_ACCESS_KEY_ID and the endpoint",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "301": "the bucket is in another region: set AWS_REGION",
    "NotImplemented": "this store has no conditional writes, which the library depends on: use another",
}


def code_of(error: Any) -> str:
    """S3's code of a ClientError, such as "NoSuchKey"; "" where the answer has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: Any) -> int:
    """The HTTP status of a ClientError, 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def may_pass(error: Exception) -> bool:
    """True where the same call may succeed later: throttling, 409, 5xx, altered bytes, a lost connection."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        is_overloaded = status_of(error) >= 500 and status_of(error) != 501
        return is_overloaded or code_of(error) in _RETRIED_CODES | ALTERED_CODES
    passing = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.FlexibleChecksumError)
    return isinstance(error, (AlteredBytes, HTTPError, *passing))


def advice(error: Exception) -> str:
    """Remedy of a fault that has not passed, for the end of an error message."""
    from botocore import exceptions as boto

    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or attach a role to the machine"
    if isinstance(error, boto.ClientError) and code_of(error) in _ADVICE:
        return _ADVICE[code_of(error)]
    if isinstance(error, AlteredBytes):
        return "something between here and the store alters requests (a proxy?): find it before going on"
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError)):
        return "check the network and AWS_ENDPOINT_URL_S3"
    return "see the message of the store above, then run again"
