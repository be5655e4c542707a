"""An optional file of an asset as a value: when it is wanted, how it is made, which gate it answers to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.findings import not_run
from dreamfoundry.errors import ToolUnavailable
from dreamfoundry.records import Finding
from dreamfoundry.settings.export_profiles import ExportProfile

Moment = Literal["before_gates", "after_gates", "after_pictures"]
"""The point of an export at which a file is made. GLBs come before the gates, which check every GLB."""

Made = tuple[Mapping[str, bytes], list[Finding]]
"""Files by name, and findings about them."""


def always(profile: ExportProfile) -> str:
    """The answer of `Deliverable.unwanted` for a file that no profile leaves out."""
    return ""


@dataclass(frozen=True)
class Deliverable:
    """One optional file, or a group of them, with its gate.

    `unwanted` says why a profile goes without it, "" where the profile asks for it. `make` may raise
    ToolUnavailable. `gate` is "" where the gates of every GLB suffice; `stage` is the stage under
    which its seconds are counted. `media_types` has those of its file name suffixes, where new.
    """

    gate: str
    tool: str
    stage: str
    moment: Moment
    unwanted: Callable[[ExportProfile], str]
    make: Callable[[AssetDraft], Made]
    media_types: Mapping[str, str] = field(default_factory=dict)

    def produce(self, draft: AssetDraft) -> Made:
        """The files and findings; no file and the finding "not_run" where it is unwanted or its tool is absent."""
        reason = self.unwanted(draft.profile)
        if not reason:
            try:
                return self.make(draft)
            except ToolUnavailable as absent:
                reason = str(absent)
        return {}, [not_run(self.gate, reason, self.tool)] if self.gate else []
