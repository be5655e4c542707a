"""A write counts only when it is proven: altered, cut off and half-done uploads, in one piece and in parts.

The proxy alters bytes between us and the server. moto checks no digest; radosgw checks the payload's
over plain HTTP. Both must end alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from dreamfoundry.errors import ObjectMissing, StoreUnavailable
from dreamfoundry.library.library import Library, blob_key
from dreamfoundry.object_store.s3.store import S3Store
from dreamfoundry.records import BlobRef, Outcome

TEXT = "text/plain"
MIB = 2**20
PARTS = {"part_bytes": 5 * MIB}
BIG = b"0123456789abcdef" * (11 * MIB // 16)

NewStore = Callable[..., S3Store]


def published(*blobs: BlobRef) -> Outcome:
    files = {f"{number}.bin": ref for number, ref in enumerate(blobs)}
    return Outcome("ab" * 32, "cd" * 32, "row-1", "a red chair", "published", files=files)


@pytest.fixture
def through_proxy(s3_server: Any, fault_proxy: Any, new_s3_store: NewStore) -> Callable[..., S3Store]:
    """Stores whose every request passes the proxy."""
    return lambda **settings: new_s3_store(s3_server.new_client(fault_proxy.url), **settings)


@pytest.mark.parametrize("action", ["alter_body", "cut_body"])
def test_05_an_upload_that_is_altered_on_the_way_is_sent_again(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any, action: str
) -> None:
    fault_proxy.rule("^PUT ", action, times=2)

    ref = Library(through_proxy()).put_blob(b"the mesh of a chair", TEXT)

    assert [done for _, done in fault_proxy.done] == [action] * 2
    assert Library(new_s3_store()).get_blob(ref) == b"the mesh of a chair"


@pytest.mark.parametrize("action", ["alter_body", "cut_body"])
def test_05_what_never_arrives_whole_is_named_by_no_outcome(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any, action: str
) -> None:
    library = Library(through_proxy(retry_timeout_s=1.0))
    fault_proxy.rule("^PUT .*blobs", action)

    with pytest.raises(StoreUnavailable, match=r"altered|SHA256|IncompleteBody|Timeout"):
        library.publish(published(library.put_blob(b"the mesh of a chair", TEXT)))

    assert list(new_s3_store().list("outcomes/")) == []


def test_05_an_outcome_that_is_altered_on_the_way_is_mended_by_its_winner(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any
) -> None:
    fault_proxy.rule("^PUT .*outcomes", "alter_body", times=2)

    assert Library(through_proxy()).publish(published())
    assert len(fault_proxy.done) == 2
    assert Library(new_s3_store()).get_outcome("ab" * 32) == published()
    assert not Library(through_proxy()).publish(published())


def test_05_where_etags_prove_nothing_what_was_written_is_read_back(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any
) -> None:
    store = through_proxy()
    fault_proxy.rule("^PUT ", "opaque_etag")

    store.put("k", b"whole", TEXT)

    assert [line.split()[0] for line, _ in fault_proxy.requests] == ["PUT", "GET"]
    assert new_s3_store().get("k") == b"whole"


def test_05_bytes_that_come_back_different_are_written_again_where_etags_prove_nothing(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any
) -> None:
    fault_proxy.rule("^PUT ", "opaque_etag")
    fault_proxy.rule("^GET ", "alter_answer", times=1)

    through_proxy().put("k", b"whole", TEXT)

    assert [line.split()[0] for line, _ in fault_proxy.requests] == ["PUT", "GET", "PUT", "GET"]
    assert new_s3_store().get("k") == b"whole"


@pytest.mark.parametrize("left", [b"", b"the mesh of a c", b"the mesh of a choir"], ids=["empty", "torn", "altered"])
def test_what_lies_under_a_digest_and_is_not_it_is_replaced(new_s3_store: NewStore, left: bytes) -> None:
    store = new_s3_store()
    library = Library(store)
    ref = library.put_blob(b"the mesh of a chair", TEXT)
    store.put(blob_key(ref.sha256), left, TEXT)

    assert library.put_blob(b"the mesh of a chair", TEXT) == ref
    assert library.get_blob(ref) == b"the mesh of a chair"


def test_a_blob_that_is_there_already_is_not_sent_again(through_proxy: NewStore, fault_proxy: Any) -> None:
    library = Library(through_proxy())
    library.put_blob(b"the mesh of a chair", TEXT)
    library.put_blob(b"the mesh of a chair", TEXT)

    assert [line.split()[0] for line, _ in fault_proxy.requests].count("PUT") == 1


def test_a_blob_that_is_missing_is_named_by_no_outcome(new_s3_store: NewStore) -> None:
    store = new_s3_store()
    library = Library(store)
    ref = library.put_blob(b"the mesh of a chair", TEXT)
    store.delete(blob_key(ref.sha256))

    with pytest.raises(ObjectMissing, match="is missing"):
        library.publish(published(ref))
    store.put(blob_key(ref.sha256), b"the mesh", TEXT)
    with pytest.raises(ObjectMissing, match="has 8 bytes, must have 19"):
        library.publish(published(ref))
    assert library.get_outcome("ab" * 32) is None


def test_a_big_object_goes_in_parts_and_comes_back_whole(through_proxy: NewStore, fault_proxy: Any) -> None:
    store = through_proxy(**PARTS)

    store.put("big", BIG, TEXT)

    assert [line.split()[0] for line, _ in fault_proxy.requests] == ["POST", "PUT", "PUT", "PUT", "POST", "HEAD"]
    assert store.get("big") == BIG
    assert store.holds("big", BIG)
    assert not store.holds("big", BIG[:-1] + b"?")
    assert list(store.unfinished()) == []


@pytest.mark.parametrize(
    ("match", "action"),
    [
        ("partNumber=2", "alter_body"),
        ("partNumber=2", "cut_body"),
        ("partNumber=2", "503"),
        ("partNumber=3", "reset_after"),
        ("^POST .*uploadId", "503"),
        ("^POST .*uploadId", "reset_after"),
    ],
)
def test_a_big_object_survives_a_fault_in_any_of_its_requests(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any, match: str, action: str
) -> None:
    fault_proxy.rule(match, action, times=1)

    through_proxy(**PARTS).put("big", BIG, TEXT)

    assert len(fault_proxy.done) == 1
    assert new_s3_store().get("big") == BIG
    assert list(new_s3_store().unfinished()) == []


@pytest.mark.parametrize("match", ["partNumber=1", "partNumber=3", "^POST .*uploadId"])
def test_09_a_big_object_that_is_given_up_leaves_nothing(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any, match: str
) -> None:
    fault_proxy.rule(match, "503")

    with pytest.raises(StoreUnavailable):
        through_proxy(**PARTS, retry_timeout_s=0.5).put("big", BIG, TEXT)

    assert not new_s3_store().exists("big")
    assert list(new_s3_store().unfinished()) == []


def test_05_a_big_object_is_read_back_where_etags_prove_nothing_and_sent_again_where_it_differs(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any
) -> None:
    fault_proxy.rule("^HEAD ", "opaque_etag")
    fault_proxy.rule("^GET ", "alter_answer", times=1)

    through_proxy(**PARTS).put("big", BIG, TEXT)

    once = ["POST", "PUT", "PUT", "PUT", "POST", "HEAD", "GET"]
    assert [line.split()[0] for line, _ in fault_proxy.requests] == once * 2
    assert new_s3_store().get("big") == BIG


def test_of_a_big_file_one_part_is_in_memory_at_a_time(new_s3_store: NewStore) -> None:
    store = new_s3_store(**PARTS)
    with TemporaryFile() as file:
        file.write(BIG * 4)
        tracemalloc.start()
        store.put_file("big", file, TEXT)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak_bytes < 2 * PARTS["part_bytes"]
        assert store.holds_file("big", file)


def test_09_what_a_killed_process_has_begun_is_found_and_can_be_discarded(
    s3_server: Any, new_s3_store: NewStore
) -> None:
    store = new_s3_store()
    program = (
        "import os, signal; from dreamfoundry.object_store.s3.store import S3Store; "
        f"store = S3Store('shelf', {store.url.rpartition('/')[2]!r}, part_bytes=5 << 20); "
        "store._client.meta.events.register('before-call.s3.CompleteMultipartUpload', "
        "lambda **_: os.kill(os.getpid(), signal.SIGKILL)); store.put('big', bytes(6 << 20), 'x/y')"
    )
    killed = subprocess.run([sys.executable, "-c", program], env=s3_server.environment, check=False)

    assert killed.returncode == -9
    assert not store.exists("big")
    (left,) = store.unfinished()
    assert left.key == "big"
    if s3_server.name != "moto":  # which dates every upload 2010
        assert abs(left.began_s - store.now_s()) < 60.0
    store.discard(left)
    store.discard(left)
    assert list(store.unfinished()) == []


def test_27_a_storm_of_refusals_and_lost_answers_loses_and_doubles_nothing(
    through_proxy: NewStore, new_s3_store: NewStore, fault_proxy: Any
) -> None:
    store = through_proxy()
    for action in ("503", "reset_before", "reset_after", "409", "cut_answer"):
        for number in (0, 2, 4):
            fault_proxy.rule(f"/k/{number}", action, times=1)

    assert all(store.create(f"k/{number}", f"{number}".encode(), TEXT) for number in range(6))
    assert [store.get(f"k/{number}") for number in range(6)] == [f"{number}".encode() for number in range(6)]
    assert {action for _, action in fault_proxy.done} == {"503", "reset_before", "reset_after", "409", "cut_answer"}
    assert list(new_s3_store().list("k/")) == [f"k/{number}" for number in range(6)]


@pytest.mark.parametrize("calculation", ["when_supported", "when_required"])
def test_a_real_store_over_https_takes_everything_that_we_write(radosgw: Any, prefix: str, calculation: str) -> None:
    program = (
        "from dreamfoundry.library.library import Library; from dreamfoundry.object_store.open import open_store; "
        "from dreamfoundry.object_store.s3.store import S3Store; "
        f"store = open_store('s3://shelf/{prefix}'); library = Library(store); "
        "assert library.get_blob(library.put_blob(b'mesh', 'x/y')) == b'mesh'; "
        "assert store.create('once', b'1', 'x/y') and not store.create('once', b'2', 'x/y'); "
        "assert store.replace('once', b'2', 'x/y', store.read('once')[1]); "
        f"parts = S3Store('shelf', '{prefix}', part_bytes=5 << 20); "
        "parts.put('big', bytes(6 << 20), 'x/y'); assert len(store.get('big')) == 6 << 20; "
        "store.copy('big', 'copy'); store.delete('big'); print(*store.list())"
    )
    environment = {
        **radosgw.environment,
        "AWS_ENDPOINT_URL_S3": radosgw.tls_endpoint,
        "AWS_CA_BUNDLE": radosgw.certificate,
        "AWS_REQUEST_CHECKSUM_CALCULATION": calculation,
    }

    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [key.partition("/")[0] for key in done.stdout.split()] == ["blobs", "copy", "once"]


def test_boto3_left_to_itself_adds_checksums_that_a_real_store_refuses_unless_told_not_to(
    radosgw: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def put() -> None:
        config = Config(retries={"total_max_attempts": 1})
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=radosgw.tls_endpoint,
            verify=radosgw.certificate,
            aws_access_key_id=radosgw.access_key,
            aws_secret_access_key=radosgw.secret_key,
            region_name="us-east-1",
            config=config,
        )
        client.put_object(Bucket="shelf", Key=f"{prefix}/k", Body=b"mesh")

    with pytest.raises(ClientError, match="MissingContentLength"):
        put()
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    put()
