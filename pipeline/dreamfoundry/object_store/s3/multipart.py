"""Uploads of big objects in parts, of which one is in memory at a time."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

from dreamfoundry.object_store.s3.digests import num_parts, sha256

PART_BYTES = 16 * 2**20
"""Up to this size an object goes in one request, a bigger one in parts of this size; S3 allows 5 MiB to
5 GiB, and 10,000 of them."""


def upload_in_parts(
    client: Any, target: dict[str, str], file: io.BufferedIOBase, media_type: str, part_bytes: int
) -> None:
    """One multipart upload of `file` to `target` (Bucket and Key), aborted wherever it fails."""
    begun = client.create_multipart_upload(**target, ContentType=media_type, ChecksumAlgorithm="SHA256")
    upload = {**target, "UploadId": begun["UploadId"]}
    try:
        count = num_parts(file, part_bytes)
        file.seek(0)
        parts = [_upload_part(client, upload, number, file.read(part_bytes)) for number in range(1, count + 1)]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        _abort(client, upload)
        raise


def _upload_part(client: Any, upload: dict[str, str], number: int, part: bytes) -> dict[str, object]:
    checksum = sha256(part)
    answer = client.upload_part(**upload, PartNumber=number, Body=part, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def _abort(client: Any, upload: dict[str, str]) -> None:
    """Give up the parts. Where even this fails they stay, and `S3Store.unfinished` lists them."""
    from botocore.exceptions import BotoCoreError, ClientError

    with suppress(BotoCoreError, ClientError):
        client.abort_multipart_upload(**upload)
