"""The hash encoding: rows by the definition, gradients, neighbours, refusals, and a field that learns with it."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch, optimize_all
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.errors import ConfigError
from dreamfoundry.identity import field_key
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.hash_grid import HashGrid
from dreamfoundry.records import Prompt
from dreamfoundry.settings.field import FieldConfig, HashGridConfig
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe
from support.random_fields import go_to, points_of, random_fields

TINY = HashGridConfig(num_levels=4, entries_per_level=256, coarsest_resolution=3, finest_resolution=30)
SMALL = FieldConfig(encoding="hash", hash_grid=TINY, hidden_width=4, bound=1.5)
SIDES = (3, 6, 13, 30)


def fields_of(num_slots: int, config: FieldConfig = SMALL, dtype: torch.dtype = torch.float32) -> RadianceFields:
    return random_fields(num_slots, config, dtype)


def slow_row(side: int, x: int, y: int, z: int) -> int:
    """Row within its level: the vertex's own where all fit, else equation 4 of the paper in whole numbers."""
    if side**3 <= TINY.entries_per_level:
        return (x * side + y) * side + z
    return (x ^ (y * 2654435761) ^ (z * 805459861)) % TINY.entries_per_level


def slow_encoding(table: Tensor, point: Tensor) -> list[float]:
    features, start = [], 0
    for side in SIDES:
        position = [(c + 1.5) / 3.0 * (side - 1) for c in point.tolist()]
        low = [min(max(math.floor(p), 0), side - 2) for p in position]
        total = torch.zeros(table.shape[1], dtype=table.dtype)
        for corner in itertools.product((0, 1), repeat=3):
            weight = math.prod(p - b if o else 1 - (p - b) for p, b, o in zip(position, low, corner, strict=True))
            total += weight * table[start + slow_row(side, *(b + o for b, o in zip(low, corner, strict=True)))]
        features += total.tolist()
        start += min(side**3, TINY.entries_per_level)
    return features


def test_resolutions_grow_geometrically_from_the_coarsest_to_the_finest() -> None:
    assert TINY.level_resolutions == SIDES
    sides = HashGridConfig().level_resolutions
    assert (sides[0], sides[-1], len(sides)) == (16, 2048, 16)
    growth = [high / low for low, high in itertools.pairwise(sides)]
    assert max(growth) - min(growth) < 0.06


def test_a_table_has_a_row_for_every_vertex_of_a_coarse_level_and_no_more_than_its_size_for_a_fine_one() -> None:
    assert HashGrid(SMALL, "cpu").num_entries == 3**3 + 6**3 + 256 + 256
    assert HashGrid(SMALL, "cpu").levels.tolist() == [[3, 0, 0], [6, 27, 0], [13, 243, 1], [30, 499, 1]]


def test_the_encoding_is_trilinear_interpolation_of_the_rows_that_the_paper_names() -> None:
    fields, points = fields_of(2, dtype=torch.float64), points_of(2, 20, torch.float64)
    tables = fields.parameters()["table"].detach()
    slow = [[slow_encoding(tables[k], point) for point in points[k]] for k in range(2)]
    torch.testing.assert_close(fields.encode(points).detach(), torch.tensor(slow, dtype=torch.float64))


def test_products_with_primes_do_not_overflow_on_the_finest_grid_that_is_allowed() -> None:
    grid = dataclasses.replace(TINY, num_levels=1, coarsest_resolution=2**16, finest_resolution=2**16)
    config = FieldConfig(encoding="hash", hash_grid=grid)
    rows, _ = HashGrid(config, "cpu").lookups(torch.full((1, 1, 3), 1.0, dtype=torch.float64))
    low = 2**16 - 2
    corners = itertools.product((low, low + 1), repeat=3)
    assert rows.flatten().tolist() == [slow_row(2**16, *corner) for corner in corners]


def test_levels_that_fit_are_read_as_dense_ones_are() -> None:
    grid = HashGridConfig(num_levels=2, entries_per_level=256, coarsest_resolution=3, finest_resolution=6)
    hashed = fields_of(2, dataclasses.replace(SMALL, hash_grid=grid))
    dense = fields_of(2, FieldConfig(level_resolutions=(3, 6), features_per_level=2, hidden_width=4, bound=1.5))
    points = points_of(2, 40)
    for actual, expected in zip(hashed.query(points), dense.query(points), strict=True):
        assert torch.equal(actual, expected)


def test_all_parameters_get_the_numerical_gradient() -> None:
    one_hashed_level = {"num_levels": 1, "features_per_level": 1, "coarsest_resolution": 9, "finest_resolution": 9}
    grid = HashGridConfig(entries_per_level=256, **one_hashed_level)
    fields = fields_of(1, dataclasses.replace(SMALL, hash_grid=grid, density_blob_scale=1.0), torch.float64)
    points = points_of(1, 3, torch.float64)
    assert torch.autograd.gradcheck(lambda *_: fields.query(points), tuple(fields.parameters().values()))


def test_values_and_gradients_of_a_slot_do_not_depend_on_its_neighbours_also_diverged_ones() -> None:
    def measured(fields: RadianceFields, points: Tensor) -> list[Tensor]:
        density, albedo = fields.query(points)
        gradients = torch.autograd.grad(density.sum() + albedo.sum(), tuple(fields.parameters().values()))
        return [density.detach(), albedo.detach(), *gradients]

    fields, points = fields_of(2), points_of(2, 40)
    before = measured(fields, points)
    points[0, :20] = math.nan
    with torch.no_grad():
        fields.parameters()["table"][0, ::2] = math.nan
    after = measured(fields, points)
    assert after[1][0].isnan().any()
    assert all(torch.equal(a[1], b[1]) for a, b in zip(before, after, strict=True))


def test_a_level_that_does_not_count_yet_is_as_if_it_were_zero_and_gets_no_gradient() -> None:
    fading = dataclasses.replace(SMALL, all_levels_from_fraction=0.5)
    fields, emptied, points = fields_of(2, fading), fields_of(2, fading), points_of(2, 40)
    go_to(fields, [0.25, 1.0])  # half way: level 1 is in, level 2 half, level 3 not at all
    go_to(emptied, [0.25, 1.0])
    finest = slice(3**3 + 6**3 + 256, None)
    with torch.no_grad():
        emptied.parameters()["table"][0, finest] = 0.0
    torch.testing.assert_close(fields.density(points), emptied.density(points))
    (gradient,) = torch.autograd.grad(fields.density(points).sum(), fields.parameters()["table"])
    assert gradient[0, finest].abs().max() == 0
    assert gradient[1, finest].abs().max() > 0


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("num_levels", 0, "from 1 to 32"),
        ("features_per_level", 9, "from 1 to 8"),
        ("entries_per_level", 500_000, "power of two"),
        ("entries_per_level", 128, "power of two"),
        ("coarsest_resolution", 1, "2 <= coarsest <= finest"),
        ("finest_resolution", 8, "2 <= coarsest <= finest"),
        ("num_levels", 1, "at least 2"),
    ],
)
def test_a_hash_grid_that_makes_no_sense_is_refused_with_key_value_and_rule(key: str, value: int, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule) as refusal:
        with_overrides(Recipe(), {f"field.hash_grid.{key}": value})
    assert f"field.hash_grid.{key}" in str(refusal.value).replace("coarsest_resolution, ", "") or "coarsest" in key
    assert repr(value) in str(refusal.value)


def test_an_encoding_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"field.encoding = 'triplane': must be one of 'dense', 'hash'"):
        with_overrides(Recipe(), {"field.encoding": "triplane"})


def test_a_hash_grid_is_in_the_key_of_a_hashed_field_only() -> None:
    def key(**overrides: object) -> str:
        recipe = with_overrides(Recipe(), {f"field.{name}": value for name, value in overrides.items()})
        return field_key(Prompt("p", "a chair"), recipe, PriorIdentity("toy", "1", "abc", "Apache-2.0"))

    other = {"num_levels": 8}
    assert key(hash_grid=other) == key()
    assert len({key(), key(encoding="hash"), key(encoding="hash", hash_grid=other)}) == 3


HASHED = with_overrides(
    Recipe(),
    {
        "field.encoding": "hash",
        "field.hash_grid": {
            "num_levels": 4,
            "entries_per_level": 4096,
            "coarsest_resolution": 8,
            "finest_resolution": 64,
        },
        "field.hidden_width": 8,
        "optimize.num_steps": 60,
        "optimize.views_per_step": 2,
        "optimize.warmup_fraction": 0.1,
        "optimize.table_rate": 0.05,
        "optimize.head_rate": 0.01,
        "guidance.guidance_scale": 2.0,
        "shading.lit_probability": 0.0,
        "wording.backgrounds": ["white"],
        "wording.unconditional": "",
        "render.image_px": 16,
        "render.samples_per_ray": 12,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 2,
        "snapshot.view_px": 16,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
    },
)


def test_an_analytic_prior_turns_the_blob_of_a_hashed_field_into_a_ball_of_its_color() -> None:
    red = torch.ones(3, 16, 16)
    red[1:, 4:12, 4:12] = 0.1
    views = ("front", "side", "back", "overhead")
    prior = AnalyticPrior(16, mean_pictures={f"a ball, {view} view": red for view in views})
    (result,) = optimize_all(prior, HASHED, [Assignment(Prompt("ball", "a ball"), "ball")], num_slots=1)
    assert result.snapshot is not None
    covered = result.snapshot.view_opacity > 200
    mean = result.snapshot.view_rgb[covered].mean(axis=0) / 255.0

    assert mean[0] > 0.7 > 0.4 > mean[1]


def test_a_hashed_field_goes_on_from_its_checkpoint_as_if_it_had_not_been_interrupted() -> None:
    def batch() -> SlotBatch:
        return SlotBatch(AnalyticPrior(), HASHED, 2)

    ball, whole, first, second = Assignment(Prompt("p", "a red ball"), "key"), batch(), batch(), batch()
    for each in (whole, first):
        each.admit(ball)
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    second.admit(ball, first.checkpoint(0))
    for _ in range(2):
        second.step()
    state = second.fields.slot_state(0)
    assert all(torch.equal(value, state[name]) for name, value in whole.fields.slot_state(0).items())
