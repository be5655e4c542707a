"""Latents and gradients are those of a plain call, in one pass or in parts, eager or replayed, in any precision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from dreamfoundry.diffusion.networks.replay import RECORDED_AFTER_CALLS
from dreamfoundry.diffusion.networks.vae_encoder import VaeEncoder, power_of_two
from support.recorders import PlaceRecorder


class TinyVae(torch.nn.Module):
    """Halves a picture twice; a few convolutions, and nothing of it is random."""

    config = SimpleNamespace(block_out_channels=(8, 8, 8), scaling_factor=0.5)

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.down = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.out = torch.nn.Conv2d(8, 4, 3, padding=1)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator) * 0.2
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        return self.out.weight.dtype

    def encode(self, signed: Tensor) -> Any:
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=self.out(self.down(signed).tanh())))


def recorded(rows: int = 4) -> tuple[VaeEncoder, PlaceRecorder, PlaceRecorder]:
    """An encoder, the recorder of what keeps its activations, and the recorder of the rest."""
    encoder, keeping, passing = VaeEncoder(TinyVae(), rows), PlaceRecorder(), PlaceRecorder()
    encoder.record_with(keeping, passing)
    return encoder, keeping, passing


def drawn(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Signed pictures and a gradient of their latents."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 3, 8, 8, generator=generator) * 2 - 1, torch.randn(rows, 4, 2, 2, generator=generator)


def there_and_back(encoder: VaeEncoder, pictures: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    leaf = pictures.clone().requires_grad_()
    latents = encoder(leaf)
    (gradient,) = torch.autograd.grad((latents * probe).sum(), leaf)
    return latents.detach(), gradient


def plain(pictures: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """The same by autograd alone."""
    leaf = pictures.clone().requires_grad_()
    latents = TinyVae().encode(leaf).latent_dist.mean * 0.5
    (gradient,) = torch.autograd.grad((latents * probe).sum(), leaf)
    return latents.detach(), gradient


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("is_replayed", [False, True])
def test_latents_and_gradients_are_those_of_a_plain_call(rows: int, is_replayed: bool) -> None:
    encoder = recorded(rows=3)[0] if is_replayed else VaeEncoder(TinyVae(), rows=3)
    for seed in range(RECORDED_AFTER_CALLS + 3):
        for found, right in zip(there_and_back(encoder, *drawn(rows, seed)), plain(*drawn(rows, seed)), strict=True):
            torch.testing.assert_close(found, right, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "size"), [(2, 2), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3)], ids=lambda value: str(value)
)
def test_a_step_records_one_shape_and_never_within_a_backward_pass(rows: int, size: int) -> None:
    """Two parts were recorded in the first backward pass, one and three were not."""
    encoder, keeping, passing = recorded(rows=4)
    for seed in range(RECORDED_AFTER_CALLS + 3):
        there_and_back(encoder, *drawn(rows, seed))
    assert [len(recorder.shapes) for recorder in (keeping, passing)] == ([1, 0] if rows <= 4 else [0, 2])
    assert {shape[0] for shape in keeping.shapes + passing.shapes} == {size}
    assert keeping.in_backward == passing.in_backward == 0
    assert keeping.num_replays + passing.num_replays > 0


def test_two_calls_before_the_way_back_do_not_take_each_others_activations() -> None:
    """As the pictures of two render stages do, in one step."""
    encoder, keeping, passing = recorded(rows=4)
    for seed in range(2 * RECORDED_AFTER_CALLS + 4):
        (first, probe), (second, other_probe) = drawn(3, seed), drawn(3, seed + 100)
        leaves = first.clone().requires_grad_(), second.clone().requires_grad_()
        latents = torch.cat([encoder(leaf) for leaf in leaves])
        gradients = torch.autograd.grad((latents * torch.cat([probe, other_probe])).sum(), leaves)
        torch.testing.assert_close(gradients[0], plain(first, probe)[1], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(gradients[1], plain(second, other_probe)[1], atol=1e-6, rtol=1e-5)
    assert keeping.num_replays > 0
    assert passing.num_replays > 0


def test_activations_never_wait_in_memory_that_another_recorder_uses() -> None:
    encoder, recorder = VaeEncoder(TinyVae(), 4), PlaceRecorder()
    with pytest.raises(ValueError, match="would overwrite activations"):
        encoder.record_with(recorder, recorder)


def test_pictures_without_a_gradient_are_never_recorded() -> None:
    encoder, keeping, passing = recorded()
    for seed in range(RECORDED_AFTER_CALLS + 4):
        assert torch.allclose(encoder(drawn(6, seed)[0]), plain(*drawn(6, seed))[0], atol=1e-6)
    assert keeping.shapes == passing.shapes == []


@pytest.mark.parametrize("rows", [2, 6])
@pytest.mark.parametrize("is_replayed", [False, True])
@pytest.mark.parametrize("size", [1.0, 0.1])
def test_a_gradient_below_the_smallest_numbers_of_half_precision_comes_back_whole(
    rows: int, is_replayed: bool, size: float
) -> None:
    """A mean over four views of Stable Diffusion divides by 65,536: this was lost entirely."""
    encoder = recorded()[0] if is_replayed else VaeEncoder(TinyVae())
    encoder.model.half()
    for seed in range(RECORDED_AFTER_CALLS + 2):
        pictures, probe = drawn(rows, seed)
        _, found = there_and_back(encoder, pictures, probe * size / 65_536)
        _, right = plain(pictures, probe * size / 65_536)
        assert float((found - right).norm() / right.norm()) < 0.01


def test_each_row_has_a_power_of_its_own_and_rows_of_zeros_stay_zero() -> None:
    encoder = VaeEncoder(TinyVae().half())
    pictures, probe = drawn(3, seed=0)
    sizes = torch.tensor([1e-9, 0.0, 1e3]).view(3, 1, 1, 1)
    (_, found), (_, right) = (there_and_back(encoder, pictures, probe * sizes), plain(pictures, probe * sizes))
    for row in (0, 2):
        assert float((found[row] - right[row]).norm() / right[row].norm()) < 0.01
    assert torch.equal(found[1], torch.zeros_like(found[1]))


def test_a_row_that_is_not_finite_stays_so_and_spoils_no_other() -> None:
    encoder = VaeEncoder(TinyVae().half())
    pictures, probe = drawn(3, seed=0)
    whole = there_and_back(encoder, pictures, probe)[1]
    probe[0, 0, 0, 0], probe[2, 1, 1, 1] = torch.inf, torch.nan
    found = there_and_back(encoder, pictures, probe)[1]
    assert not found[0].isfinite().all()
    assert not found[2].isfinite().all()
    assert torch.equal(found[1], whole[1])


def test_scaling_by_a_power_of_two_is_exact() -> None:
    values = torch.randn(64, 4, 2, 2) * torch.logspace(-30, 30, 64).view(-1, 1, 1, 1)
    power = power_of_two(values)
    assert torch.equal(torch.frexp(power).mantissa, torch.full((64, 1, 1, 1), 0.5))
    assert torch.equal(values / power * power, values)
    largest = (values / power).abs().amax(dim=(1, 2, 3))
    assert bool(((largest >= 0.5) & (largest < 1.0)).all())


def test_another_layout_gives_the_same() -> None:
    encoder = VaeEncoder(TinyVae())
    for layout in ("contiguous", "channels_last"):
        encoder.set_layout(layout)
        assert encoder.model.down.weight.is_contiguous() == (layout == "contiguous")
        for found, right in zip(there_and_back(encoder, *drawn(2, 0)), plain(*drawn(2, 0)), strict=True):
            torch.testing.assert_close(found, right, atol=1e-6, rtol=1e-5)


def test_a_compiled_encoder_gives_the_same_kept_or_computed_twice() -> None:
    """Traced as for a GPU, and run by torch's own kernels."""
    torch.manual_seed(0)
    shape: Any = {"block_out_channels": (8, 8), "down_block_types": ("DownEncoderBlock2D",) * 2}
    model = AutoencoderKL(**shape, up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4).requires_grad_(False)
    encoders = VaeEncoder(model.to(memory_format=torch.channels_last), rows=2), VaeEncoder(model, rows=1)
    pictures = torch.rand(2, 3, 8, 8)
    probe = torch.randn(2, 4, 4, 4)
    eager = [there_and_back(encoder, pictures, probe) for encoder in encoders]
    encoders[0].compile(backend="aot_eager")
    for encoder, right in zip(encoders, eager, strict=True):
        for found, expected in zip(there_and_back(encoder, pictures, probe), right, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
