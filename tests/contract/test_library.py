"""A library in any store: blobs, one outcome per key, fields, named views."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dreamfoundry.errors import LeaseLost, ObjectCorrupt, ObjectMissing
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import Library, outcome_from_json, outcome_key, outcome_to_json
from dreamfoundry.library.views import has_view, views, write_view
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import BlobRef, Outcome


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "asset_key": "ab" * 32,
        "field_key": "cd" * 32,
        "prompt_id": "row-1",
        "prompt": "a réd chair",
        "state": "published",
        "slug": "a_red_chair",
        "scores": {"height_m": 1.0},
        "provenance": {"run_id": "r1", "optimize_s": 3.5},
    }
    return Outcome(**{**values, **changes})


def test_a_blob_is_named_by_its_content_and_checked_when_read(store: ObjectStore) -> None:
    library = Library(store)
    ref = library.put_blob(b"mesh", "model/gltf-binary")

    assert library.put_blob(b"mesh", "model/gltf-binary") == ref
    assert library.get_blob(ref) == b"mesh"
    (key,) = store.list("blobs/")
    store.put(key, b"mash", "model/gltf-binary")
    with pytest.raises(ObjectCorrupt, match="SHA-256"):
        library.get_blob(ref)


def test_of_eight_who_want_a_lease_one_gets_it_and_keeps_it_by_renewing(store: ObjectStore) -> None:
    leases = Leases(store)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: leases.acquire("ab" * 32, f"owner {number}", ttl_s=60.0), range(8)))
        (lease,) = [lease for lease in got if lease is not None]
        others = [pool.submit(leases.acquire, "ab" * 32, f"late {number}", 60.0) for number in range(8)]
        for deaths in range(1, 6):
            lease = leases.renew(lease, ttl_s=60.0, deaths=deaths)

    assert [other.result() for other in others] == [None] * 8
    assert leases.read("ab" * 32) == lease
    assert (lease.epoch, lease.deaths) == (1, 5)


def test_of_eight_renewals_of_one_lease_one_stands_and_the_rest_learn_that_it_is_lost(store: ObjectStore) -> None:
    leases = Leases(store)
    lease = leases.acquire("ab" * 32, "owner", ttl_s=60.0)
    assert lease is not None

    def renew(deaths: int) -> int:
        try:
            return leases.renew(lease, ttl_s=60.0, deaths=deaths).deaths
        except LeaseLost:
            return 0

    with ThreadPoolExecutor(8) as pool:
        stood = [deaths for deaths in pool.map(renew, range(1, 9)) if deaths]

    standing = leases.read("ab" * 32)
    assert standing is not None
    assert stood == [standing.deaths]


def test_the_first_outcome_of_a_key_stands(store: ObjectStore) -> None:
    library = Library(store)
    glb, snapshot = library.put_blob(b"mesh", "model/gltf-binary"), library.put_blob(b"field", "x/y")
    first = outcome(files={"a.glb": glb}, snapshot=snapshot)

    assert library.publish(first)
    assert not library.publish(outcome(provenance={"run_id": "r2"}))
    assert library.get_outcome(first.asset_key) == first
    assert library.get_outcome("ff" * 32) is None
    assert set(library.decided()) == {first.asset_key}


def test_a_quarantined_outcome_can_be_retried_once(store: ObjectStore) -> None:
    library = Library(store)
    given_up = outcome(state="quarantined", failure_class="empty", message="nothing to see")
    library.publish(given_up)

    assert list(library.quarantined("empty")) == [given_up]
    assert list(library.quarantined("diverged")) == []
    assert library.publish(outcome(), instead_of=given_up)
    assert not library.publish(outcome(provenance={"run_id": "late"}), instead_of=given_up)
    assert library.get_outcome(given_up.asset_key) == outcome()


def test_a_published_outcome_is_never_replaced(store: ObjectStore) -> None:
    library = Library(store)
    library.publish(outcome())

    assert not library.publish(outcome(state="quarantined"), instead_of=outcome())
    assert library.get_outcome("ab" * 32) == outcome()


def test_outcomes_come_back_by_ascending_key(store: ObjectStore) -> None:
    library = Library(store)
    for key in ("cc" * 32, "aa" * 32, "bb" * 32):
        library.publish(outcome(asset_key=key))

    assert [found.asset_key[:2] for found in library.outcomes()] == ["aa", "bb", "cc"]


def test_the_first_outcome_that_cannot_be_read_is_named(store: ObjectStore) -> None:
    library = Library(store)
    library.publish(outcome(asset_key="aa" * 32))
    store.put(outcome_key("bb" * 32), b"{", "application/json")

    found = library.outcomes()
    with pytest.raises(ObjectCorrupt, match=outcome_key("bb" * 32)):
        list(found)


def test_the_first_snapshot_of_a_field_stands(store: ObjectStore) -> None:
    library = Library(store)
    first, second = library.put_blob(b"first", "x/y"), library.put_blob(b"second", "x/y")

    assert library.find_field("cd" * 32) is None
    assert library.record_field("cd" * 32, first) == first
    assert library.record_field("cd" * 32, second) == first
    assert library.find_field("cd" * 32) == first


def test_a_snapshot_that_is_missing_is_not_recorded(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="store it again"):
        Library(store).record_field("cd" * 32, BlobRef("0" * 64, 1, "x/y"))
    assert Library(store).find_field("cd" * 32) is None


def test_a_named_view_is_pointed_at_and_can_be_written_again(store: ObjectStore) -> None:
    library = Library(store)
    glb = library.put_blob(b"mesh", "model/gltf-binary")
    published = outcome(files={"a_red_chair.glb": glb})
    newer = outcome(asset_key="ef" * 32, files={"a_red_chair.glb": glb})

    for shown in (published, published, newer):
        write_view(library, shown)
    write_view(library, newer, "row-2")

    assert store.get(f"assets/row-1/{'ab' * 32}/a_red_chair.glb") == b"mesh"
    assert b"efefef" in store.get("assets/row-1/latest.json")
    assert set(views(library)) == {("row-1", "ab" * 32), ("row-1", "ef" * 32), ("row-2", "ef" * 32)}
    assert has_view(library, "row-2", "ef" * 32)
    assert not has_view(library, "row-2", "ab" * 32)


def test_a_view_whose_files_are_missing_is_neither_listed_nor_pointed_at(store: ObjectStore) -> None:
    library = Library(store)
    absent = BlobRef("0" * 64, 1, "model/gltf-binary")

    with pytest.raises(ObjectMissing):
        write_view(library, outcome(files={"a_red_chair.glb": absent}))

    assert list(views(library)) == []
    assert not has_view(library, "row-1", "ab" * 32)
    assert not store.exists("assets/row-1/latest.json")


def break_state(data: bytes) -> bytes:
    return data.replace(b'"published"', b'"lost"')


def add_key(data: bytes) -> bytes:
    return data.replace(b"{", b'{"surprise":1,', 1)


def change_version(data: bytes) -> bytes:
    return data.replace(b"outcome.v1", b"outcome.v2")


def drop_slug(data: bytes) -> bytes:
    return data.replace(b',"slug":"a_red_chair"', b"")


@pytest.mark.parametrize("damage", [break_state, add_key, change_version, drop_slug, lambda data: data[:-1]])
def test_an_outcome_that_says_anything_else_is_refused(damage: Callable[[bytes], bytes]) -> None:
    written = outcome_to_json(outcome())

    assert outcome_from_json(written) == outcome()
    assert damage(written) != written
    with pytest.raises(ObjectCorrupt, match=r"outcome\.v1"):
        outcome_from_json(damage(written))


def test_an_outcome_with_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"scores\.height_m = nan"):
        outcome_to_json(outcome(scores={"height_m": float("nan")}))


def test_a_missing_object_keeps_its_message_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ObjectMissing("'k' is not in the library")))

    assert str(error) == "'k' is not in the library"
