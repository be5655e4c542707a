"""S3 as it is on a bad day: lost answers, races between two tries, throttling, refusals.

Faults are put in at botocore's own hooks: after a request has taken effect, or in place of it.
"""

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.response import StreamingBody

from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.object_store.s3.store import S3Store

TEXT = "text/plain"

NewClient = Callable[..., Any]
NewStore = Callable[..., S3Store]


def after(client: Any, operation: str, faults: list[Exception | None]) -> None:
    """Raise the next fault after an operation has taken effect, as a lost answer does."""

    def lose_answer(**_: Any) -> None:
        fault = faults.pop(0) if faults else None
        if fault is not None:
            raise fault

    client.meta.events.register(f"after-call.s3.{operation}", lose_answer)


def instead(client: Any, operation: str, answers: list[tuple[int, str]]) -> list[int]:
    """Give the next answers in place of the server's; returns the list of those given."""
    given: list[int] = []

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if not answers:
            return None
        status, code = answers.pop(0)
        given.append(status)
        body = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
        response = AWSResponse(request.url, status, {}, None)
        response._content = body
        return response

    client.meta.events.register(f"before-send.s3.{operation}", answer)
    return given


def test_a_create_whose_answer_was_lost_has_won(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    after(client, "PutObject", [ConnectionClosedError(endpoint_url="lost")])
    store = new_s3_store(client)

    assert store.create("k", b"ours", TEXT)
    assert not store.create("k", b"ours", TEXT)


def test_a_replacement_whose_answer_was_lost_has_won(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    store = new_s3_store(client)
    store.put("k", b"old", TEXT)
    _, etag = store.read("k")
    after(client, "PutObject", [ConnectionClosedError(endpoint_url="lost")])

    assert store.replace("k", b"ours", TEXT, etag)


@pytest.mark.parametrize("attempts", [1, 2], ids=["our own retry", "a retry inside botocore"])
def test_04_a_create_that_was_overtaken_between_two_tries_has_lost(
    new_s3_client: NewClient, new_s3_store: NewStore, attempts: int
) -> None:
    client = new_s3_client(attempts=attempts)
    instead(client, "PutObject", [(503, "SlowDown")])
    new_s3_store().put("k", b"theirs", TEXT)
    store = new_s3_store(client)

    assert not store.create("k", b"ours", TEXT)
    assert store.get("k") == b"theirs"


def test_04_a_conflict_is_tried_again(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    given = instead(client, "PutObject", [(409, "ConditionalRequestConflict")] * 3)

    assert new_s3_store(client).create("k", b"ours", TEXT)
    assert given == [409] * 3


def test_throttling_is_sat_out(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    instead(client, "GetObject", [(503, "SlowDown")] * 5)
    pauses_s: list[float] = []
    store = new_s3_store(client, sleep=pauses_s.append)
    store.put("k", b"ours", TEXT)

    assert store.get("k") == b"ours"
    assert len(pauses_s) == 5


def test_a_long_wait_is_told_once_and_so_is_its_end(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    told: list[str] = []
    store = new_s3_store(client, retry_timeout_s=600.0, on_wait=told.append)
    store.put("k", b"ours", TEXT)
    assert told == []

    instead(client, "GetObject", [(503, "SlowDown")] * 12)
    assert store.get("k") == b"ours"
    first, last = told
    assert "SlowDown" in first
    assert "tried again for another" in first
    assert "answers again" in last


def test_throttling_without_end_is_given_up_when_patience_ends(
    new_s3_client: NewClient, new_s3_store: NewStore
) -> None:
    client = new_s3_client()
    instead(client, "GetObject", [(503, "SlowDown")] * 1000)
    pauses_s: list[float] = []

    with pytest.raises(StoreUnavailable, match="SlowDown"):
        new_s3_store(client, sleep=pauses_s.append).get("k")
    assert 15.0 < sum(pauses_s) <= 30.0


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (404, "NoSuchBucket", "make it, or correct the name"),
        (403, "AccessDenied", "the role needs"),
        (400, "ExpiredToken", "refresh them"),
        (501, "NotImplemented", "no conditional writes"),
    ],
)
def test_a_refusal_says_what_to_do(
    new_s3_client: NewClient, new_s3_store: NewStore, status: int, code: str, advice: str
) -> None:
    client = new_s3_client()
    given = instead(client, "PutObject", [(status, code)] * 5)

    with pytest.raises(StoreUnavailable, match=advice):
        new_s3_store(client).create("k", b"", TEXT)
    assert len(given) == 1


def test_a_missing_bucket_is_found_before_any_work(new_s3_client: NewClient) -> None:
    store = S3Store("no-such-bucket", client=new_s3_client())

    with pytest.raises(StoreUnavailable, match=r"s3://no-such-bucket.*make it, or correct the name"):
        store.check()


def test_an_unreachable_server_is_reported_with_advice(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    store = new_s3_store(new_s3_client(endpoint="http://127.0.0.1:9"))

    with pytest.raises(StoreUnavailable, match="AWS_ENDPOINT_URL_S3"):
        store.get("k")


def test_a_body_that_breaks_off_is_read_again(new_s3_client: NewClient, new_s3_store: NewStore) -> None:
    client = new_s3_client()
    store = new_s3_store(client)
    store.put("k", b"whole", TEXT)
    broken = [True]

    def break_off(parsed: dict[str, Any], **_: Any) -> None:
        if broken:
            broken.clear()
            parsed["Body"] = StreamingBody(io.BytesIO(b"who"), 5)

    client.meta.events.register("after-call.s3.GetObject", break_off)

    assert store.get("k") == b"whole"
    assert not broken


def test_a_listing_of_many_pages_is_complete(new_s3_store: NewStore) -> None:
    store = new_s3_store()
    for number in range(5):
        store.put(f"k/{number}", b"", TEXT)

    assert [stat.key for stat in store.stats("k/", page_keys=2)] == [f"k/{number}" for number in range(5)]
