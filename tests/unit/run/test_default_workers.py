"""Default numbers of distill workers and export workers."""

from dreamfoundry.diffusion.weights import TOYBOX, bundled_prior
from dreamfoundry.run.default_workers import default_num_distill_workers, default_num_export_workers

GIB = 2**30


def test_a_laptop_gets_one_distiller_for_each_core() -> None:
    assert default_num_distill_workers("cpu", "toybox", has_own_ray=True, num_cores=6, memory_bytes=32 * GIB) == 6


def test_distillers_take_no_more_than_half_of_the_memory_but_there_is_always_one() -> None:
    prior = bundled_prior(TOYBOX)
    assert prior is not None
    two_at_most = 5 * prior.peak_bytes
    assert default_num_distill_workers("cpu", "toybox", has_own_ray=True, num_cores=16, memory_bytes=two_at_most) == 2
    assert default_num_distill_workers("cpu", "toybox", has_own_ray=True, num_cores=16, memory_bytes=GIB) == 1


def test_a_gpu_another_prior_or_a_shared_ray_get_one_until_somebody_says_more() -> None:
    for device, prior_path, has_own_ray in (
        ("cuda", "toybox", True),
        ("cpu", "s3://weights/stable-diffusion", True),
        ("cpu", "toybox", False),
    ):
        assert (
            default_num_distill_workers(device, prior_path, has_own_ray=has_own_ray, num_cores=8, memory_bytes=64 * GIB)
            == 1
        )


def test_every_two_distillers_have_an_export_worker_but_a_shared_ray_gives_one() -> None:
    assert [default_num_export_workers(distillers, has_own_ray=True) for distillers in (1, 2, 5, 8)] == [1, 1, 2, 4]
    assert default_num_export_workers(8, has_own_ray=False) == 1
