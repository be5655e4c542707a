"""Whatever stands in a manifest, it never becomes a path outside its place, nor a header of a request."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dreamfoundry.errors import RowError, StoreUnavailable
from dreamfoundry.identity import slug
from dreamfoundry.library.library import Library
from dreamfoundry.library.views import write_view
from dreamfoundry.manifest.row import prompt_from_row
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.protocol import require_key
from dreamfoundry.object_store.s3.store import S3Store
from dreamfoundry.records import Outcome

TEXT = "text/plain"
HOSTILE = [
    "../../etc/passwd",
    "a/../../b",
    "..",
    ".",
    "",
    "a\r\nx-amz-acl: public-read",
    "a\x00b",
    "%2e%2e%2f",
    "~",
    "C:\\x",
]

anything = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(alphabet="./\\%~\r\n\x00 aZ-_", max_size=40),
)
fuzzed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzzed
@given(prompt_id=anything, text=anything)
def test_a_row_is_refused_or_its_id_is_one_harmless_part_of_a_path(prompt_id: str, text: str) -> None:
    try:
        raw = {
            name: value.encode("utf-8", "surrogatepass") for name, value in (("prompt_id", prompt_id), ("prompt", text))
        }
        prompt = prompt_from_row(raw, 0)
    except RowError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", prompt.prompt_id)
    assert require_key(f"assets/{prompt.prompt_id}/latest.json").count("/") == 2
    assert not re.search(r"[\x00-\x1f\x7f]", prompt.text)


@fuzzed
@given(text=anything)
def test_the_file_name_made_of_a_prompt_has_letters_digits_and_underscores_only(text: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,45}", slug(text))


@fuzzed
@given(key=anything)
@example("a" * 300)
def test_a_key_is_refused_or_lies_inside_the_directory(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    store = DirectoryStore(root / "library")
    try:
        store.put(key, b"x", TEXT)
    except (ValueError, StoreUnavailable):
        written = []
    else:
        written = [key]

    assert [path.name for path in root.iterdir()] == ["library"]
    assert list(store.list()) == written


@fuzzed
@given(prompt_id=anything, name=anything)
def test_a_view_is_refused_or_lies_in_the_folder_of_its_prompt(
    tmp_path_factory: pytest.TempPathFactory, prompt_id: str, name: str
) -> None:
    """Also when an outcome says what no manifest can."""
    store = DirectoryStore(tmp_path_factory.mktemp("fuzz") / "library")
    library = Library(store)
    ref = library.put_blob(b"mesh", TEXT)
    outcome = Outcome("ab" * 32, "cd" * 32, prompt_id or "row", "a chair", "published", files={name: ref})
    with contextlib.suppress(ValueError, StoreUnavailable):
        write_view(library, outcome)
    shown = [key.split("/") for key in store.list() if not key.startswith("blobs/")]

    assert all(parts[0] == "assets" and parts[1] == outcome.prompt_id for parts in shown)
    assert {len(parts) for parts in shown} <= {3, 4}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.sampled_from([*HOSTILE[:1], "a\r\nx-amz-acl: public-read", "ünïcödé", "Set-Cookie: x"])
    | st.text(min_size=4)
)
def test_a_prompt_is_in_no_header_and_in_no_path_of_a_request(moto: Any, prefix: str, text: str) -> None:
    client = moto.new_client()
    asked: list[tuple[str, dict[str, str]]] = []
    client.meta.events.register(
        "before-send.s3", lambda request, **_: asked.append((request.url, dict(request.headers.items())))
    )
    library = Library(S3Store("shelf", prefix, client=client))
    outcome = Outcome("ab" * 32, "cd" * 32, "row-1", text, "published", slug=slug(text), message=text)

    library.publish(outcome)
    write_view(library, outcome)

    assert asked
    for url, headers in asked:
        assert re.fullmatch(rf"{re.escape(moto.endpoint)}/shelf/{prefix}/[A-Za-z0-9/._-]+", url), url
        assert [name for name in headers if name.lower().startswith("x-amz-meta")] == []
        assert {name.lower() for name in headers} <= KNOWN_HEADERS
        own = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "user-agent")}
        assert not any(len(text.strip()) >= 8 and text.strip() in str(value) for value in own.values())


KNOWN_HEADERS = {
    *("content-type", "content-length", "content-md5", "expect", "user-agent", "authorization", "host"),
    *("x-amz-date", "x-amz-content-sha256", "x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm"),
    *("x-amz-checksum-mode", "if-none-match", "if-match", "amz-sdk-invocation-id", "amz-sdk-request"),
    *("x-amz-copy-source", "x-amz-user-agent"),
}


def test_a_file_cannot_hide_in_the_view_of_another_prompt(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    outcome = Outcome("ab" * 32, "cd" * 32, "mine/theirs", "a chair", "published")

    with pytest.raises(ValueError, match="must not contain a slash"):
        write_view(library, outcome)
