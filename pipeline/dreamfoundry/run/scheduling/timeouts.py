"""Time limits of a run."""

from __future__ import annotations

from dataclasses import dataclass

from dreamfoundry.errors import ConfigError

LONGEST_LEASE_S = 3600.0
"""A field whose run has died is not to be blocked for longer."""


@dataclass(frozen=True)
class Limits:
    """Time limits, in seconds. A worker that does not answer within its limit is killed.

    `drain_s` is the most that a run takes from a request to stop to its end. A field whose run has
    died without notice is free for others after `lease_s`; between two checkpoints lie `checkpoint_s`.
    While the store is away for up to `store_s` the run waits, and no prompt is charged for it. Every
    `progress_s` the progress of the run is written into the library.
    """

    slice_s: float = 5.0
    setup_limit_s: float = 900.0
    slice_limit_s: float = 600.0
    export_limit_s: float = 1200.0
    lease_s: float = 120.0
    drain_s: float = 90.0
    checkpoint_s: float = 180.0
    store_s: float = 600.0
    progress_s: float = 60.0

    def __post_init__(self) -> None:
        if self.lease_s > LONGEST_LEASE_S:
            raise ConfigError(f"--limit lease_s={self.lease_s:g}: must be at most {LONGEST_LEASE_S:g} seconds")
