"""Exit codes of a run and of every command, by how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

RunStatus = Literal["complete", "failed", "partial", "refused", "drained", "delegated"]

EXIT_CODES: Mapping[RunStatus, int] = {
    "complete": 0,
    "failed": 1,
    "partial": 3,
    "refused": 4,
    "drained": 75,
    "delegated": 75,
}
"""complete: every row is published. failed: infrastructure or a bug. partial: some rows are
quarantined or lost. refused: manifest, configuration or command line; nothing was started. drained:
stopped on request, run again. delegated: another run holds the rest; run again to see."""
