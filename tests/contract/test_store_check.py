"""The doctor passes stores that can carry a library, and notices each thing that one can lack."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.library.library import blob_key
from dreamfoundry.library.store_check import Verdict, examine
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.store import S3Store
from support.fault_proxy import FaultProxy
from support.processes import run_job

TEXT = "text/plain"


def not_ok(store: ObjectStore) -> dict[str, str]:
    """The faults that keep a store from being used, in words, by probe."""
    return {verdict.name: verdict.words for verdict in examine(store) if verdict.mark == "not ok"}


def test_a_store_that_can_be_used_passes_and_is_left_as_it_was(store: ObjectStore) -> None:
    store.put("assets/mine", b"mine", TEXT)

    verdicts = list(examine(store))

    assert [verdict for verdict in verdicts if verdict.mark != "ok"] == []
    assert len(verdicts) >= 13
    assert list(store.list()) == ["assets/mine"]
    assert list(store.unfinished()) == []


def test_a_directory_is_left_without_a_trace(tmp_path: Path) -> None:
    list(examine(DirectoryStore(tmp_path)))

    assert [path.name for path in tmp_path.rglob("*")] == [".staging", ".lock"]


def test_whether_digests_are_checked_is_said(new_s3_store: Callable[..., S3Store]) -> None:
    verdicts = {verdict.name: verdict for verdict in examine(new_s3_store())}

    assert verdicts["digests"] == Verdict(
        "ok",
        "digests",
        "the store takes bytes with a wrong SHA-256; the library proves every write itself, so this is safe",
    )


def test_a_store_that_checks_digests_is_known_by_its_refusal(moto: Any, prefix: str) -> None:
    with FaultProxy(moto.endpoint) as proxy:
        proxy.rule("^PUT .*/digest", "400")
        store = S3Store("shelf", prefix, client=moto.new_client(proxy.url))
        verdicts = {verdict.name: verdict for verdict in examine(store)}

    assert verdicts["digests"] == Verdict("ok", "digests", "bytes that were altered on the way are refused")


def test_uploads_that_nobody_finished_are_mentioned(
    s3_server: Any, new_s3_store: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_s3_store()
    store.begin_parts(blob_key("0" * 64))
    then_s = time.time() + 2 * 86_400.0

    young = {verdict.name: verdict for verdict in examine(store)}
    monkeypatch.setattr(store, "now_s", lambda: then_s)
    old = {verdict.name: verdict for verdict in examine(store)}

    if s3_server.name != "moto":  # which dates every upload 2010
        assert young["unfinished uploads"].mark == "ok"
    assert old["unfinished uploads"].mark == "note"
    assert "1 are older than a day" in old["unfinished uploads"].words
    assert old["clock"].mark == "not ok"


class Proxied:
    """Verdicts of the doctor on moto through a proxy with rules; moto checks no signatures, so headers may go."""

    def __init__(self, moto: Any, prefix: str) -> None:
        self._moto, self._prefix = moto, prefix

    def __call__(self, match: str, action: str) -> dict[str, str]:
        with FaultProxy(self._moto.endpoint) as proxy:
            proxy.rule(match, action)
            client = self._moto.new_client(proxy.url)
            return not_ok(
                S3Store("shelf", self._prefix, client=client, retry_timeout_s=0.5, sleep=lambda pause_s: None)
            )


@pytest.fixture
def sick(moto: Any, prefix: str) -> Proxied:
    return Proxied(moto, prefix)


def test_a_store_that_ignores_conditions_is_refused(sick: Proxied) -> None:
    found = sick("^PUT ", "ignore_conditions")

    assert set(found) == {"conditional create", "conditional replace"}
    assert "If-None-Match is ignored" in found["conditional create"]
    assert "If-Match is ignored" in found["conditional replace"]


@pytest.mark.parametrize(
    ("match", "action", "name", "words"),
    [
        ("^(GET|HEAD) .*absent", "403", "missing objects", "s3:ListBucket"),
        ("^GET .*list-type", "403", "listing", "access is denied"),
        ("^DELETE .*leases", "403", "deleting", "access is denied"),
        ("^PUT .*target", "403", "copying", "access is denied"),
        ("^POST .*uploads", "403", "big objects", "access is denied"),
    ],
)
def test_a_right_that_a_run_needs_and_lacks_is_named(
    sick: Proxied, match: str, action: str, name: str, words: str
) -> None:
    assert words in sick(match, action)[name]


def test_rights_that_only_garbage_collection_needs_are_a_note(moto: Any, prefix: str) -> None:
    with FaultProxy(moto.endpoint) as proxy:
        proxy.rule("^DELETE .*(blobs|trash|checkpoints)/(?!.*uploadId)", "403")
        store = S3Store("shelf", prefix, client=moto.new_client(proxy.url))
        verdicts = {verdict.name: verdict for verdict in examine(store)}

    assert verdicts["garbage"].mark == "note"
    assert "infra/iam_policy_gc.json" in verdicts["garbage"].words
    assert [verdict.name for verdict in verdicts.values() if verdict.mark == "not ok"] == []


def doctor(*arguments: str, **environment: Any) -> subprocess.CompletedProcess[str]:
    return run_job("doctor.py", *arguments, **environment)


def test_the_program_ends_with_0_1_or_4(moto: Any, tmp_path: Path, prefix: str) -> None:
    well = doctor(str(tmp_path))
    assert (well.returncode, well.stderr) == (0, "")
    assert "ok      conditional create: one of 8 writers at once wins" in well.stdout
    with FaultProxy(moto.endpoint) as proxy:
        proxy.rule("^PUT ", "ignore_conditions")
        sick = doctor(f"s3://shelf/{prefix}", **{**moto.environment, "AWS_ENDPOINT_URL_S3": proxy.url})
    assert sick.returncode == 1
    assert "not ok  conditional create: If-None-Match is ignored" in sick.stdout
    assert doctor("s3://no-such-bucket/x", **moto.environment).returncode == 1
    assert doctor("gs://bucket/x").returncode == 4
    assert doctor().returncode == 4
