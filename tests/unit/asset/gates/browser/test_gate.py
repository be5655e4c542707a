"""A browser opens what is delivered, sees what our own renderer sees, and leaves nothing running."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb, read_glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.browser import gate, page
from dreamfoundry.asset.gates.browser.chromium import CHROMIUM_VARIABLE
from dreamfoundry.asset.gates.browser.gate import BROWSER, check_levels
from dreamfoundry.asset.gates.browser.page import MODULE_VARIABLE, Browser
from dreamfoundry.asset.maps.rasterize import silhouette
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.errors import BrowserUnavailable
from dreamfoundry.host.child_process import package_environment
from dreamfoundry.records import TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile
from support.processes import MARK, marked_processes, wait_until_gone

try:
    Browser()
    ABSENT = ""
except BrowserUnavailable as reason:
    ABSENT = str(reason)
DRAFT = AssetDraft("a", ExportProfile(browser=True), 1.0, {}, (Glb("a.glb", b""),))
needs_browser = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)


def written(mesh: TexturedMesh) -> bytes:
    return write_glb(mesh, slug="beacon", level=0, metadata={}, copyright_text="nobody")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@needs_browser
@pytest.mark.slow
def test_a_sound_level_passes_and_looks_as_in_our_own_renderer(browser: Browser, textured_beacon: TexturedMesh) -> None:
    data = written(textured_beacon)

    findings, renderings = check_levels(browser, [Glb("beacon.glb", data)])

    assert findings == []
    drawn = renderings["beacon.glb"]
    assert drawn.triangles == len(textured_beacon.faces)
    assert drawn.dimensions_m == pytest.approx(np.ptp(textured_beacon.vertices, axis=0), abs=1e-5)
    assert drawn.images == {"map": [128, 128]}
    mesh = read_glb(data)
    for azimuth_deg, shown in zip(gate.AZIMUTHS_DEG, drawn.silhouettes(), strict=True):
        pose = framing_pose(mesh.vertices, azimuth_deg, gate.ELEVATION_DEG)
        ours = silhouette(mesh.vertices, mesh.faces, pose, FOVY_DEG, gate.VIEW_PX)
        assert (ours & shown).sum() / (ours | shown).sum() > 0.98


@needs_browser
@pytest.mark.slow
def test_a_texture_with_broken_data_is_an_error_on_the_console_and_blocks(
    browser: Browser, textured_beacon: TexturedMesh
) -> None:
    data = bytearray(written(textured_beacon))
    start = data.index(b"\x89PNG")
    data[start + 200 :] = bytes(len(data) - start - 200)

    ((finding,), _) = check_levels(browser, [Glb("beacon.glb", bytes(data))])

    assert (finding.severity, finding.gate) == ("block", "browser")
    assert "beacon.glb: console error" in finding.message
    assert "texture" in finding.message


@needs_browser
@pytest.mark.slow
def test_a_file_that_three_cannot_read_blocks_and_the_page_lives_on(
    browser: Browser, textured_beacon: TexturedMesh
) -> None:
    sound = written(textured_beacon)
    poses = np.stack([framing_pose(textured_beacon.vertices, 0.0, 0.0)])

    assert browser.render(b"glTF junk", poses, FOVY_DEG, 64).errors
    assert not browser.render(sound, poses, FOVY_DEG, 64).errors


@needs_browser
@pytest.mark.slow
def test_a_needle_that_is_hardly_to_be_seen_blocks(browser: Browser, textured_beacon: TexturedMesh) -> None:
    needle = replace(textured_beacon, vertices=textured_beacon.vertices * np.array((0.01, 1, 0.01), np.float32))

    ((finding,), _) = check_levels(browser, [Glb("beacon.glb", written(needle))])

    assert finding.severity == "block"
    assert "covers" in finding.message


@needs_browser
@pytest.mark.slow
def test_a_level_of_another_shape_warns(browser: Browser, textured_beacon: TexturedMesh) -> None:
    thin = replace(textured_beacon, vertices=textured_beacon.vertices * np.array((0.7, 1, 0.7), np.float32))

    findings, renderings = check_levels(
        browser, [Glb("a.glb", written(textured_beacon)), Glb("a_LOD1.glb", written(thin))]
    )

    (finding,) = findings
    assert finding.severity == "warn"
    assert finding.message.startswith("a_LOD1.glb: silhouette IoU")
    assert gate.silhouette_iou(renderings["a.glb"], renderings["a.glb"]) == 1.0


@needs_browser
@pytest.mark.slow
def test_nothing_is_left_running_when_the_browser_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "closed-by-us")

    with Browser() as opened:
        assert "three.js" in opened.version()
        assert marked_processes("closed-by-us")

    wait_until_gone("closed-by-us", timeout_s=20.0)


@needs_browser
@pytest.mark.slow
def test_nothing_is_left_running_when_the_process_that_opened_it_is_killed() -> None:
    program = (
        "import time; from dreamfoundry.browser import Browser\n"
        "with Browser(): print('open', flush=True); time.sleep(1000)"
    )
    environment = {**package_environment(), MARK: "parent-killed"}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        assert len(marked_processes("parent-killed")) > 1
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()

    wait_until_gone("parent-killed", timeout_s=20.0)


@pytest.mark.parametrize("missing", ["chromium", "three"])
def test_without_chromium_or_three_the_gate_says_not_run(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH" if missing == "chromium" else MODULE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(CHROMIUM_VARIABLE, "chromium" if missing == "chromium" else sys.executable)

    files, findings = BROWSER.produce(DRAFT)

    assert [(finding.severity, finding.gate) for finding in findings] == [("not_run", "browser")]
    assert files == {}


@pytest.mark.parametrize(
    ("behaviour", "words"), [("exec sleep 1000", "did not answer in time"), ("exit 3", "Chromium ended")]
)
def test_a_chromium_that_hangs_or_dies_is_not_run_and_is_killed(
    behaviour: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\nsleep 1000 &\n{behaviour}\n")
    program.chmod(0o755)
    three = tmp_path / "three"
    three.mkdir()
    (three / "package.json").write_text("{}")
    monkeypatch.setenv(CHROMIUM_VARIABLE, str(program))
    monkeypatch.setenv(MODULE_VARIABLE, str(three))
    monkeypatch.setenv(MARK, f"fake-{behaviour[:4]}")
    monkeypatch.setattr(page, "START_LIMIT_S", 3.0)

    _, (finding,) = BROWSER.produce(DRAFT)

    assert finding.severity == "not_run"
    assert words in finding.message
    wait_until_gone(f"fake-{behaviour[:4]}", timeout_s=20.0)
