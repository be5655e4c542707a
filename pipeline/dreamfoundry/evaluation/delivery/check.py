"""Check every asset of a library as it was delivered, without trusting the exporter.

Every file must have the digest in asset.json, and asset.json the one in its outcome; the Khronos
validator, the validators of USD and the readers of other programs read the delivered bytes once
more. Gates, scores and seconds are those of asset.json. What is absent is "not run", which is never
to be read as passed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from dreamfoundry.asset.files import usdz
from dreamfoundry.asset.gates import khronos
from dreamfoundry.errors import InputError, ReaderUnavailable
from dreamfoundry.evaluation.delivery.disagreements import all_disagreements, levels_of
from dreamfoundry.evaluation.delivery.readers import READERS
from dreamfoundry.evaluation.delivery.summary import summary
from dreamfoundry.evaluation.delivery.workmanship import clashing_names, contradictions, workmanship
from dreamfoundry.library.library import OUTCOMES, VIEW_FILE, Library, decided_order, view_key
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import Outcome
from dreamfoundry.toybox.captions import kind_of

SIDECAR = "asset.json"

UNREADABLE = {"severity": 0, "code": "UNREADABLE"}
"""Message for a file that the Khronos validator cannot read at all."""

RunsOf = Callable[[Library, Sequence[Outcome]], list[dict[str, Any]]]
"""Figures of the runs that published some outcomes. The caller brings it: reports of runs are above this room."""


@dataclass(frozen=True)
class Asset:
    """One published asset in its folder, and what is wrong with it.

    `sidecar` is empty where asset.json cannot be trusted; then nothing else was checked. `khronos`
    has the validator's reports by file, none where it was not run. `usd_errors` is None where
    there is no USDZ, or nothing to validate it with.
    """

    outcome: Outcome
    folder: Path
    defects: Sequence[str]
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    khronos: Mapping[str, Any] = field(default_factory=dict)
    usd_errors: Sequence[str] | None = None

    @property
    def profile(self) -> str:
        return profile_of(self.outcome)


def check_library(folder: Path, command: str, runs_of: RunsOf) -> tuple[dict[str, Any], list[Asset], int]:
    """Every figure, as JSON takes them, the assets behind them, and the number of files of all outcomes.

    Of several exports of one prompt in one profile the newest counts. `command` is the line that
    repeats the check. InputError where the folder is no library.
    """
    if not (folder / OUTCOMES).is_dir():
        raise InputError(f"{folder} is no library; name a folder that `dreamfoundry build` has filled")
    library = Library(open_store(folder))
    outcomes = newest(library.outcomes())
    refused = [
        f"{_title(outcome)}: refused: {outcome.failure_class}: {outcome.message}"
        for outcome in outcomes
        if not _is_published(outcome)
    ]
    assets = [check_asset(folder, outcome) for outcome in outcomes if _is_published(outcome)]
    defects = [f"{_title(asset.outcome)}: {defect}" for asset in assets for defect in asset.defects]

    # a damaged file would only be reported again by every reader
    sound = [asset for asset in assets if not asset.defects]
    readers = {name: read_assets(name, sound) for name in READERS}
    differences = [f"{name}: {line}" for name, reader in readers.items() for line in reader.get("disagreements", ())]

    profiles = sorted({asset.profile for asset in assets})
    rows = {
        profile: [asset_figures(asset) for asset in assets if asset.sidecar and asset.profile == profile]
        for profile in profiles
    }
    runs = {
        profile: runs_of(library, [asset.outcome for asset in assets if asset.profile == profile])
        for profile in profiles
    }
    wrong_scores = [
        f"{row['prompt_id']} ({profile}): {line}"
        for profile, group in rows.items()
        for row in group
        for line in contradictions(row["workmanship"], row["scores"])
    ]

    figures = {
        "command": command,
        "environment": environment(assets, readers),
        "asked": len(outcomes),
        "published": len(assets),
        "wrong": [*refused, *defects, *differences, *wrong_scores],
        "clashing_names": clashing_names(path for asset in sound for path in sorted(asset.folder.glob("*.glb"))),
        "readers": readers,
        "profiles": {profile: {**summary(rows[profile]), "runs": runs[profile]} for profile in profiles},
        "assets": rows,
    }
    return figures, assets, sum(len(outcome.files) for outcome in outcomes)


def newest(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcome decided last for each prompt id and profile, by prompt id."""
    latest = {(one.prompt_id, profile_of(one)): one for one in sorted(outcomes, key=decided_order)}
    return [latest[key] for key in sorted(latest)]


def profile_of(outcome: Outcome) -> str:
    """Name of the export profile of an outcome, "" where it has none."""
    return str(outcome.provenance.get("budget_profile", ""))


def check_asset(library: Path, outcome: Outcome) -> Asset:
    """Check the files in the named view of a published `outcome`."""
    folder = (library / view_key(outcome.prompt_id, outcome.asset_key, VIEW_FILE)).parent
    files = {path.name: path.read_bytes() for path in folder.glob("*") if path.name != VIEW_FILE}
    if defect := damage(files.get(SIDECAR), outcome.files[SIDECAR].sha256, "its outcome"):
        return Asset(outcome, folder, [f"{SIDECAR}: {defect}"])

    sidecar = json.loads(files.pop(SIDECAR))
    expected = sidecar["files"]
    defects = [f"{name}: {SIDECAR} does not name it" for name in sorted(files.keys() - expected.keys())]
    damaged = {name: damage(files.get(name), expected[name]["sha256"], SIDECAR) for name in sorted(expected)}
    defects += [f"{name}: {defect}" for name, defect in damaged.items() if defect]
    defects += [f"gate {gate} refuses it" for gate, verdict in sidecar["gates"].items() if verdict == "block"]

    # validators read whole files only: what is damaged has been named already
    whole = [name for name, defect in damaged.items() if not defect]
    findings, reports = khronos.check_khronos({name: files[name] for name in whole if name.endswith(".glb")})
    defects += [f"{khronos.TOOL}: {finding.message}" for finding in findings if finding.severity != "not_run"]
    stages = [folder / name for name in whole if name.endswith(".usdz")]
    usd_errors = None
    if stages and importlib.util.find_spec("pxr"):
        usd_errors = [f"{stage.name}: {error}" for stage in stages for error in usdz.validation_errors(stage)]
        defects += [f"{usdz.TOOL}: {error}" for error in usd_errors]
    return Asset(outcome, folder, defects, sidecar, reports, usd_errors)


def damage(data: bytes | None, sha256: str, source: str) -> str:
    """Difference between the bytes of a file and the digest that `source` names, "" where there is none."""
    if data is None:
        return f"is missing, {source} names it"
    actual = hashlib.sha256(data).hexdigest()
    return "" if actual == sha256 else f"has SHA-256 {actual}, {source} says {sha256}"


def read_assets(name: str, assets: Sequence[Asset]) -> dict[str, Any]:
    """Version and disagreements of one reader over the levels of whole assets, or why it was not run."""
    levels = {asset.folder: levels_of(asset.folder) for asset in assets}
    try:
        return {
            "version": READERS[name].version(),
            "assets": len(levels),
            "files": sum(map(len, levels.values())),
            "disagreements": all_disagreements(name, levels),
        }
    except ReaderUnavailable as reason:
        return {"not_run": str(reason)}


def asset_figures(asset: Asset) -> dict[str, Any]:
    """One line of the table of assets, as JSON takes it."""
    outcome, sidecar = asset.outcome, asset.sidecar
    files, levels = sidecar["files"], [file.name for file in levels_of(asset.folder)]

    return {
        "prompt_id": outcome.prompt_id,
        "prompt": outcome.prompt,
        "kind": kind_of(outcome.prompt) or "",
        "asset_key": outcome.asset_key,
        "faults": list(asset.defects),
        "gates": sidecar["gates"],
        "findings": sidecar["findings"],
        "triangles": [files[name]["triangles"] for name in levels],
        "level_bytes": [files[name]["bytes"] for name in levels],
        "bytes": sum(entry["bytes"] for entry in files.values()),
        "num_glbs": sum(name.endswith(".glb") for name in files),
        **{name: sidecar[name] for name in ("watertight", "num_components", "genus", "scores", "timings_s")},
        "workmanship": _workmanship(asset),
        "export_s": outcome.provenance.get("export_s"),
        "export_cpu_s": outcome.provenance.get("export_cpu_s"),
        "optimize_s": outcome.provenance.get("optimize_s"),
        "khronos": {"files": len(asset.khronos), "messages": messages(asset.khronos)},
        "usd_errors": asset.usd_errors,
    }


def _workmanship(asset: Asset) -> dict[str, float | None]:
    """Figures that an art lead looks at, distances to the true toy where the prompt names one, and what they cost."""
    if asset.defects:
        return {}
    levels = levels_of(asset.folder)
    hulls = asset.folder / f"{asset.sidecar['slug']}_collision.glb"
    figures: dict[str, float | None] = {**workmanship(levels, hulls if hulls.exists() else None)}

    kind = kind_of(asset.outcome.prompt)
    return {
        **figures,
        **(_distance_to_truth(levels[0], kind) if kind else {}),
        "level_bytes": float(sum(level.stat().st_size for level in levels)),
        "silhouette_iou": asset.sidecar["scores"].get("silhouette_iou_LOD0"),
        "export_s": sum(asset.sidecar["timings_s"].values()),
        "export_cpu_s": _number(asset.outcome.provenance.get("export_cpu_s")),
    }


def _distance_to_truth(level: Path, kind: str) -> dict[str, float]:
    # the toys are torch, which takes longer to load than most checks take
    from dreamfoundry.evaluation.measure_library import delivered_surface
    from dreamfoundry.evaluation.metrics import align, best_yaw

    chamfer_share, _, f_scores = best_yaw(align(delivered_surface(level.read_bytes()).points), kind)
    return {"chamfer_share": chamfer_share, "f_score_5_percent": f_scores[0], "f_score_2_percent": f_scores[1]}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def messages(reports: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Messages of the Khronos validator by severity, code, and whether the allow-list expects them."""
    counts = Counter(
        (khronos.SEVERITY_WORDS[message["severity"]], message["code"], khronos.is_expected(name, message))
        for name, report in reports.items()
        for message in report.get("issues", {"messages": [UNREADABLE]})["messages"]
    )
    return [
        {"severity": severity, "code": code, "is_expected": is_expected, "count": count}
        for (severity, code, is_expected), count in sorted(counts.items())
    ]


def environment(assets: Sequence[Asset], readers: Mapping[str, Any]) -> dict[str, str]:
    """Versions of what made the assets and of what checked them, as text by title."""
    sidecars = [asset.sidecar for asset in assets if asset.sidecar]
    origins = [sidecar["metadata"] for sidecar in sidecars]
    makers = sorted({f"{one['generator']}, export version {one['export_version']}" for one in origins})
    software = sorted({", ".join(f"{name} {one}" for name, one in side["software"].items()) for side in sidecars})
    priors = sorted({f"{one['prior']['id']}, weights `{one['prior']['digest']}`" for one in origins})

    reports = [report for asset in assets for report in asset.khronos.values()]
    validators = sorted({report["validatorVersion"] for report in reports if "validatorVersion" in report})
    checkers = [f"{khronos.TOOL} {version}" for version in validators]
    checkers += [f"{usdz.TOOL} {metadata.version(usdz.TOOL)}"] if importlib.util.find_spec("pxr") else []
    checkers += [reader["version"] for reader in readers.values() if "version" in reader]

    return {
        "made by": "; ".join(makers),
        "with": "; ".join(software),
        "priors": "; ".join(priors),
        "checked with": ", ".join(checkers),
        "machine of the check": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def thumbnails(assets: Iterable[Asset]) -> dict[str, list[tuple[str, Path]]]:
    """(prompt, picture) of each asset whose sidecar can be trusted, by profile."""
    by_profile: dict[str, list[tuple[str, Path]]] = {}
    for asset in assets:
        if asset.sidecar:
            by_profile.setdefault(asset.profile, []).append((asset.outcome.prompt, asset.folder / "thumbnail.png"))
    return by_profile


def _title(outcome: Outcome) -> str:
    return f"{outcome.prompt_id} ({profile_of(outcome)})"


def _is_published(outcome: Outcome) -> bool:
    return outcome.state == "published"
