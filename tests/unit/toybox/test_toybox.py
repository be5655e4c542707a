"""The toys, their pictures and their captions."""

import random

import pytest
import torch

from dreamfoundry.nerf.cameras import orbit, rays
from dreamfoundry.toybox.captions import (
    COLORS,
    KINDS,
    VOCABULARY,
    color_of,
    held_out_pairs,
    kind_of,
    training_caption,
    unknown_words,
    words_of,
)
from dreamfoundry.toybox.toys import KINDS_WITH_FRONT, TOY_RADIUS, role_palette, toy
from dreamfoundry.toybox.views import NO_ROLE, shade, trace


def front_and_back(kind: str):
    cameras = orbit(torch.tensor([0.0, 180.0]), torch.full((2,), 20.0), torch.full((2,), 2.6), torch.full((2,), 40.0))
    return trace(toy(kind), cameras, 24)


def test_there_are_enough_kinds_and_colors():
    assert len(KINDS) >= 16 and len(COLORS) >= 10


def test_fifteen_percent_of_the_pairs_are_held_out_and_no_row_or_column_is_lost():
    held_out = held_out_pairs()

    assert len(held_out) / (len(KINDS) * len(COLORS)) == pytest.approx(0.15, abs=0.005)
    assert max(sum(kind == k for _, kind in held_out) for k in KINDS) <= 2
    assert max(sum(color == c for color, _ in held_out) for c in COLORS) <= 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_toy_fits_its_sphere_and_its_surface_points_lie_on_it(kind):
    points = toy(kind).surface_points(500)

    assert len(points) == 500
    assert toy(kind).distance(points).abs().max() < 3e-3
    assert TOY_RADIUS * 0.9 < points.norm(dim=-1).max() < TOY_RADIUS * 1.02


@pytest.mark.parametrize("kind", KINDS_WITH_FRONT)
def test_kinds_with_a_front_look_different_from_behind(kind):
    buffers = front_and_back(kind)
    front, back = buffers.roles[0] != NO_ROLE, buffers.roles[1] != NO_ROLE
    different = (buffers.roles[0] != buffers.roles[1]) | (front != back.flip(-1))

    assert different.float().mean() > 0.004


def test_tracing_equals_marching_in_small_steps():
    cameras = orbit(torch.tensor([40.0]), torch.tensor([25.0]), torch.tensor([2.6]), torch.tensor([40.0]))
    origins, directions = rays(cameras, 16)
    depths = torch.arange(1.5, 3.7, 0.004)
    points = origins[0, :, :, None] + depths[:, None] * directions[0, :, :, None]
    marched = (toy("chair").distance(points) < 0).any(dim=-1)
    traced = trace(toy("chair"), cameras, 8).roles[0] != NO_ROLE

    assert (marched != traced).float().mean() < 0.02


def test_an_ambient_ratio_of_one_shows_the_albedo_over_the_background():
    buffers = front_and_back("sphere")
    picture = shade(
        buffers,
        role_palette("red").expand(2, -1, -1),
        torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3),
        torch.ones(2),
        torch.tensor([1.0, 0.0]),
    )

    torch.testing.assert_close(picture[0, :, 12, 12], torch.tensor(COLORS["red"]))
    torch.testing.assert_close(picture[:, :, 0, 0], torch.tensor([[1.0] * 3, [0.0] * 3]))


def test_captions_use_only_words_of_the_vocabulary():
    rng = random.Random(0)
    captions = [
        training_caption("red", rng.choice(list(KINDS)), "front", "white", textureless=bool(i % 2), rng=rng)
        for i in range(500)
    ]

    assert not {word for caption in captions for word in unknown_words(caption)}
    assert any(caption == "white background" for caption in captions)


def test_every_word_stands_once_in_the_vocabulary():
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_unknown_words_are_named_once_and_in_order():
    assert unknown_words("a shiny red dragon, a shiny cube") == ["shiny", "dragon"]


def test_kind_and_color_are_read_from_synonyms_too():
    assert (kind_of("a small teal couch"), color_of("a small teal couch")) == ("sofa", None)
    assert (kind_of("one pink donut"), color_of("one pink donut")) == ("torus", "pink")


def test_words_are_split_at_commas_like_the_tokenizer_does():
    assert words_of("A red cube,front view") == ["a", "red", "cube", ",", "front", "view"]
