"""Leases of a run: held, renewed, lost, and the decisions of other runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Prompt
from dreamfoundry.run.lease_keeper import LeaseKeeper
from dreamfoundry.run.messages import Build, Decision, Failure
from dreamfoundry.run.outcomes import quarantined_outcome
from dreamfoundry.run.scheduling.field_job import Claim
from dreamfoundry.settings.export_profiles import ExportProfile
from support.tiny_distiller import RECIPE


def test_a_lease_is_held_against_others_while_a_run_lasts_and_keeps_its_charges_afterwards(tmp_path: Path) -> None:
    url = str(tmp_path)
    with LeaseKeeper(url, "first", ttl_s=60.0) as ours, LeaseKeeper(url, "second", ttl_s=60.0) as theirs:
        assert ours.claim("field") == Claim(deaths=0, epoch=1)
        ours.charge("field", 2)
        assert theirs.claim("field") is None
    with LeaseKeeper(str(tmp_path), "third", ttl_s=60.0) as later:
        assert later.claim("field") == Claim(deaths=2, epoch=2)
        later.forget("field")
    assert Leases(DirectoryStore(tmp_path)).read("field") is None


def test_leases_are_renewed_while_the_driver_does_something_else(tmp_path: Path) -> None:
    ttl_s = 0.6
    with LeaseKeeper(str(tmp_path), "first", ttl_s=ttl_s) as ours:
        ours.claim("field")
        lease = Leases(DirectoryStore(tmp_path)).read("field")
        assert lease is not None
        for _ in range(100):
            renewed = Leases(DirectoryStore(tmp_path)).read("field")
            if renewed is not None and renewed.expires_at_s > lease.expires_at_s:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the lease was never renewed")
        with LeaseKeeper(str(tmp_path), "second", ttl_s=ttl_s) as theirs:
            assert theirs.claim("field") is None


def test_a_decided_field_leaves_neither_lease_nor_checkpoint(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    Checkpoints(store).save("field", 1, 5, b"any")
    with LeaseKeeper(str(tmp_path), "first", ttl_s=60.0) as ours:
        ours.claim("field")
        ours.forget("field")
    assert list(store.list()) == []


def test_a_run_learns_that_somebody_else_has_taken_its_field(tmp_path: Path) -> None:
    asleep = LeaseKeeper(str(tmp_path), "asleep", ttl_s=0.0)  # never entered: nothing renews
    asleep.claim("field")
    with LeaseKeeper(str(tmp_path), "awake", ttl_s=60.0) as awake:
        assert awake.claim("field") == Claim(deaths=0, epoch=2)
        asleep.charge("field", 1)
        assert set(asleep.lost()) == {"field"}
        assert set(asleep.lost()) == set()


def test_what_another_run_gave_up_is_known_with_its_class(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    claims = LeaseKeeper(str(tmp_path), "ours", ttl_s=60.0)
    assert claims.standing(build.asset_key) is None

    library.publish(quarantined_outcome(build, Failure("flat", "thin as paper"), 1, {}))
    assert claims.standing(build.asset_key) == Decision("quarantined", Failure("flat", "thin as paper"), is_ours=False)
