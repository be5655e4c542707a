"""Client of the Chrome DevTools Protocol over the pipes of a process: JSON messages, each ended by a zero byte."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from typing import IO, Any

from dreamfoundry.errors import BrowserUnavailable

SEND_LIMIT_S = 120.0


class DevToolsPipe:
    """Messages to and from one process. Raises BrowserUnavailable when it ends or does not answer in time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._reading, self._writing = _descriptor(process.stdout), _descriptor(process.stdin)
        os.set_blocking(self._writing, False)
        self._received = bytearray()
        self._number = 0

    def send(self, method: str, parameters: Mapping[str, Any], session: str) -> int:
        """Send a command; returns its number, which the answer repeats as "id"."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": dict(parameters)}
        if session:
            message["sessionId"] = session

        data = memoryview(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SEND_LIMIT_S
        try:
            while data:
                if not select.select([], [self._writing], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise BrowserUnavailable("Chromium does not take commands any more")
                data = data[os.write(self._writing, data) :]
        except BrokenPipeError as error:
            raise BrowserUnavailable("Chromium ended") from error
        return self._number

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message; BrowserUnavailable when Chromium ends or `deadline` (monotonic seconds) passes."""
        while (end := self._received.find(b"\0")) < 0:
            left_s = deadline - time.monotonic()
            ready, _, _ = select.select([self._reading], [], [], min(max(left_s, 0.0), 1.0))
            data = os.read(self._reading, 1 << 20) if ready else b""
            if not data and (ready or self._process.poll() is not None):
                raise BrowserUnavailable("Chromium ended")
            if not data and left_s <= 0.0:
                raise BrowserUnavailable("Chromium did not answer in time")
            self._received += data

        message: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise ValueError("the process was started without a pipe")
    return stream.fileno()
