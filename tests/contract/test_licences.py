"""From prompt to GLB nothing runs whose licence forbids to sell the result, or asks for the source of what uses it."""

import hashlib
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dreamfoundry.diffusion.weights import TOYBOX_LICENSE

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "Zlib",
}
PERMISSIVE_CLASSIFIERS = {
    "Apache Software License",
    "BSD License",
    "ISC License (ISCL)",
    "MIT License",
    "Python Software Foundation License",
}
# Packages that state their licence only as prose: what that prose must begin with.
PERMISSIVE_PROSE = ("3-Clause BSD", "Apache 2.0", "Apache-2.0", "BSD 3-Clause", "MIT License")
# Packages that state their licence only as its whole text: the digest of the text that was read, and what it is.
PERMISSIVE_TEXTS = {"d16a7cc9a7a95b6d42feccf9afd1281afb154c8b04631c174114a1a5a8c6aacf": "BSD-2-Clause"}

# What is neither in the list above nor harmful, each with the reason and the licence it must state.
WITH_CARE = {
    # The MPL asks for the source of its own files when they are changed and passed on; we do neither.
    "certifi": "Mozilla Public License 2.0 (MPL 2.0)",
    "tqdm": "MPL-2.0 AND MIT",
    # Apache-2.0 with the words on trademarks exchanged (Tomorrow Open Source Technology License).
    "usd-core": "LicenseRef-TOST-1.0",
}
# Libraries of CUDA, which the GPU build of torch brings: their licence allows commercial use, and we pass none on.
CUDA_PREFIXES = ("nvidia-", "cuda-")

# Tools of the developer that we neither import in the package nor ship.
DEVELOPER_ONLY = {"hypothesis": "MPL-2.0"}


def closure(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """Installed distributions that `requirements` bring, with all that these bring in turn."""
    found: dict[tuple[str, frozenset[str]], metadata.Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in found:
            continue
        found[key] = metadata.distribution(wanted.name)
        for inner in map(Requirement, found[key].requires or ()):
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {"", *wanted.extras}):
                waiting.append(inner)
    return {name: distribution for (name, _), distribution in found.items()}


def stated_licence(distribution: metadata.Distribution) -> str:
    """SPDX expression of an installed package, else its classifiers, else the first words of its prose."""
    stated = distribution.metadata.json
    expression, prose = (str(stated.get(key, "")).strip() for key in ("license_expression", "license"))
    classifiers = [text.rsplit(" :: ", 1)[1] for text in stated.get("classifier", ()) if "OSI Approved" in text]
    text = hashlib.sha256(" ".join(prose.split()).encode()).hexdigest()
    return expression or " AND ".join(classifiers) or PERMISSIVE_TEXTS.get(text, prose[:80])


def is_permissive(licence: str) -> bool:
    """True if one of the alternatives of `licence` consists of permissive licences only."""
    if any(
        all(part in PERMISSIVE | PERMISSIVE_CLASSIFIERS for part in alternative.split(" AND "))
        for alternative in re.sub(r"^\((.*)\)$", r"\1", licence).split(" OR ")
    ):
        return True
    return " AND " not in licence and licence.startswith(PERMISSIVE_PROSE)


def is_fit(name: str, licence: str) -> bool:
    return name.startswith(CUDA_PREFIXES) or WITH_CARE.get(name) == licence or is_permissive(licence)


def test_everything_that_runs_from_prompt_to_glb_is_fit_for_commercial_use() -> None:
    licences = {name: stated_licence(one) for name, one in closure(PROJECT["dependencies"]).items()}

    assert len(licences) > 50, "the closure is not followed"
    assert {name: licence for name, licence in licences.items() if not is_fit(name, licence)} == {}


@pytest.mark.parametrize("name", [Requirement(text).name for text in EXTRAS["dev"]])
def test_every_developer_tool_is_permissive_or_stays_with_the_developer(name: str) -> None:
    licence = stated_licence(metadata.distribution(name))

    assert is_fit(name, licence) or DEVELOPER_ONLY.get(name) == licence, f"{name}: {licence!r}"


@pytest.mark.parametrize(
    "licence",
    [
        *("GPL-3.0-only", "MIT AND GPL-2.0-or-later", "LGPL-3.0-or-later OR GPL-2.0-only", "MPL-2.0", "Proprietary"),
        *("", "CC-BY-NC-4.0", "MIT License AND Other/Proprietary License", "BUSL-1.1"),
    ],
)
def test_a_licence_outside_the_list_is_refused(licence: str) -> None:
    assert not is_fit("some-package", licence)


@pytest.mark.parametrize("licence", ["Apache-2.0 OR GPL-2.0-only", "MIT", "(MIT OR CC0-1.0)", "BSD-3-Clause AND MIT"])
def test_a_licence_of_the_list_or_a_choice_of_one_is_fit(licence: str) -> None:
    assert is_fit("some-package", licence)


def test_every_node_package_is_fit_too() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {path.rsplit("node_modules/", 1)[-1]: entry for path, entry in lock["packages"].items() if path}

    assert packages
    assert {name: entry.get("license") for name, entry in packages.items() if not is_permissive(entry["license"])} == {}


def test_the_bundled_prior_says_its_licence_and_the_words_come_along() -> None:
    card = (ROOT / "pipeline/dreamfoundry/toybox/MODEL_CARD.md").read_text(encoding="utf-8")
    words = (ROOT / "LICENSE").read_text(encoding="utf-8")

    assert re.search(rf"\b{re.escape(TOYBOX_LICENSE)}\b", card)
    assert PROJECT["license"] == TOYBOX_LICENSE
    assert PROJECT["license-files"] == ["LICENSE"]
    assert "Apache License" in words
    assert "Version 2.0" in words
