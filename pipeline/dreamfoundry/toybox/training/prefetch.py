"""Values computed ahead of their use, so that a GPU doesn't wait for the host."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AHEAD = 4
"""Values that are ready or in the making while one is used."""


def prefetched(compute: Callable[[int], T], numbers: Iterable[int]) -> Generator[T, None, None]:
    """`compute(number)` of every number in order, made by one thread up to AHEAD numbers in advance.

    An exception of `compute` is raised where its value would have been. Whoever stops early closes the iterator.
    """
    coming = iter(numbers)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        pending = deque(thread.submit(compute, number) for number in itertools.islice(coming, AHEAD))
        while pending:
            value = pending.popleft().result()
            pending.extend(thread.submit(compute, number) for number in itertools.islice(coming, 1))
            yield value
