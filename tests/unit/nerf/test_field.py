"""Radiance fields: what they read, what their slots share (nothing) and where they end."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamfoundry.nerf.field import MAX_LOG_DENSITY, RadianceFields, level_shares
from dreamfoundry.settings.field import FieldConfig
from support.random_fields import go_to, points_of, random_fields

SMALL = FieldConfig(level_resolutions=(3, 5), features_per_level=2, hidden_width=4, bound=1.5)


def fields_of(num_slots: int, config: FieldConfig = SMALL, dtype: torch.dtype = torch.float32) -> RadianceFields:
    return random_fields(num_slots, config, dtype)


@pytest.mark.parametrize("activation", ["softplus", "exp"])
@pytest.mark.parametrize("blob", ["linear", "gaussian"])
def test_all_parameters_get_the_numerical_gradient(activation: Any, blob: Any) -> None:
    config = dataclasses.replace(SMALL, density_activation=activation, density_blob=blob, density_blob_scale=1.0)
    fields, points = fields_of(1, config, torch.float64), points_of(1, 4, torch.float64)
    parameters = tuple(fields.parameters().values())
    assert torch.autograd.gradcheck(lambda *_: fields.query(points), parameters)


def test_density_alone_equals_the_density_of_a_query() -> None:
    fields, points = fields_of(2), points_of(2, 30)
    torch.testing.assert_close(fields.density(points), fields.query(points)[0])


def test_nothing_exists_outside_the_sphere() -> None:
    fields = fields_of(1)
    directions = torch.nn.functional.normalize(
        torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    assert fields.density(directions * 1.49).min() > 0
    assert fields.density(directions * 1.51).abs().max() == 0
    assert fields.density(directions * 100).abs().max() == 0


def test_a_new_slot_has_the_density_of_its_blob() -> None:
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    linear = RadianceFields(dataclasses.replace(SMALL, density_blob_scale=10.0, density_blob_radius=0.5), 1)
    linear.init_slot(0, torch.Generator().manual_seed(0))
    softplus = [math.log1p(math.exp(x)) for x in (10.0, 0.0, -10.0)]
    torch.testing.assert_close(linear.density(points)[0], torch.tensor(softplus), atol=1e-3, rtol=1e-3)
    gaussian = RadianceFields(
        dataclasses.replace(
            SMALL, density_activation="exp", density_blob="gaussian", density_blob_scale=5.0, density_blob_radius=0.2
        ),
        1,
    )
    gaussian.init_slot(0, torch.Generator().manual_seed(0))
    expected = [math.exp(5.0 * math.exp(-(r**2) / (2 * 0.2**2))) for r in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(gaussian.density(points)[0], torch.tensor(expected), atol=1e-3, rtol=1e-3)


def test_an_exponential_density_stays_finite_for_any_logit() -> None:
    fields = fields_of(1, dataclasses.replace(SMALL, density_activation="exp", density_blob_scale=1e6))
    density = fields.density(torch.zeros(1, 1, 3))
    torch.testing.assert_close(density, torch.full((1, 1), math.exp(MAX_LOG_DENSITY)))


def test_a_slot_starts_alike_beside_any_neighbours() -> None:
    alone, crowded = RadianceFields(SMALL, 1), fields_of(3)
    alone.init_slot(0, torch.Generator().manual_seed(7))
    before = crowded.slot_state(0)
    crowded.init_slot(1, torch.Generator().manual_seed(7))
    for name, tensor in crowded.slot_state(1).items():
        assert torch.equal(tensor, alone.slot_state(0)[name])
        assert torch.equal(crowded.slot_state(0)[name], before[name])


def test_another_seed_gives_another_start() -> None:
    fields = RadianceFields(SMALL, 2)
    for slot in range(2):
        fields.init_slot(slot, torch.Generator().manual_seed(slot))
    for name in ("table", "hidden_weight", "output_weight"):
        assert not torch.equal(fields.slot_state(0)[name], fields.slot_state(1)[name])


def values_and_gradients(fields: RadianceFields, points: Tensor) -> list[Tensor]:
    parameters = tuple(fields.parameters().values())
    density, albedo = fields.query(points)
    gradients = torch.autograd.grad(density.sin().sum() + albedo.square().sum(), parameters)
    return [density.detach(), albedo.detach(), *gradients]


def test_values_and_gradients_of_a_slot_do_not_depend_on_its_neighbours() -> None:
    fields, points = fields_of(3), points_of(3, 40)
    before = values_and_gradients(fields, points)
    fields.init_slot(0, torch.Generator().manual_seed(123))
    fields.init_slot(2, torch.Generator().manual_seed(124))
    points[[0, 2]] = points[[0, 2]].flip(1) * 0.5
    after = values_and_gradients(fields, points)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(before, after, strict=True))
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("where", ["table", "hidden_weight", "output_bias", "points"])
def test_a_nan_in_one_slot_does_not_touch_the_next(where: str) -> None:
    fields, points = fields_of(2), points_of(2, 40)
    before = values_and_gradients(fields, points)
    if where == "points":
        points[0] = math.nan
    else:
        with torch.no_grad():
            fields.parameters()[where][0] = math.nan
    after = values_and_gradients(fields, points)
    assert after[1][0].isnan().any()
    assert all(torch.equal(a[1], b[1]) for a, b in zip(before, after, strict=True))


def test_a_slot_can_be_carried_to_another_place() -> None:
    source, target = fields_of(2), RadianceFields(SMALL, 3)
    target.load_slot(2, source.slot_state(1))
    points = points_of(1, 20)
    torch.testing.assert_close(target.density(points.expand(3, -1, -1))[2], source.density(points.expand(2, -1, -1))[1])
    assert target.parameters()["table"][:2].abs().max() == 0


def test_the_state_of_a_slot_is_a_copy() -> None:
    fields = fields_of(1)
    state = fields.slot_state(0)
    fields.init_slot(0, torch.Generator().manual_seed(5))
    assert not torch.equal(state["table"], fields.slot_state(0)["table"])


def test_a_single_slot_shares_memory_and_tracks_no_gradients() -> None:
    fields, points = fields_of(3), points_of(1, 20)
    one = fields.single(2)
    torch.testing.assert_close(one.density(points)[0], fields.density(points.expand(3, -1, -1))[2].detach())
    assert one.num_slots == 1
    assert not one.density(points).requires_grad
    assert one.parameters()["table"].data_ptr() == fields.parameters()["table"][2].data_ptr()


FADING = dataclasses.replace(SMALL, level_resolutions=(3, 4, 5), all_levels_from_fraction=0.5)


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
def test_parts_answer_and_learn_as_slices_of_the_whole_do(order: list[int] | None) -> None:
    fields, points = fields_of(3), points_of(3, 20)
    slots = order or [0, 1, 2]

    def values_of(parts: list[RadianceFields], taken: list[list[int]]) -> tuple[Tensor, ...]:
        densities = [part.density(points[which]) for part, which in zip(parts, taken, strict=True)]
        loss = sum((density.sin().sum() for density in densities), torch.zeros(()))
        gradients = torch.autograd.grad(loss, list(fields.parameters().values()), materialize_grads=True)
        return (*densities, *gradients)

    parts = fields.parts([2, 1], None if order is None else torch.tensor(order))
    slices = [fields.part(slice(slot, slot + 1)) for slot in slots]
    two, one, *gradients = values_of(parts, [slots[:2], slots[2:]])
    first, second, third, *expected = values_of(slices, [[slot] for slot in slots])
    torch.testing.assert_close(two, torch.cat([first, second]))
    torch.testing.assert_close(one, third)
    for together, alone in zip(gradients, expected, strict=True):
        torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("progress", "shares"),
    [
        (0.0, [1.0, 0.0, 0.0]),
        (0.125, [1.0, 0.5, 0.0]),
        (0.25, [1.0, 1.0, 0.0]),
        (0.375, [1.0, 1.0, 0.5]),
        (0.5, [1.0, 1.0, 1.0]),
        (1.0, [1.0, 1.0, 1.0]),
    ],
)
def test_levels_fade_in_one_after_the_other(progress: float, shares: list[float]) -> None:
    assert level_shares(FADING, progress) == pytest.approx(shares)


def test_all_levels_count_from_the_start_unless_asked_to_fade_in() -> None:
    assert level_shares(SMALL, 0.0) == [1.0, 1.0]
    fields, points = fields_of(1), points_of(1, 20)
    before = fields.density(points)
    go_to(fields, [0.0])
    assert torch.equal(fields.density(points), before)


def test_a_level_that_does_not_count_yet_is_as_if_it_were_zero_and_gets_no_gradient() -> None:
    fields, points = fields_of(2, FADING), points_of(2, 40)
    go_to(fields, [0.25, 1.0])
    finest = slice(3**3 + 4**3, None)
    emptied = fields_of(2, FADING)
    with torch.no_grad():
        emptied.parameters()["table"][0, finest] = 0.0
    torch.testing.assert_close(fields.density(points), emptied.density(points))
    (gradient,) = torch.autograd.grad(fields.density(points).sum(), fields.parameters()["table"])
    assert gradient[0, finest].abs().max() == 0
    assert gradient[1, finest].abs().max() > 0


def test_a_single_slot_sees_the_levels_it_had_in_its_place() -> None:
    fields, points = fields_of(2, FADING), points_of(2, 40)
    go_to(fields, [1.0, 0.1])
    torch.testing.assert_close(fields.single(1).density(points[1:])[0], fields.density(points)[1].detach())
