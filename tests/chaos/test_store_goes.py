"""The store is away, refuses or forgets who we are, in the middle of a run; every prompt survives it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.run.exit_codes import EXIT_CODES, RunStatus
from dreamfoundry.run.scheduling.timeouts import Limits
from support.fault_proxy import FaultProxy
from support.processes import wait_until
from support.runs import reports, running_driver

NUM_STEPS = 300
NAMES = ["one", "two", "three", "four"]
SECRET = "never-to-be-printed"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

StartBehind = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def proxy(s3_url: str) -> Iterator[FaultProxy]:
    """Stands between the drivers and the store; the test itself speaks to the store."""
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"]) as running:
        yield running


@pytest.fixture
def start_behind(
    proxy: FaultProxy, write_manifest: Callable[..., str], ball_recipe_file: Callable[[int], str]
) -> Iterator[StartBehind]:
    """Starts a driver with a Ray of its own behind the proxy; kills what is left of it."""
    manifest = write_manifest(prompt_id=NAMES, prompt=[f"a ball {name}" for name in NAMES])
    variables = {"AWS_ENDPOINT_URL_S3": proxy.url, "AWS_SECRET_ACCESS_KEY": SECRET}
    with contextlib.ExitStack() as stack:

        def start(library: str, *more: str) -> subprocess.Popen[str]:
            recipe = ball_recipe_file(NUM_STEPS)
            return stack.enter_context(running_driver(manifest, library, recipe, "--slots", "2", *more, **variables))

        yield start


def first_published(store: ObjectStore) -> None:
    wait_until(lambda: any(store.list("outcomes/")), "the first asset is published, others are under way", 300.0)


def ended(driver: subprocess.Popen[str], word: RunStatus) -> str:
    output, _ = driver.communicate(timeout=600)
    assert driver.returncode == EXIT_CODES[word], output
    assert SECRET not in output
    return output


def all_published_at_the_first_attempt(store: ObjectStore) -> None:
    outcomes = list(Library(store).outcomes())
    assert [(outcome.state, outcome.tries) for outcome in outcomes] == [("published", 1)] * len(NAMES)
    assert list(Audit(Library(store), silent_s=0.0).defects()) == []


@pytest.mark.parametrize("outage_s", [30.0, 300.0])
def test_28_a_store_that_is_away_for_five_minutes_is_waited_for_and_no_prompt_is_charged(
    start_behind: StartBehind, proxy: FaultProxy, s3_url: str, outage_s: float
) -> None:
    library = f"{s3_url}/outage-{outage_s:.0f}"
    driver = start_behind(library)
    store = open_store(library)
    first_published(store)
    proxy.rule("", "reset_before")
    time.sleep(outage_s)
    proxy.rules.clear()

    output = ended(driver, "complete")
    if outage_s > Limits().progress_s:  # by then the driver has had something to write
        assert "tried again for another" in output
        assert "answers again" in output
    all_published_at_the_first_attempt(store)
    (report,) = reports(store)
    assert report.num_steps == NUM_STEPS * len(NAMES), "no step is made twice"


def test_28_a_store_that_stays_away_ends_the_run_with_its_cause_and_the_same_command_finishes(
    start_behind: StartBehind, proxy: FaultProxy, s3_url: str
) -> None:
    library = f"{s3_url}/gone"
    driver = start_behind(library, "--limit", "store_s=15")
    store = open_store(library)
    first_published(store)
    proxy.rule("", "503")
    output = ended(driver, "failed")
    assert "StoreUnavailable" in output
    assert "the run report could not be written either" in output
    proxy.rules.clear()

    ended(start_behind(library), "complete")
    all_published_at_the_first_attempt(store)


def test_29_credentials_that_expire_end_the_run_with_that_reason_and_no_prompt_is_charged(
    start_behind: StartBehind, proxy: FaultProxy, s3_url: str
) -> None:
    library = f"{s3_url}/expired"
    driver = start_behind(library)
    store = open_store(library)
    first_published(store)
    proxy.rule("", "expired")
    output = ended(driver, "failed")
    assert "the credentials have expired: refresh them and run again" in output
    proxy.rules.clear()

    ended(start_behind(library), "complete")
    all_published_at_the_first_attempt(store)


def test_27_a_whole_run_through_refusals_lost_answers_and_broken_connections_publishes_everything_once(
    start_behind: StartBehind, proxy: FaultProxy, s3_url: str
) -> None:
    proxy.rule("", "503", share=0.10)
    proxy.rule("^PUT", "reset_after", share=0.05)
    proxy.rule("^PUT", "409", share=0.05)
    proxy.rule("^PUT", "alter_body", share=0.02)
    proxy.rule("^GET", "cut_answer", share=0.02)
    ended(start_behind(f"{s3_url}/storm"), "complete")

    store = open_store(f"{s3_url}/storm")
    all_published_at_the_first_attempt(store)
    assert {action for _, action in proxy.done} == {rule.action for rule in proxy.rules}, "each fault has happened"
    (report,) = reports(store)
    assert report.published == len(NAMES)
