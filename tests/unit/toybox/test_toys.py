"""Toys fit their sphere, and their surface points lie on the surface."""

import pytest

from dreamfoundry.toybox.captions import KINDS
from dreamfoundry.toybox.parts import PARTS
from dreamfoundry.toybox.toys import TOY_RADIUS, toy


@pytest.mark.parametrize("kind", KINDS)
def test_every_toy_fits_its_sphere_and_its_surface_points_lie_on_it(kind: str) -> None:
    points = toy(kind).surface_points(500)

    assert len(points) == 500
    assert toy(kind).distance(points).abs().max() < 3e-3
    assert TOY_RADIUS * 0.9 < points.norm(dim=-1).max() < TOY_RADIUS * 1.02


def test_every_kind_of_the_captions_has_parts_and_another_is_refused() -> None:
    assert list(PARTS) == list(KINDS)

    with pytest.raises(ValueError, match="no such toy"):
        toy("dragon")
