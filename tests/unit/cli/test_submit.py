"""`dreamfoundry submit`: everything after -- is the command of the job."""

from __future__ import annotations

from typing import Any

import pytest

from dreamfoundry.cli.main import run
from dreamfoundry.run.ray import job


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the function that submits."""
    calls: list[Any] = []

    def keep(address: str, command: Any, **options: str) -> str:
        calls.append((address, list(command), options))
        return "night-1"

    monkeypatch.setattr(job, "submit", keep)
    monkeypatch.setattr(job, "follow", lambda *_: 3)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return calls


def test_flags_behind_the_dashes_belong_to_the_job_and_its_exit_code_comes_back(submitted: list[Any]) -> None:
    line = "submit --address http://head:1 --working-dir . --submission-id n -- python b.py m --slots 4 --no-wait"
    assert run(line.split()) == 3
    command = ["python", "b.py", "m", "--slots", "4", "--no-wait"]
    assert submitted == [("http://head:1", command, {"working_dir": ".", "submission_id": "n"})]


def test_without_waiting_the_name_is_all(submitted: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["submit", "--no-wait", "--", "true"]) == 0
    assert capsys.readouterr().out == "submitted night-1\n"


def test_the_address_of_ray_is_used(submitted: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://there:2")
    run(["submit", "--no-wait", "--", "true"])
    assert submitted[0][0] == "http://there:2"


def test_no_command_is_refused() -> None:
    assert run(["submit"]) == 4
