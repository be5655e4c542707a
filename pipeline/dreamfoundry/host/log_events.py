"""Log events: one line of JSON for each stage, retry, restart, death and decision.

Events go through the standard `logging`, under the name of the module that sends them. Nothing is
written until `recording` attaches a file or a stream, so tests and users of the library see none.

    {"at": "2026-01-02T03:04:05.678Z", "level": "info", "logger": "dreamfoundry.run.scheduling.scheduler",
     "event": "field_stored", "worker": "distiller-0", "field_key": "5f…", "seconds": 31.2}
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

ROOT = "dreamfoundry"
"""The logger above all modules of this package."""

SWITCH = "DREAMFOUNDRY_LOG_EVENTS"
"""The environment variable that turns log events off everywhere when it is "off"."""

logging.getLogger(ROOT).addHandler(logging.NullHandler())  # without a handler, Python prints warnings to stderr

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039 never changed in place


@runtime_checkable
class LineStream(Protocol):
    """A stream of text: sys.stderr, a file, or memory."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


def log_event(logger: logging.Logger, event: str, level: int = logging.INFO, **fields: object) -> None:
    """Send one event with its fields; those that are None are left out."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"event_fields": {**_context.get(), **fields}})


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add `fields` to every event of this thread within a `with`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class JsonLineFormatter(logging.Formatter):
    """Formats a record as one line of JSON; times are UTC with milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields: Mapping[str, object] = getattr(record, "event_fields", {})
        line |= {name: _rounded(value) for name, value in fields.items() if value is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


@contextmanager
def recording(file: Path | None = None, stream: LineStream | None = None) -> Iterator[None]:
    """Write events to the end of `file` and to `stream` within a `with`; nothing if both are None.

    Several processes of one machine may share the file: a line is written by one call.
    """
    handlers: list[logging.Handler] = []
    if is_enabled() and file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, mode="a", encoding="utf-8"))
    if is_enabled() and stream is not None:
        handlers.append(logging.StreamHandler(stream))

    root = logging.getLogger(ROOT)
    level = root.level
    if handlers:
        root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(JsonLineFormatter())
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def is_enabled() -> bool:
    """False where the environment has switched log events off."""
    return os.environ.get(SWITCH, "") != "off"


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
