"""A checkpoint: an assignment in the middle of its optimisation, as bytes that anybody may read.

The bytes are an npz without pickled objects, so a file from elsewhere can be wrong but never run
code: arrays by name, and a JSON header with everything else. Continued from a checkpoint, an
assignment makes the same bits as if it had not been interrupted (same CPU, slots and threads).

    header       format, field_key, candidate (the running one), optimize_s, the candidates of the halving
    {n}.step     how far candidate n got
    {n}.generator    the state of its generator
    {n}.field.*  {n}.adam.*    what `slot_state` of the two gives
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamfoundry.distill.successive_halving import Candidate
from dreamfoundry.errors import ObjectCorrupt, prompt_failure

CHECKPOINT_FORMAT = "checkpoint.v1"


@dataclass(frozen=True)
class CandidateState:
    """A candidate out of its slot, on the host."""

    step: int
    generator: Tensor
    field: Mapping[str, Tensor]
    adam: Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """An assignment out of its slot: the candidate that runs, all that are alive, and where each stands.

    `optimize_s` are the seconds that it has spent in slots so far.
    """

    field_key: str
    candidate: int
    candidates: tuple[Candidate, ...]
    states: Mapping[int, CandidateState]
    optimize_s: float

    @property
    def num_steps(self) -> int:
        """Steps of all candidates together."""
        others = sum(other.step for other in self.candidates if other.number != self.candidate)
        return others + self.states[self.candidate].step

    def to_bytes(self) -> bytes:
        header = {
            "format": CHECKPOINT_FORMAT,
            "field_key": self.field_key,
            "candidate": self.candidate,
            "optimize_s": self.optimize_s,
            "runners": [_candidate_to_json(candidate) for candidate in self.candidates],
        }
        arrays: dict[str, Any] = {"header": np.str_(json.dumps(header))}
        for number, state in self.states.items():
            arrays[f"{number}.step"] = np.int64(state.step)
            arrays[f"{number}.generator"] = state.generator.numpy()
            for part in ("field", "adam"):
                tensors: Mapping[str, Tensor] = getattr(state, part)
                arrays |= {f"{number}.{part}.{name}": tensor.numpy() for name, tensor in tensors.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # not compressed: moments are noise, and a step must not wait for it
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes, field_key: str) -> Checkpoint:
        """The checkpoint of `field_key` that `to_bytes` wrote; ObjectCorrupt for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays.pop("header")))
            if (header["format"], header["field_key"]) != (CHECKPOINT_FORMAT, field_key):
                raise ObjectCorrupt(
                    f"checkpoint of {field_key}: the file says format {header['format']!r} and field "
                    f"{header['field_key']!r}, expected {CHECKPOINT_FORMAT!r}; it is left alone"
                )
            candidates = tuple(_candidate_from_json(values) for values in header["runners"])
            numbers = {int(name.partition(".")[0]) for name in arrays}
            states = {number: _state(arrays, number) for number in numbers}
            checkpoint = Checkpoint(field_key, header["candidate"], candidates, states, header["optimize_s"])
            if checkpoint.candidate not in states:
                raise KeyError(f"no state of candidate {checkpoint.candidate}")
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ObjectCorrupt(f"checkpoint of {field_key}: cannot be read ({error}); it is left alone") from None
        return checkpoint


def _state(arrays: Mapping[str, np.ndarray], number: int) -> CandidateState:
    def part(name: str) -> dict[str, Tensor]:
        prefix = f"{number}.{name}."
        return {key.removeprefix(prefix): torch.from_numpy(a) for key, a in arrays.items() if key.startswith(prefix)}

    return CandidateState(
        step=int(arrays[f"{number}.step"]),
        generator=torch.from_numpy(arrays[f"{number}.generator"]),
        field=part("field"),
        adam=part("adam"),
    )


def _candidate_to_json(candidate: Candidate) -> dict[str, object]:
    failure = candidate.failure
    return {
        "candidate": candidate.number,
        "step": candidate.step,
        "num_looks": candidate.num_probes,
        "scores": None if candidate.scores is None else dict(candidate.scores),
        "failure": None if failure is None else [failure.failure_class, str(failure)],
    }


def _candidate_from_json(values: Mapping[str, Any]) -> Candidate:
    failure = values["failure"]
    return Candidate(
        number=values["candidate"],
        step=values["step"],
        num_probes=values["num_looks"],
        scores=values["scores"],
        failure=None if failure is None else prompt_failure(*failure),
    )
