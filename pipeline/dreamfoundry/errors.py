"""Every exception that dreamfoundry raises on purpose.

DreamfoundryError
├── InputError              the caller gave us something unusable; nothing was started      exit 4
│   ├── ConfigError         a preset, an override or a command line
│   ├── ManifestError       the manifest as a file: footer, columns, types, duplicates
│   │   └── TooManyRows     a source of one has more prompts or faults than are read
│   └── RowError            one row of it: null, bad UTF-8, unknown word, bad override
├── Stopped                 somebody asked to stop, and nothing had begun; run again           exit 75
├── PromptFailure           this prompt cannot become an asset; it ends as a quarantined row
│   ├── OptimizationDiverged    a gradient was not finite
│   ├── EmptyField              the volume vanished
│   ├── FullField               the volume fills its box: a shell or a fog, no object
│   ├── FlatField               a picture on a plate
│   ├── SeveralFaces            it shows its front on other sides too
│   ├── OffPrompt               the prior does not recognise the prompt in it
│   ├── SurfaceFailed           no watertight surface could be made
│   ├── ExportTimeout           the export ran past its limit and was killed
│   ├── ExportOutOfMemory       the export needed more memory than it may have
│   ├── ExportDied              the process of the export died on this asset, again and again
│   ├── AssetInvalid            a gate refused the finished files
│   ├── GpuOutOfMemory          it does not fit into the memory of the GPU, even alone
│   ├── SnapshotLost            its stored field cannot be read, also after it was optimised again
│   ├── OutcomeUnreadable       something is decided, but the record that says what cannot be read
│   └── WorkerDied              the process died on this prompt alone, again and again
├── InfrastructureError     not the prompt's fault: retried, and exit 1 if it stays
│   ├── MachineFault        the disk of this machine is full, or the like
│   ├── DeviceUnavailable   the GPU is not there, or does not compute
│   ├── PriorUnavailable    weights missing, unreadable or of another digest
│   ├── StoreUnavailable    the library cannot be reached
│   │   └── AlteredBytes    what was written is not what arrived: written again
│   ├── ObjectMissing       a key that should be in the library is not
│   ├── ObjectCorrupt       bytes of the library are not what their name or their schema says
│   │   └── OtherVersion        a record that another version of the program wrote: left alone
│   ├── LeaseLost           somebody else owns this prompt now
│   └── KeyMismatch         a key is not that of its request: a mistake of ours, nothing is written
└── ToolUnavailable         an optional tool is absent or fails: its gate says "not_run", nothing is retried
    ├── NodeUnavailable     Node, an npm package, or an answer of a Node program
    ├── BrowserUnavailable  Chromium, three.js, or an answer of the page
    └── ReaderUnavailable   Assimp, Blender or another program that reads delivered files

The class decides what happens next, never the message. A message names the thing, its value,
the rule that it breaks and what would work. Names end in Error where they are groups or mistakes of
the caller; all others say what is the case.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar


class DreamfoundryError(Exception):
    """Root of the tree above."""


class InputError(DreamfoundryError):
    """The caller gave something unusable; nothing was started."""


class ConfigError(InputError):
    """A preset, an override or a command line is wrong."""


class ManifestError(InputError):
    """The manifest cannot be used as a file."""


class TooManyRows(ManifestError):
    """A source of manifests has too many prompts, or faults; the rest of it is not read."""


class RowError(InputError):
    """One row of the manifest cannot be used.

    `row` counts from 0 over all parts and `part` is the name of its file; `prompt` is its text where that can be
    read. `content` is the SHA-256 of the row's values, so that a row that stays as it is stays the same bad row.
    """

    def __init__(
        self,
        message: str,
        *,
        row: int,
        prompt_id: str | None = None,
        part: str = "",
        prompt: str = "",
        content: str = "",
    ) -> None:
        super().__init__(message)
        self.row = row
        self.prompt_id = prompt_id
        self.part = part
        self.prompt = prompt
        self.content = content

    def __reduce__(self) -> tuple[object, ...]:
        return (partial(RowError, **vars(self)), (str(self),))


class Stopped(DreamfoundryError):
    """The work was stopped on request."""


class PromptFailure(DreamfoundryError):
    """This prompt cannot become an asset. `failure_class` is the word in the catalog."""

    failure_class: ClassVar[str] = "failed"


def failure_classes() -> list[str]:
    """The word in the catalog of every kind of PromptFailure."""
    return sorted(kind.failure_class for kind in PromptFailure.__subclasses__())


class OptimizationDiverged(PromptFailure):
    """A gradient was not finite."""

    failure_class = "diverged"


class EmptyField(PromptFailure):
    """The volume vanished: no view shows anything."""

    failure_class = "empty"


class FullField(PromptFailure):
    """The volume fills its box: a shell or a fog, no object."""

    failure_class = "full"


class FlatField(PromptFailure):
    """The volume is a picture on a plate."""

    failure_class = "flat"


class SeveralFaces(PromptFailure):
    """The asset shows its front on other sides too (the Janus problem)."""

    failure_class = "several_faces"


class OffPrompt(PromptFailure):
    """The prior does not recognise the prompt in the pictures of the asset."""

    failure_class = "off_prompt"


class SurfaceFailed(PromptFailure):
    """No watertight surface could be made from the field."""

    failure_class = "surface"


class ExportTimeout(PromptFailure):
    """The export, or one stage of it, ran past its limit and was killed."""

    failure_class = "export_timeout"


class ExportOutOfMemory(PromptFailure):
    """The export needed more memory than it may have."""

    failure_class = "export_memory"


class ExportDied(PromptFailure):
    """The process of the export died on this asset, again and again."""

    failure_class = "export_died"


class AssetInvalid(PromptFailure):
    """A gate refused the finished files."""

    failure_class = "invalid"


class GpuOutOfMemory(PromptFailure):
    """The prompt does not fit into the memory of the GPU, even alone."""

    failure_class = "gpu_memory"


class SnapshotLost(PromptFailure):
    """The stored field cannot be read, also after it was optimised again."""

    failure_class = "snapshot_lost"


class OutcomeUnreadable(PromptFailure):
    """Something is decided, but the record that says what cannot be read."""

    failure_class = "unreadable"


class WorkerDied(PromptFailure):
    """The process died on this prompt alone, again and again."""

    failure_class = "worker_died"


def prompt_failure(failure_class: str, message: str) -> PromptFailure:
    """The failure of the class that a record names; KeyError for a class that is not in the tree above."""
    classes = {kind.failure_class: kind for kind in PromptFailure.__subclasses__()}
    return classes[failure_class](message)


class InfrastructureError(DreamfoundryError):
    """Not the prompt's fault."""


class MachineFault(InfrastructureError):
    """The disk of this machine is full, or the like; its message names the folder."""


class DeviceUnavailable(InfrastructureError):
    """The GPU that should do the work is not there, held by another process, or does not compute."""


class PriorUnavailable(InfrastructureError):
    """Weights are missing, unreadable or of another digest than configured."""


class StoreUnavailable(InfrastructureError):
    """The library cannot be reached or does not allow what we need."""


class AlteredBytes(StoreUnavailable):
    """The store holds other bytes than were sent, under `etag`; the write is tried again."""

    def __init__(self, key: str, etag: str) -> None:
        super().__init__(f"{key}: the bytes were altered on the way")
        self.etag = etag


class ObjectMissing(InfrastructureError):
    """A key that should be in the library is not."""


class ObjectCorrupt(InfrastructureError):
    """Bytes of the library are not what their name or their schema says."""


class OtherVersion(ObjectCorrupt):
    """A record that another version of the program wrote: it is left alone."""


class LeaseLost(InfrastructureError):
    """Somebody else owns this prompt now."""


class KeyMismatch(InfrastructureError):
    """A key is not that of the request it stands for: a mistake of ours, so nothing is written under it."""


class ToolUnavailable(DreamfoundryError):
    """An optional tool is absent or fails. The message says which, and what would help."""


class NodeUnavailable(ToolUnavailable):
    """Node, an npm package or the answer of a Node program is missing."""


class BrowserUnavailable(ToolUnavailable):
    """There is no browser, it does not start, or it does not answer."""


class ReaderUnavailable(ToolUnavailable):
    """A program that reads delivered files cannot be used."""
