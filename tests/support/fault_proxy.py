"""A proxy in front of an S3 server that does harm on request.

It runs in a thread of the test and forwards every request untouched, so signatures stay valid,
unless a rule matches its request line.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACTIONS = (
    "503",  # in place of the server's answer, with the code in `_REFUSALS`
    "400",
    "403",
    "expired",
    "409",
    "reset_before",  # the connection breaks before the server hears of it
    "reset_after",  # the server has done it, the answer is lost
    "alter_body",  # one bit of what is sent arrives turned
    "cut_body",  # only half of what is sent arrives, and says so
    "cut_answer",  # half of the answer, then the connection breaks
    "alter_answer",  # one bit of what comes back is turned
    "opaque_etag",  # etags that are no MD5, as of encrypted buckets
    "ignore_conditions",  # If-None-Match and If-Match never arrive
)
_REFUSALS = {
    "503": (503, "SlowDown"),
    "409": (409, "ConditionalRequestConflict"),
    "403": (403, "AccessDenied"),
    "400": (400, "BadDigest"),
    "expired": (400, "ExpiredToken"),
}


@dataclass
class Rule:
    """Do `action` to a share of the next requests whose line ("PUT /bucket/key?query") matches `match`.

    `times` at most; which of them is drawn at random, by a seed.
    """

    match: str
    action: str
    times: int = 1_000_000
    share: float = 1.0


class FaultProxy:
    """Use as a context manager; clients speak to `url`. Every request takes `delay_s` longer."""

    def __init__(self, upstream: str, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.rules: list[Rule] = []
        self.done: list[tuple[str, str]] = []
        """(request line, action) of every fault, in order."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        """(request line, headers) of everything that was asked."""
        self.answers: list[tuple[str, int]] = []
        """(request line, status) of every answer of the server, whether or not it arrived."""
        self._upstream = upstream.removeprefix("http://")
        self._random = random.Random(0)
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rule(self, match: str, action: str, times: int = 1_000_000, share: float = 1.0) -> None:
        assert action in ACTIONS, action
        self.rules.append(Rule(match, action, times, share))

    def action_for(self, line: str, headers: Mapping[str, str]) -> str:
        """The action of the first rule that matches and is not used up, "" for none."""
        with self._lock:
            self.requests.append((line, dict(headers)))
            for rule in self.rules:
                if rule.times and re.search(rule.match, line) and self._random.random() < rule.share:
                    rule.times -= 1
                    self.done.append((line, rule.action))
                    return rule.action
        return ""

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[Any], bytes]:
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            upstream.request(method, path, body, headers)
            answer = upstream.getresponse()
            self.answers.append((f"{method} {path}", answer.status))
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultProxy

    def log_message(self, *_: object) -> None:
        """Not on the terminal of the tests."""

    def _serve(self) -> None:
        time.sleep(self.owner.delay_s)
        action = self.owner.action_for(f"{self.command} {self.path}", dict(self.headers))
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if action == "reset_before":
            return self._reset()
        if action in _REFUSALS:
            return self._refuse(*_REFUSALS[action])

        # Faults on the way to the store.
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        if action == "ignore_conditions":
            headers = {n: value for n, value in headers.items() if n.lower() not in ("if-none-match", "if-match")}
        if action == "alter_body":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if action == "cut_body":
            body = body[: len(body) // 2]
            headers = {n: str(len(body)) if n.lower() == "content-length" else v for n, v in headers.items()}

        status, answer_headers, answer = self.owner.forward(self.command, self.path, headers, body)
        if action == "reset_after":
            return self._reset()
        if action == "alter_answer":
            answer = answer[:-1] + bytes([answer[-1] ^ 1])

        self.send_response_only(status)
        for name, value in answer_headers:
            if name.lower() == "etag" and action == "opaque_etag":
                value = f'"{"opaque" + value.strip(chr(34))[:20]}"'
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = dict((name.lower(), value) for name, value in answer_headers).get("content-length", str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
        self.end_headers()

        if action == "cut_answer":
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            return self._reset()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 http.server looks these up

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
