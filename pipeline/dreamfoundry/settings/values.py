"""Ramps over a run, ranges, and the refusal of impossible values."""

from __future__ import annotations

from dataclasses import dataclass

from dreamfoundry.errors import ConfigError

Range = tuple[float, float]
"""Lowest and highest value."""


def require(condition: bool, key: str, value: object, rule: str) -> None:
    """Refuse `value` of `key` unless `condition`; `rule` says what would work."""
    if not condition:
        raise ConfigError(f"{key} = {value!r}: {rule}")


@dataclass(frozen=True)
class Ramp:
    """A number that moves linearly from `start` to `end` between two fractions of the run."""

    start: float
    """Value up to `from_fraction` of the steps."""

    end: float
    """Value from `until_fraction` of the steps on."""

    from_fraction: float = 0.0
    """Fraction of the steps at which it begins to move, in [0, 1)."""

    until_fraction: float = 1.0
    """Fraction of the steps at which it has arrived, in (0, 1]."""

    def __post_init__(self) -> None:
        require(
            0.0 <= self.from_fraction < self.until_fraction <= 1.0,
            "from_fraction, until_fraction",
            (self.from_fraction, self.until_fraction),
            "must be fractions of the run, 0 <= from < until <= 1",
        )

    def at(self, progress: float) -> float:
        """Value at `progress` in [0, 1] of the steps."""
        share = (progress - self.from_fraction) / (self.until_fraction - self.from_fraction)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def constant(value: float) -> Ramp:
    """A ramp that stays at `value`; recipes write it as a plain number."""
    return Ramp(value, value)
