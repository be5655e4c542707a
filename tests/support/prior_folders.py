"""Configurations of priors in folders, and a way to spoil one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreamfoundry.settings.prior import PriorConfig


def config_of(folder: Path, **changes: Any) -> PriorConfig:
    return replace(PriorConfig(path=str(folder), license="MIT"), **changes)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
