"""Leases: one owner at a time, takeover after the end, counters that survive every owner."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dreamfoundry.errors import LeaseLost
from dreamfoundry.library.leases import LONGEST_TTL_S, Leases, lease_key
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.run.scheduling.timeouts import LONGEST_LEASE_S

KEY = "ab" * 32


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(tmp_path: Path, clock: Clock) -> Leases:
    return Leases(DirectoryStore(tmp_path), clock)


def test_a_free_key_is_taken_for_a_while(leases: Leases) -> None:
    lease = leases.acquire(KEY, "one", ttl_s=60.0)

    assert lease is not None
    assert (lease.owner, lease.epoch, lease.deaths) == ("one", 1, 0)
    assert lease.expires_at_s == 1060.0
    assert leases.read(KEY) == lease


def test_nobody_takes_a_key_that_is_held(leases: Leases) -> None:
    leases.acquire(KEY, "one", ttl_s=60.0)

    assert leases.acquire(KEY, "two", ttl_s=60.0) is None
    assert leases.acquire(KEY, "one", ttl_s=60.0) is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"schema": "lease.v9"}'])
def test_a_lease_that_cannot_be_read_is_free_and_later_than_all_before_it(
    tmp_path: Path, leases: Leases, data: bytes
) -> None:
    DirectoryStore(tmp_path).put(lease_key(KEY), data, "application/json")

    lease = leases.acquire(KEY, "one", ttl_s=60.0)

    assert lease is not None
    assert (lease.owner, lease.deaths) == ("one", 0)
    assert lease.epoch == 1000, "seconds of the clock: more than anybody has counted"
    assert leases.acquire(KEY, "two", ttl_s=60.0) is None


@pytest.mark.parametrize(("ahead_s", "is_free"), [(0.0, False), (3000.0, False), (30 * 86_400.0, True)])
def test_a_lease_of_a_clock_that_was_far_ahead_is_free(
    leases: Leases, clock: Clock, ahead_s: float, is_free: bool
) -> None:
    clock.now_s += ahead_s
    leases.acquire(KEY, "one", ttl_s=60.0)
    clock.now_s -= ahead_s

    lease = leases.acquire(KEY, "two", ttl_s=60.0)

    assert (lease is not None) == is_free
    assert LONGEST_LEASE_S <= LONGEST_TTL_S, "no lease of a run is taken for one"


def test_an_expired_lease_is_taken_over_with_the_next_epoch(leases: Leases, clock: Clock) -> None:
    leases.acquire(KEY, "one", ttl_s=60.0)
    clock.now_s += 60.0

    lease = leases.acquire(KEY, "two", ttl_s=60.0)

    assert lease is not None
    assert (lease.owner, lease.epoch) == ("two", 2)


def test_renewing_keeps_others_out(leases: Leases, clock: Clock) -> None:
    lease = leases.acquire(KEY, "one", ttl_s=60.0)
    assert lease is not None
    clock.now_s += 40.0

    renewed = leases.renew(lease, ttl_s=60.0)
    clock.now_s += 40.0

    assert leases.acquire(KEY, "two", ttl_s=60.0) is None
    assert renewed.epoch == lease.epoch


def test_an_owner_who_woke_up_too_late_learns_that_the_lease_is_lost(leases: Leases, clock: Clock) -> None:
    slept = leases.acquire(KEY, "one", ttl_s=60.0)
    assert slept is not None
    clock.now_s += 100.0
    taken = leases.acquire(KEY, "two", ttl_s=60.0)

    with pytest.raises(LeaseLost, match="epoch 1"):
        leases.renew(slept, ttl_s=60.0)
    leases.release(slept, deaths=7)

    assert leases.read(KEY) == taken


def test_deaths_survive_owners_releases_and_takeovers(leases: Leases, clock: Clock) -> None:
    first = leases.acquire(KEY, "one", ttl_s=60.0)
    assert first is not None
    leases.renew(first, ttl_s=60.0, deaths=first.deaths + 1)
    clock.now_s += 100.0
    second = leases.acquire(KEY, "two", ttl_s=60.0)
    assert second is not None
    leases.release(second, deaths=second.deaths + 1)

    third = leases.acquire(KEY, "three", ttl_s=60.0)

    assert third is not None
    assert (third.epoch, third.deaths) == (3, 2)


def test_a_released_key_is_free_at_once(leases: Leases) -> None:
    lease = leases.acquire(KEY, "one", ttl_s=60.0)
    assert lease is not None
    leases.release(lease)

    assert leases.acquire(KEY, "two", ttl_s=60.0) is not None


def test_a_forgotten_key_starts_anew(leases: Leases) -> None:
    lease = leases.acquire(KEY, "one", ttl_s=60.0)
    assert lease is not None
    leases.release(lease, deaths=2)
    leases.forget(KEY)

    assert leases.read(KEY) is None
    fresh = leases.acquire(KEY, "two", ttl_s=60.0)
    assert fresh is not None
    assert (fresh.epoch, fresh.deaths) == (1, 0)


@pytest.mark.parametrize("expired", [False, True])
def test_of_eight_who_want_one_key_exactly_one_gets_it(leases: Leases, clock: Clock, expired: bool) -> None:
    if expired:
        leases.acquire(KEY, "before", ttl_s=60.0)
        clock.now_s += 60.0

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: leases.acquire(KEY, f"owner {number}", ttl_s=60.0), range(8)))

    winners = [lease for lease in got if lease is not None]
    assert len(winners) == 1
    assert leases.read(KEY) == winners[0]
