"""Submitting to a Ray head that is not quite there: what it says before its agent runs, and what it never takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import ray

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.run.ray.job import submit


class Head(BaseHTTPRequestHandler):
    """Answers as Ray's head does; `refusals` are what it says to the next submissions, one after the other."""

    refusals: list[str]
    submitted: list[dict[str, Any]]

    def do_GET(self) -> None:
        versions = {"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""}
        self._answer(200, json.dumps(versions))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refusals:
            self._answer(500, self.refusals.pop(0))
            return
        self.submitted.append(asked)
        self._answer(200, json.dumps({"job_id": "night", "submission_id": "night"}))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def head() -> Iterator[tuple[str, type[Head]]]:
    class Own(Head):
        refusals: list[str] = []  # noqa: RUF012 (a handler is made per request, so that its class remembers)
        submitted: list[dict[str, Any]] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Own
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_head_whose_agent_is_not_there_yet_is_asked_again(head: tuple[str, type[Head]]) -> None:
    address, answers = head
    answers.refusals += ["No available agent to submit job, please try again later."]
    assert submit(address, ["python", "build.py", "two words"]) == "night"
    assert [job["entrypoint"] for job in answers.submitted] == ["python build.py 'two words'"]


def test_any_other_refusal_is_final(head: tuple[str, type[Head]]) -> None:
    address, answers = head
    answers.refusals += ["the working_dir is too large"]
    with pytest.raises(InfrastructureError, match=r"was not accepted by http.*the working_dir is too large"):
        submit(address, ["python", "build.py"])
    assert answers.submitted == []
