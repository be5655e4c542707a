"""Size on the screen that a level is good for, and the levels that are worth a file of their own.

A level may be shown while its largest distance to the dense surface is below a pixel. Distances are shares of the
diagonal of its bounding box, so that is so while the diagonal covers at most 1 / distance pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

SCREEN_HEIGHT_PX = 1080
"""Height of the screen that `screen_size` is a share of."""

MAX_SCREEN_SIZE = 10.0
"""The largest that is told: nothing is looked at from nearer."""

STEP_SHARE = 0.8
"""A level is good for at most this share of the size of the level before it: engines want sizes that fall."""


def screen_px(errors: Sequence[float]) -> list[float]:
    """Pixels that the diagonal may cover with each level, finest first, from the largest distance of each.

    They fall from level to level, at least by `STEP_SHARE`.
    """
    sizes: list[float] = []
    for error in errors:
        limit = STEP_SHARE * sizes[-1] if sizes else MAX_SCREEN_SIZE * SCREEN_HEIGHT_PX
        sizes.append(min(limit, 1.0 / max(error, 1e-9)))
    return sizes


def worthwhile(errors: Sequence[float]) -> list[int]:
    """Numbers of the levels that earn their place, finest first, from the largest distance of each.

    A level does not where a coarser one is good for nearly the same size, or a larger one: it would be shown hardly
    ever. The finest always stays, since it is what is shown from near.
    """
    kept: list[int] = []
    for number in range(len(errors) - 1, 0, -1):
        if not kept or errors[number] < STEP_SHARE * errors[kept[-1]]:
            kept.append(number)
    return [0, *reversed(kept)]
