"""Log events: one line of JSON for each stage, retry, restart, death and decision.

Events go through the standard `logging`, under the name of the module that sends them. Nothing is
written until `start_recording` attaches a file or a stream, so tests and users of the library see none.

    {"at": "2026-01-02T03:04:05.678Z", "level": "info", "logger": "dreamfoundry.run.scheduling.scheduler",
     "event": "field_stored", "worker": "distiller-0", "field_key": "5f…", "seconds": 31.2}

A module of a floor that does not know this one sends the same with `logging` alone, its fields in
`extra={"event_fields": …}`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

ROOT = "dreamfoundry"
"""The logger above all modules of this package."""

SWITCH = "DREAMFOUNDRY_LOG_EVENTS"
"""The environment variable that turns log events off everywhere when it is "off"."""

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039 never changed in place


@runtime_checkable
class LineStream(Protocol):
    """A stream of text: sys.stderr, a file, or memory."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


def log_event(logger: logging.Logger, event: str, level: int = logging.INFO, **fields: object) -> None:
    """Send one event with its fields; those that are None are left out."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"event_fields": fields})


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add `fields` to every event of this thread within a `with`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class JsonLineFormatter(logging.Formatter):
    """Formats a record as one line of JSON with the fields of its process, its thread and its own; times are UTC."""

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._fields = fields or {}

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields = {**self._fields, **_context.get(), **getattr(record, "event_fields", {})}
        line |= {name: _rounded(value) for name, value in fields.items() if value is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _EventFile(logging.FileHandler):
    """A file of events. When its disk is full a line on standard error says so, once: the run matters more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (named by logging)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        sys.stderr.write(f"warning: no more log events in {self.baseFilename}: {error.strerror}\n")
        if self.stream is not None:
            with suppress(OSError):
                self.stream.close()
        self.stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 closed with the handler


def start_recording(
    file: Path | None = None, stream: LineStream | None = None, fields: Mapping[str, object] | None = None
) -> Callable[[], None]:
    """Write events to the end of `file` and to `stream`, with `fields` in each; returns the function that ends it.

    Several processes of one machine may share the file: a line is written by one call.
    """
    handlers: list[logging.Handler] = []
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_EventFile(file, mode="a", encoding="utf-8", delay=True))
    if stream is not None:
        handlers.append(logging.StreamHandler(stream))

    root = logging.getLogger(ROOT)
    before = (root.level, root.propagate)
    if handlers:
        root.setLevel(logging.INFO)
        root.propagate = False  # a library that configures the root logger would print each event once more
    for handler in handlers:
        handler.setFormatter(JsonLineFormatter(fields))
        root.addHandler(handler)

    def end() -> None:
        root.setLevel(before[0])
        root.propagate = before[1]
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()

    return end


@contextmanager
def recording(file: Path | None = None, stream: LineStream | None = None) -> Iterator[None]:
    """Write events as `start_recording` does, within a `with`; nothing if both are None."""
    end = start_recording(file, stream)
    try:
        yield
    finally:
        end()


def is_enabled() -> bool:
    """False where the environment has switched log events off."""
    return os.environ.get(SWITCH, "") != "off"


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
