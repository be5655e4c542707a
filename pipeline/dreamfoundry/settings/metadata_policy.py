"""Provenance and rights in the delivered files of an asset.

A policy applies to a whole run (flags of `dreamfoundry build`) and is part of the asset key: another policy gives
other files. It concerns the GLBs, the sidecar and the names of files; outcomes, catalog and index of the library hold
every prompt in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from dreamfoundry.settings.values import require

NO_ASSERTION = "NOASSERTION"
"""SPDX for a licence that nobody has stated."""


@dataclass(frozen=True)
class MetadataPolicy:
    """Statements of the owner of a run in its files."""

    embed_prompt: bool = True
    """Prompt in files and file names. Without it they carry its SHA-256 alone, which confirms a right guess and tells
    nothing else."""

    asset_license: str = NO_ASSERTION
    """SPDX expression in its usual spelling, LicenseRef-NAME for a licence of one's own, or NOASSERTION."""

    copyright_holder: str = ""
    """Name of at most 200 printable characters."""

    rights_url: str = ""
    """Address of the licence text, https://."""

    def __post_init__(self) -> None:
        require(
            self.asset_license == canonical_license(self.asset_license),
            "asset_license",
            self.asset_license,
            "must be SPDX in its usual spelling, as in CC0-1.0 or CC-BY-4.0; LicenseRef-NAME for a licence of your "
            f"own; or {NO_ASSERTION}" + _spelling_hint(self.asset_license),
        )

        require(
            self.rights_url == "" or self.rights_url.startswith(("https://", "http://")),
            "rights_url",
            self.rights_url,
            "must be an address that begins with https://",
        )

        require(
            self.copyright_holder.isprintable() and len(self.copyright_holder) <= 200,
            "copyright_holder",
            self.copyright_holder,
            "must be a name of at most 200 printable characters",
        )


def canonical_license(license: str) -> str | None:
    """The usual spelling of an SPDX expression, or NO_ASSERTION; None for what is neither."""
    if license == NO_ASSERTION:
        return license
    try:
        return str(canonicalize_license_expression(license))
    except InvalidLicenseExpression:
        return None


def _spelling_hint(license: str) -> str:
    canonical = canonical_license(license)
    return f" (did you mean {canonical!r}?)" if canonical and canonical != license else ""


DEFAULT_POLICY = MetadataPolicy()
"""The prompt in every file, and no statement about rights."""
