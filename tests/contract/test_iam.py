"""The bucket policies in infra/ allow what the code asks of S3, and nothing more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import Library, blob_key
from dreamfoundry.library.store_check import examine
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.s3.store import S3Store
from dreamfoundry.records import Outcome

ROOT = Path(__file__).parents[2]
BUILD = json.loads((ROOT / "infra" / "iam_policy.json").read_text(encoding="utf-8"))
COLLECT = json.loads((ROOT / "infra" / "iam_policy_gc.json").read_text(encoding="utf-8"))
LIBRARY = "arn:aws:s3:::STUDIO_BUCKET/LIBRARY_PREFIX/"

# boto3's method -> the rights that S3 asks for it
RIGHTS = {
    "get_object": {"s3:GetObject"},
    "head_object": {"s3:GetObject"},
    "put_object": {"s3:PutObject"},
    "copy_object": {"s3:GetObject", "s3:PutObject"},
    "delete_object": {"s3:DeleteObject"},
    "list_objects_v2": {"s3:ListBucket"},
    "create_multipart_upload": {"s3:PutObject"},
    "upload_part": {"s3:PutObject"},
    "complete_multipart_upload": {"s3:PutObject"},
    "abort_multipart_upload": {"s3:AbortMultipartUpload"},
    "list_multipart_uploads": {"s3:ListBucketMultipartUploads"},
}


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def rights(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in listed(statement["Action"])}


def places(policy: dict[str, Any], action: str) -> set[str]:
    statements = [statement for statement in policy["Statement"] if action in listed(statement["Action"])]
    return {place for statement in statements for place in listed(statement["Resource"])}


def test_the_policies_allow_what_the_code_calls_and_nothing_more() -> None:
    room = ROOT / "pipeline" / "dreamfoundry" / "object_store" / "s3"
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(room.glob("*.py")))
    called = set(re.findall(r"\b_?client\.([a-z_0-9]+)\(", source))

    assert called <= set(RIGHTS), "say in RIGHTS what a new call needs"
    needed = set().union(*(RIGHTS[name] for name in called))
    assert rights(BUILD) | rights(COLLECT) == needed
    assert rights(BUILD) == needed - {"s3:ListBucketMultipartUploads"}


def test_a_run_can_delete_leases_and_checkpoints_only() -> None:
    assert places(BUILD, "s3:DeleteObject") == {f"{LIBRARY}leases/*", f"{LIBRARY}checkpoints/*"}


def test_the_collector_can_neither_delete_nor_write_outcomes() -> None:
    assert places(COLLECT, "s3:DeleteObject") == {
        f"{LIBRARY}{place}/*" for place in ("blobs", "trash", "checkpoints", "leases")
    }
    assert places(COLLECT, "s3:PutObject") == {f"{LIBRARY}blobs/*", f"{LIBRARY}trash/*"}


@pytest.mark.parametrize("policy", [BUILD, COLLECT], ids=["build", "collect"])
def test_no_policy_reaches_beyond_the_library_and_the_manifests(policy: dict[str, Any]) -> None:
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in listed(statement["Action"]))
        for place in listed(statement["Resource"]):
            assert place == "arn:aws:s3:::STUDIO_BUCKET" or place.startswith(
                (LIBRARY, "arn:aws:s3:::STUDIO_BUCKET/manifests/")
            )


@pytest.fixture
def limited_to(radosgw: Any, prefix: str) -> Any:
    """Stores of a user who owns nothing and has the rights of one policy, enforced by a real server.

    `limited_to(policy)(prefix)` is such a store.
    """
    bucket = f"policy-{prefix}"
    owner = radosgw.new_client()
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key="elsewhere/k", Body=b"not ours")

    def with_policy(policy: dict[str, Any]) -> Callable[..., S3Store]:
        text = json.dumps(policy).replace("STUDIO_BUCKET", bucket).replace("LIBRARY_PREFIX", "library")
        values = json.loads(text)
        for statement in values["Statement"]:
            statement["Principal"] = {"AWS": ["arn:aws:iam:::user/worker"]}
        owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(values))
        client = radosgw.new_client(keys=radosgw.worker)
        impatient = {"client": client, "retry_timeout_s": 1.0, "sleep": lambda pause_s: None}
        return lambda place, **settings: S3Store(bucket, place, **impatient, **settings)

    return with_policy


def test_with_the_policy_of_a_run_a_library_can_be_built_on_a_real_store(limited_to: Any) -> None:
    open_at = limited_to(BUILD)
    store = open_at("library")
    store.check()
    library, leases = Library(store), Leases(store)

    lease = leases.acquire("ab" * 32, "run", ttl_s=60.0)
    assert lease is not None
    ref = library.put_blob(b"mesh", "x/y")
    outcome = Outcome("ab" * 32, "cd" * 32, "row-1", "a chair", "published", files={"a.glb": ref})
    assert library.get_outcome("ab" * 32) is None
    assert library.publish(outcome)
    write_view(library, outcome)
    leases.forget("ab" * 32)
    open_at("library", part_bytes=5 << 20).put("blobs/in-parts", bytes(6 << 20), "x/y")

    assert set(library.decided()) == {"ab" * 32}
    assert {verdict.name: verdict.mark for verdict in examine(store) if verdict.mark != "ok"} == {
        "garbage": "note",
        "unfinished uploads": "note",
    }


def test_with_the_policy_of_a_run_nothing_else_can_be_touched_on_a_real_store(limited_to: Any) -> None:
    open_at = limited_to(BUILD)
    store = open_at("library")
    ref = Library(store).put_blob(b"mesh", "x/y")

    for forbidden in (
        lambda: store.delete(blob_key(ref.sha256)),
        lambda: store.delete("outcomes/ab/x.json"),
        lambda: open_at("elsewhere").put("k", b"", "x/y"),
        lambda: open_at("elsewhere").get("k"),
        lambda: list(open_at("elsewhere").list("k")),
    ):
        with pytest.raises(StoreUnavailable, match=r"AccessDenied|403"):
            forbidden()


def test_without_the_right_to_be_told_what_is_missing_the_doctor_says_so(limited_to: Any) -> None:
    statements = [statement for statement in BUILD["Statement"] if not statement["Sid"].startswith("ToldThat")]

    verdicts = {verdict.name: verdict for verdict in examine(limited_to({**BUILD, "Statement": statements})("library"))}

    assert verdicts["missing objects"].mark == "not ok"
    assert "s3:ListBucket also for requests without a prefix" in verdicts["missing objects"].words


def test_with_the_policy_of_the_collector_garbage_can_be_collected_on_a_real_store(limited_to: Any) -> None:
    store = limited_to(COLLECT)("library")

    verdicts = {verdict.name: verdict.mark for verdict in examine(store)}

    assert (verdicts["garbage"], verdicts["unfinished uploads"]) == ("ok", "ok")
    with pytest.raises(StoreUnavailable):
        store.put("outcomes/ab/x.json", b"", "x/y")
