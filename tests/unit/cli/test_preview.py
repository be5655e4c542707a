"""`dreamfoundry preview` as a person runs it, in a few steps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.cli.main import run
from dreamfoundry.cli.preview import checked_prompt, unused_folder, write_files
from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.loading import bundled_recipe


def preview(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dreamfoundry", "preview", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280.0)


def test_a_prompt_becomes_files_and_the_last_lines_name_the_glb_and_the_picture(
    tmp_path: Path, ball_recipe_file: Callable[[int], str]
) -> None:
    (tmp_path / "shop.toml").write_text("triangles = [400]\ntexture_px = [64]\nweb = true\n")
    done = preview(tmp_path, "a  Red ball", "--recipe", ball_recipe_file(4), "--profile", "shop.toml")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "preview").iterdir()
    assert re.fullmatch(r"a_red_ball_[0-9a-f]{8}", folder.name)
    glb, picture = f"preview/{folder.name}/{folder.name}.glb", f"preview/{folder.name}/thumbnail.png"
    assert done.stdout.splitlines()[-2:] == [f"asset    {glb}", f"picture  {picture}"]
    assert (tmp_path / glb).read_bytes().startswith(b"glTF")
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    told = json.loads((folder / "asset.json").read_text())
    assert told["metadata"]["export_profile"] == "shop"
    assert told["gates"]["web"] == ("passed" if (folder / f"{folder.name}_web.glb").exists() else "not_run")
    assert told["provenance"]["scale_source"] == "words"
    assert told["dimensions_m"][1] == pytest.approx(0.22, rel=0.01)

    lines = [line.split(maxsplit=1)[1] for line in done.stderr.splitlines() if line.startswith(" 0:")]
    assert lines[:3] == ["loading the libraries", "loading the prior", "distilling: step 0/4"]
    assert lines[-1].startswith("exporting")


def test_words_that_the_toybox_does_not_know_are_refused_with_those_that_it_knows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["preview", "a gren dragon"]) == 4
    printed = capsys.readouterr().err
    assert "'gren' (did you mean 'green'?), 'dragon'" in printed
    assert "mushroom" in printed


def test_a_second_preview_of_a_prompt_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "a_red_ball"
    assert unused_folder(folder) == folder
    folder.mkdir()
    assert unused_folder(folder) == tmp_path / "a_red_ball-2"
    (tmp_path / "a_red_ball-2").write_text("a file")
    assert unused_folder(folder) == tmp_path / "a_red_ball-3"


def test_files_of_a_named_folder_are_replaced_and_counted(tmp_path: Path) -> None:
    contents = {"a.glb": b"1", "asset.json": b"2"}
    assert write_files(tmp_path / "new/folder", contents) == 0
    assert write_files(tmp_path / "new/folder", {**contents, "b.glb": b"3"}) == 2


@pytest.mark.parametrize("seed", [0, 10**9, 10**18, 2**63 - 1])
def test_every_seed_of_a_manifest_is_one_of_a_preview(seed: int) -> None:
    assert checked_prompt("a red ball", seed, bundled_recipe("toybox")).seed == seed


@pytest.mark.parametrize(("text", "rule"), [("  ", "must not be empty"), ("a " * 600, "at most 1000 characters")])
def test_the_rules_of_a_manifest_hold(text: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        checked_prompt(text, 0, bundled_recipe("toybox"))
