"""Cases are measured while there is time for one more, and one that has no memory doesn't end the block."""

import time
from collections.abc import Callable, Iterator

import torch

from dreamfoundry.evaluation.gpu_day.task import Figures, Task, measure_cases


def task(seconds: float, skip: tuple[str, ...] = ()) -> Task:
    return Task("table", "cpu", True, "", "", "eager", time.time() + seconds, skip, 0)


def measured(task: Task, *cases: tuple[str, Callable[[], Figures]]) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    measure_cases(task, cases, found.__setitem__)
    return found


def takes(seconds: float) -> Callable[[], Figures]:
    def measure() -> Figures:
        time.sleep(seconds)
        return {"is_measured": True}

    return measure


def test_a_case_that_would_outlast_the_block_is_left_out_and_says_so() -> None:
    found = measured(task(1.0), ("short", takes(0.1)), ("long", takes(0.6)), ("late", takes(0.0)))

    assert [name for name, figures in found.items() if "is_measured" in figures] == ["short", "long"]
    assert found["late"] == {"left_out": "0 s were left"}
    assert measured(task(-3.0), ("late", takes(0.0))) == {"late": {"left_out": "0 s were left"}}, "not -3 s"
    assert 0.1 <= found["short"]["seconds"] < found["long"]["seconds"]


def test_the_time_to_prepare_a_case_counts_as_its_own() -> None:
    def cases() -> Iterator[tuple[str, Callable[[], Figures]]]:
        for name in ("first", "second"):
            time.sleep(0.4)
            yield name, takes(0.0)

    found: dict[str, Figures] = {}
    measure_cases(task(0.9), cases(), found.__setitem__)
    assert found["first"]["seconds"] >= 0.4
    assert "left_out" in found["second"]


def test_cases_of_an_earlier_run_are_not_measured_again() -> None:
    assert list(measured(task(60.0, skip=("first",)), ("first", takes(0.0)), ("second", takes(0.0)))) == ["second"]


def test_a_case_without_memory_says_so_and_the_next_one_has_its_turn() -> None:
    def too_large() -> Figures:
        raise torch.OutOfMemoryError("tried to allocate 200 GiB")

    found = measured(task(60.0), ("K = 32", too_large), ("next", takes(0.0)))
    assert "200 GiB" in found["K = 32"]["error"]
    assert "is_measured" in found["next"]
