"""What the files of an asset say about where it comes from, and to whom it belongs.

A policy is one of a whole run (options of jobs/build_library.py) and part of the asset key: another
policy gives other files. It concerns what is delivered, the GLBs and the sidecar with the names of
the files; outcomes, catalog and index of the library hold every prompt in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from dreamfoundry.settings.values import require

NO_ASSERTION = "NOASSERTION"
"""SPDX's word for "whoever ran this has not said"."""


@dataclass(frozen=True)
class MetadataPolicy:
    """What the owner of a run lets its files say.

    Without `embed_prompt` the files carry the SHA-256 of the prompt alone, in their names too; it
    tells a reader who guesses the prompt that the guess is right, and nothing else. `asset_license`
    is an SPDX expression; `rights_url` leads to its words.
    """

    embed_prompt: bool = True
    asset_license: str = NO_ASSERTION
    copyright_holder: str = ""
    rights_url: str = ""

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
"""The prompt stands in every file; nothing is said about rights."""
