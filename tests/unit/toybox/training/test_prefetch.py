"""Values come in their order, a few of them early, and an error where its value would have been."""

import threading

import pytest

from dreamfoundry.toybox.training.prefetch import AHEAD, prefetched


def test_values_come_in_the_order_of_their_numbers_and_from_another_thread() -> None:
    def square(number: int) -> tuple[int, str]:
        return number * number, threading.current_thread().name

    values = list(prefetched(square, range(20)))

    assert [value for value, _ in values] == [number * number for number in range(20)]
    assert threading.current_thread().name not in {name for _, name in values}


def test_no_more_than_a_few_values_are_made_in_advance() -> None:
    made: list[int] = []
    values = prefetched(lambda number: made.append(number), iter(range(1000)))

    for _ in range(3):
        next(values)
    values.close()

    assert len(made) <= 3 + AHEAD


def test_an_error_is_raised_in_place_of_its_value() -> None:
    values = prefetched(lambda number: 1 // (2 - number), range(5))

    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(values)
