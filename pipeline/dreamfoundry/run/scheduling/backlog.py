"""The open work of a run: builds that have not ended, in the queues where they wait."""

from __future__ import annotations

import heapq
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import Build
from dreamfoundry.run.scheduling.field_job import FieldJob
from dreamfoundry.settings.recipe import Recipe

LOG = logging.getLogger(__name__)

TAKE_S = 0.3
"""Longest time that taking builds may keep the driver from its workers: each costs a request to the store."""


class Backlog:
    """Builds that have not ended, taken from `feed` as they are needed, at most `look_ahead` at a time.

    So memory does not grow with `num_builds`, the number of all of them; among those at hand the most
    urgent come first. A build waits for its field, then for its export:

        feed ──take_more──> its field is not stored ──> `queue` ──pop──> in a slot ──> await_export
                 │              ^           │                                              │
                 │   recall,    │       postpone: the lease of another run                 v
                 │   `lease_s`  └───────────┘                       `_ready`   of this run: bounded
                 └────────────> its field is stored ──────────────> `_stored`  from before: not bounded
                                                                       │ next_export
        closed: about to be quarantined, nothing else may end it       v
        end, drop: gone from `builds`, and with the last build its field from `fields`

    `fields` and `builds` are those at hand, by their keys; others only read them.
    """

    def __init__(
        self,
        feed: Iterable[Build],
        *,
        num_builds: int,
        look_ahead: int,
        shape_class: Callable[[Recipe], str],
        clock: Callable[[], float],
        lease_s: float,
    ) -> None:
        self.num_builds = num_builds
        self.fields: dict[str, FieldJob] = {}
        self.builds: dict[str, Build] = {}
        self.queue = FieldQueue()
        self._feed, self._is_feed_empty, self._look_ahead = iter(feed), False, look_ahead
        self._num_taken = 0
        self._shape_class, self._clock, self._lease_s = shape_class, clock, lease_s
        self._closed: set[str] = set()
        self._postponed: dict[FieldJob, float] = {}  # until when
        self._ready: OrderedDict[str, Build] = OrderedDict()
        self._stored: OrderedDict[str, Build] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        return self._is_feed_empty and not self.fields

    @property
    def num_unexported(self) -> int:
        """Builds of fields of this run that wait for their export."""
        return len(self._ready)

    @property
    def num_exports(self) -> int:
        """All builds that wait for their export."""
        return len(self._ready) + len(self._stored)

    @property
    def steps_left(self) -> int:
        """Steps to the end of all builds, if those to come are like those at hand."""
        at_hand = sum(job.steps_left for job in self.fields.values())
        return at_hand + (self.num_builds - self._num_taken) * at_hand // max(1, len(self.builds))

    def take_more(self) -> None:
        """Take builds until enough are at hand, for `TAKE_S` at most: workers start while the rest comes in."""
        until_s = self._clock() + TAKE_S
        fresh: dict[str, FieldJob] = {}  # queued together below: ranks may still change while builds come in
        while not self._is_feed_empty and len(self.builds) < self._look_ahead and self._clock() <= until_s:
            build = next(self._feed, None)
            if build is None:
                self._is_feed_empty = True
            elif self._take(build):
                fresh[build.field_key] = self.fields[build.field_key]
        for job in fresh.values():
            self._await_next(job)

    def _take(self, build: Build) -> bool:
        """Take one build. True if its field is new here."""
        self._num_taken += 1
        self.builds[build.asset_key] = build
        log_event(
            LOG,
            "asset_queued",
            asset_key=build.asset_key,
            field_key=build.field_key,
            prompt_ids=build.prompt_ids,
            has_field=build.snapshot is not None,
        )

        job = self.fields.get(build.field_key)
        rank = (-build.prompt.priority, self._num_taken)
        if job is None:
            shape = self._shape_class(build.recipe)
            self.fields[build.field_key] = FieldJob(build.field_key, build.recipe, shape, rank, [build], build.snapshot)
            return True
        job.add_build(build, rank)
        if job.snapshot is not None:
            self.await_export([build])
        return False

    def _await_next(self, job: FieldJob) -> None:
        if job.snapshot is None:
            self.queue.push(job)
        else:
            self.await_export(job.builds)

    def await_slot(self, job: FieldJob) -> None:
        """Queue a field that left its slot unfinished; the lease of another run may have to end first."""
        if job.is_claimed:
            self.queue.push(job)
        else:
            self.postpone(job)

    def suspect(self, job: FieldJob) -> None:
        """Queue a field to be run alone."""
        job.suspect()
        self.queue.push(job)

    def await_export(self, builds: Iterable[Build]) -> None:
        """Queue the open ones among `builds` for an export."""
        for build in filter(self.is_open, builds):
            queue = self._ready if build.snapshot is None else self._stored
            queue[build.asset_key] = build  # once, although its field may have brought it already

    def next_export(self) -> Build | None:
        """The build that has waited longest; those of this run's fields come first."""
        queue = self._ready or self._stored
        return queue.popitem(last=False)[1] if queue else None

    def postpone(self, job: FieldJob) -> None:
        """Keep a field back until the lease of another run is over."""
        job.postpone()
        self._postponed[job] = self._clock() + self._lease_s

    def is_postponed(self, job: FieldJob) -> bool:
        return job in self._postponed

    @property
    def num_postponed(self) -> int:
        """Builds whose field another run has leased."""
        return sum(len(job.builds) for job in self._postponed)

    def recall(self) -> None:
        """Queue postponed fields whose time is over."""
        now_s = self._clock()
        for job in [job for job, until_s in self._postponed.items() if until_s <= now_s]:
            del self._postponed[job]
            self._await_next(job)

    def is_open(self, build: Build) -> bool:
        """Neither ended nor about to be quarantined."""
        return build.asset_key in self.builds and build.asset_key not in self._closed

    def open_builds(self, job: FieldJob) -> list[Build]:
        return list(filter(self.is_open, job.builds))

    def close(self, build: Build) -> None:
        """A build is about to be quarantined: nothing else may end it."""
        self._closed.add(build.asset_key)

    def end(self, build: Build) -> FieldJob:
        """Drop a build that has ended, with its field if that was the last of it. Returns the field."""
        del self.builds[build.asset_key]
        self._closed.discard(build.asset_key)
        job = self.fields[build.field_key]
        job.drop_build(build)
        if not job.builds:
            del self.fields[job.key]
        return job

    def lose_lease(self, field_key: str) -> bool:
        """Note that another run owns a field now. False if it is not at hand."""
        job = self.fields.get(field_key)
        if job is not None:
            job.lose_lease()
        return job is not None

    def drop(self, job: FieldJob) -> None:
        """Drop a field with its builds."""
        del self.fields[job.key]
        for build in job.builds:
            del self.builds[build.asset_key]


class FieldQueue:
    """Fields that wait for a slot: by shape class and rank, suspects apart."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[tuple[tuple[int, int], FieldJob]]] = {}
        self._suspects: deque[FieldJob] = deque()

    def __len__(self) -> int:
        return len(self._suspects) + sum(map(len, self._heaps.values()))

    def push(self, job: FieldJob) -> None:
        """Queue a field."""
        if job.is_suspect:
            self._suspects.append(job)
        else:
            heapq.heappush(self._heaps.setdefault(job.shape_class, []), (job.rank, job))

    def best_shape(self, current: str) -> str | None:
        """The class whose next field is the most urgent; `current` wins a tie of priority."""
        heads = {shape: heap[0][0] for shape, heap in self._heaps.items() if heap}
        return min(heads, key=lambda shape: (heads[shape][0], shape != current, heads[shape][1]), default=None)

    def pop(self, shape_class: str) -> FieldJob | None:
        heap = self._heaps.get(shape_class)
        return heapq.heappop(heap)[1] if heap else None

    def pop_suspect(self) -> FieldJob | None:
        return self._suspects.popleft() if self._suspects else None
