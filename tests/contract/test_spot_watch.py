"""The spot watcher against a metadata service that speaks HTTP as the real one does (IMDSv2)."""

from __future__ import annotations

import importlib.util
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import InfrastructureError
from support.processes import wait_until

PROGRAM = Path(__file__).parents[2] / "infra" / "spot_watch.py"


@pytest.fixture(scope="module")
def spot_watch() -> Any:
    spec = importlib.util.spec_from_file_location("spot_watch", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["spot_watch"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


class Announcements(list[Any]):
    """Remembers the notices; the first `refusals` of them cannot be announced."""

    refusals = 0

    def __call__(self, notice: Any) -> str:
        if self.refusals:
            self.refusals -= 1
            raise InfrastructureError("the head does not answer")
        self.append(notice)
        return f"draining for {notice.what}"


@pytest.fixture
def announcements(spot_watch: Any, metadata_service: Any) -> Iterator[Announcements]:
    """The announcements of a watcher that asks all the time."""
    made, stop = Announcements(), threading.Event()
    watcher = threading.Thread(
        target=spot_watch.watch, args=(spot_watch.Metadata(metadata_service.url), made, stop, 0.02)
    )
    watcher.start()
    yield made
    stop.set()
    watcher.join()


def let_it_ask(service: Any, times: int = 10) -> None:
    asked = service.num_questions
    wait_until(lambda: service.num_questions >= asked + times, "it asks")


ACTION = {"action": "terminate", "time": "2030-01-02T03:04:05Z"}
DEADLINE_AT_S = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


def test_a_notice_is_announced_once_with_its_time(metadata_service: Any, announcements: Announcements) -> None:
    let_it_ask(metadata_service)
    assert announcements == []
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: announcements, "the notice is announced")
    let_it_ask(metadata_service)
    assert [(notice.what, notice.deadline_at_s) for notice in announcements] == [("spot terminate", DEADLINE_AT_S)]


def test_a_recommendation_comes_without_a_deadline_and_a_notice_after_it_with_one(
    metadata_service: Any, announcements: Announcements
) -> None:
    metadata_service.documents["events/recommendations/rebalance"] = {"noticeTime": "2030-01-02T03:00:00Z"}
    wait_until(lambda: announcements, "the recommendation is announced")
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: len(announcements) == 2, "the notice is announced")
    assert [notice.deadline_at_s for notice in announcements] == [math.inf, DEADLINE_AT_S]


def test_an_expired_token_is_renewed(metadata_service: Any, announcements: Announcements) -> None:
    let_it_ask(metadata_service)
    metadata_service.token = "second"
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: announcements, "the notice is announced")


def test_errors_of_the_service_are_survived_and_logged_once(
    metadata_service: Any, announcements: Announcements, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata_service.is_away = True
    let_it_ask(metadata_service)
    metadata_service.is_away = False
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: announcements, "the notice is announced")
    logged = capsys.readouterr().out.splitlines()
    assert len([line for line in logged if "cannot be asked" in line and "503" in line]) == 1
    assert len([line for line in logged if "draining for spot terminate" in line]) == 1


def test_a_document_that_cannot_be_understood_is_an_error_like_any_other(
    metadata_service: Any, announcements: Announcements
) -> None:
    metadata_service.documents["spot/instance-action"] = {"action": "terminate", "time": "soon"}
    let_it_ask(metadata_service)
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: announcements, "the notice is announced")


def test_a_notice_that_could_not_be_announced_is_tried_again(
    metadata_service: Any, announcements: Announcements
) -> None:
    announcements.refusals = 2
    metadata_service.documents["spot/instance-action"] = ACTION
    wait_until(lambda: announcements, "the notice is announced")
    assert announcements.refusals == 0


def test_sigterm_ends_the_program_with_0(metadata_service: Any) -> None:
    command = [sys.executable, str(PROGRAM), "--address", "127.0.0.1:1", "--metadata-url", metadata_service.url]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: metadata_service.num_questions, "it asks")
        program.send_signal(signal.SIGTERM)
        output, _ = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == 0
    assert f"watching {metadata_service.url}" in output
