"""docs/PROFILES.md has every key of an export profile with the values of the bundled ones, and a file that works."""

import dataclasses
import json
import re
from pathlib import Path

from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, ExportProfile
from dreamfoundry.settings.loading import resolve_profile

PAGE = (Path(__file__).parents[2] / "docs" / "PROFILES.md").read_text(encoding="utf-8")


def test_every_key_stands_in_the_table_with_the_values_of_all_bundled_profiles() -> None:
    rows = {cells[1].strip("` "): cells[4:-1] for cells in (line.split("|") for line in PAGE.splitlines()) if cells[1:]}
    told = {key: [cell.strip() for cell in cells] for key, cells in rows.items() if key in _keys()}

    assert told == {key: [_text(getattr(profile, key)) for profile in EXPORT_PROFILES.values()] for key in _keys()}


def test_the_file_on_the_page_is_a_profile_with_what_it_says(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_props.toml").write_text(block, encoding="utf-8")

    profile = resolve_profile(str(tmp_path / "my_props.toml"))

    assert (profile.name, profile.triangles, profile.web, profile.usdz) == ("my_props", (8000, 4000, 1000), True, True)
    assert profile.engine_bundles == EXPORT_PROFILES["game_prop"].engine_bundles


def _keys() -> list[str]:
    return [field.name for field in dataclasses.fields(ExportProfile) if field.name != "name"]


def _text(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value).strip('"')
