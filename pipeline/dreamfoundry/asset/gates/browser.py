"""The browser as a gate: three.js in headless Chromium opens every level and draws it.

Chromium and the npm package `three` are optional. Where one is absent the gate says "not_run", which
is never to be read as passed. Chromium is what the environment variable DREAMFOUNDRY_CHROMIUM names,
else the first of CHROMIUM_NAMES on PATH; `three` is found as in module `host.nodejs`.

One page serves all files (`Browser`). It is driven over a pair of pipes with the Chrome DevTools
Protocol, and everything that it loads is handed to it there: there is no server, no port and no
network. Chromium ends by itself when its pipes close, and is killed with all its processes otherwise.

Dimension key:  V views · H picture side in pixels
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.gates.blank import HALF_OPAQUE, why_blank
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.errors import BrowserUnavailable, NodeUnavailable
from dreamfoundry.host.child_process import die_with
from dreamfoundry.host.nodejs import package_folder
from dreamfoundry.records import Finding

GATE = "browser"
TOOL = "three.js in Chromium"
CHROMIUM_VARIABLE = "DREAMFOUNDRY_CHROMIUM"
MODULE_VARIABLE = "DREAMFOUNDRY_THREE"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

START_LIMIT_S = 120.0
LOOK_LIMIT_S = 120.0
"""Longest wait for one file; a page that hangs is a finding, not a hanging export."""

VIEW_PX = 256
ELEVATION_DEG = 20.0
AZIMUTHS_DEG = (30.0, 120.0, 210.0, 300.0)

MIN_LEVEL_IOU = 0.9

ORIGIN = "http://dreamfoundry.invalid/"
"""A name that never resolves (RFC 2606): what is not handed over through the pipe fails."""

PAGE = """<!doctype html><meta charset="utf-8">
<script type="importmap">{"imports": {"three": "/three/build/three.module.js",
"three/addons/": "/three/examples/jsm/"}}</script>
<script type="module" src="/page.mjs"></script>"""

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # the sandbox needs rights that containers withhold; the page holds nothing but our own files
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-startup-window",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@dataclass(frozen=True)
class Look:
    """One file as a web page sees it; pictures are straight RGBA, one per pose asked for.

    `errors` are the errors of the console, in their order; with errors, the rest may be empty.
    `images` are the sides in pixels of each texture that reached the material, by three.js' slots.
    """

    errors: tuple[str, ...]
    pictures: UInt8[np.ndarray, "V H H 4"]
    triangles: int = 0
    dimensions_m: tuple[float, ...] = ()
    images: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def silhouettes(self) -> Bool[np.ndarray, "V H H"]:
        shown: np.ndarray = self.pictures[..., 3] > HALF_OPAQUE
        return shown


def check_browser(levels: Mapping[str, bytes]) -> tuple[list[Finding], dict[str, Look]]:
    """Findings and looks of the levels of one asset, finest first, in a browser of their own."""
    try:
        with Browser() as browser:
            return look_at_levels(browser, levels)
    except BrowserUnavailable as reason:
        return [not_run(str(reason))], {}


def look_at_levels(browser: Browser, levels: Mapping[str, bytes]) -> tuple[list[Finding], dict[str, Look]]:
    """The same in a browser that is open already. All levels stand before the cameras of the first.

    An error on the console and a blank picture block; a silhouette unlike that of the first level warns.
    """
    vertices = read_glb(next(iter(levels.values()))).vertices
    poses = np.stack([framing_pose(vertices, azimuth_deg, ELEVATION_DEG) for azimuth_deg in AZIMUTHS_DEG])
    looks = {name: browser.look(data, poses, FOVY_DEG, VIEW_PX) for name, data in levels.items()}
    first = next(iter(looks.values()))
    findings: list[Finding] = [
        Finding(severity, GATE, TOOL, f"{name}: {message}")
        for name, look in looks.items()
        for severity, message in _problems(look, first)
    ]
    return findings, looks


def not_run(reason: str) -> Finding:
    return Finding("not_run", GATE, TOOL, reason)


def silhouette_iou(look: Look, other: Look) -> float:
    """Intersection over union of the silhouettes of two looks from the same poses, the worst view; in [0, 1]."""
    one, two = look.silhouettes(), other.silhouettes()
    common, either = (one & two).sum(axis=(1, 2)), (one | two).sum(axis=(1, 2))
    return float((common / np.maximum(either, 1)).min())


def _problems(look: Look, first: Look) -> list[tuple[Literal["block", "warn"], str]]:
    if look.errors:
        return [("block", f"console error: {error}") for error in look.errors]
    if why := why_blank(look.pictures):
        return [("block", why)]
    if not first.errors and (iou := silhouette_iou(look, first)) < MIN_LEVEL_IOU:
        return [("warn", f"silhouette IoU with the first level = {iou:.3f}: should be at least {MIN_LEVEL_IOU:g}")]
    return []


class Browser:
    """One Chromium with one page, open as long as the context: `with Browser() as browser: browser.look(...)`.

    Raises BrowserUnavailable when it cannot be opened, or stops answering; it is of no use after that.
    """

    def __init__(self) -> None:
        self._chromium = _chromium()
        if self._chromium is None:
            raise BrowserUnavailable(f"Chromium is not installed (none of {', '.join(CHROMIUM_NAMES)} on PATH)")
        try:
            self._three = package_folder("three", os.environ.get(MODULE_VARIABLE, ""))
        except NodeUnavailable as error:
            raise BrowserUnavailable(f"{error} (or set {MODULE_VARIABLE})") from None
        self._process: subprocess.Popen[bytes] | None = None
        self._glb = b""
        self._errors: list[str] = []
        self._num_looks = 0

    def __enter__(self) -> Browser:
        self._folder = tempfile.TemporaryDirectory(prefix="dreamfoundry-", ignore_cleanup_errors=True)
        try:
            self._process = _start(str(self._chromium), self._folder.name)
            self._pipe = _Pipe(self._process)
            self._open_page()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process, suppress(ProcessLookupError):  # closes the pipes and waits
                os.killpg(self._process.pid, signal.SIGKILL)
        self._folder.cleanup()

    def look(self, glb: bytes, poses: Float64[np.ndarray, "V 4 4"], fovy_deg: float, size_px: int) -> Look:
        """`glb` from cameras (camera-to-world, along -Z, +Y up) as square pictures on nothing."""
        self._glb, self._errors = glb, []
        self._num_looks += 1
        url = f"{ORIGIN}{self._num_looks}.glb"
        call = f"look({json.dumps(url)}, {json.dumps(poses.tolist())}, {fovy_deg}, {size_px})"
        answer = self._evaluate(call, LOOK_LIMIT_S)
        if "exceptionDetails" in answer:
            self._errors.append(_thrown(answer["exceptionDetails"]))
            return Look(tuple(self._errors), np.zeros((0, size_px, size_px, 4), np.uint8))
        seen = answer["result"]["value"]
        pictures = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")) for png in seen["pictures"]
        ]
        return Look(
            errors=tuple(self._errors),
            pictures=np.stack(pictures),
            triangles=int(seen["triangles"]),
            dimensions_m=tuple(map(float, seen["dimensions_m"])),
            images=seen["images"],
        )

    def version(self) -> str:
        """Names and versions of what draws, such as "three.js 0.187.0 in Chrome/156.0.8078.79"."""
        three = json.loads((Path(str(self._three)) / "package.json").read_text(encoding="utf-8"))["version"]
        return f"three.js {three} in {self._call('Browser.getVersion', START_LIMIT_S, session='')['product']}"

    def _open_page(self) -> None:
        self._session = ""
        target = self._call("Target.createTarget", START_LIMIT_S, url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", START_LIMIT_S, targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Fetch.enable", START_LIMIT_S, patterns=[{"urlPattern": "*"}])
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable", START_LIMIT_S)
        self._loaded = False
        self._call("Page.navigate", START_LIMIT_S, url=ORIGIN)
        deadline = time.monotonic() + START_LIMIT_S
        while not self._loaded:
            self._heed(self._pipe.receive(deadline))
        if "exceptionDetails" in self._evaluate("look.name", START_LIMIT_S):
            raise BrowserUnavailable(f"three.js does not start in Chromium: {'; '.join(self._errors) or 'no message'}")

    def _evaluate(self, expression: str, limit_s: float) -> dict[str, Any]:
        return self._call("Runtime.evaluate", limit_s, expression=expression, awaitPromise=True, returnByValue=True)

    def _call(self, method: str, limit_s: float, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that come meanwhile are heeded."""
        deadline = time.monotonic() + limit_s
        number = self._pipe.send(method, parameters, self._session if session is None else session)
        while (message := self._pipe.receive(deadline)).get("id") != number:
            self._heed(message)
        if "error" in message:
            raise BrowserUnavailable(f"Chromium refused {method}: {message['error'].get('message')}")
        result: dict[str, Any] = message["result"]
        return result

    def _heed(self, message: Mapping[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Fetch.requestPaused":
            self._serve(parameters["requestId"], parameters["request"]["url"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            words = [str(item.get("value", item.get("description", ""))) for item in parameters["args"]]
            self._errors.append(" ".join(words))
        elif method == "Runtime.exceptionThrown":
            self._errors.append(_thrown(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self._errors.append(f"{parameters['entry']['text']} ({parameters['entry'].get('url', 'no address')})")
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method in ("Inspector.targetCrashed", "Target.targetCrashed"):
            raise BrowserUnavailable("the page of Chromium crashed")

    def _serve(self, request: str, url: str) -> None:
        """Hand over one file of the page; what lies outside of it fails, and that is an error on the console."""
        if url.startswith(("blob:", "data:")):
            self._pipe.send("Fetch.continueRequest", {"requestId": request}, self._session)
            return
        content = self._content(url.removeprefix(ORIGIN))
        if content is None:
            refusal = {"requestId": request, "errorReason": "BlockedByClient"}
            self._pipe.send("Fetch.failRequest", refusal, self._session)
            return
        media_type, body = content
        answer = {
            "requestId": request,
            "responseCode": 200,
            "responseHeaders": [{"name": "Content-Type", "value": media_type}],
            "body": base64.b64encode(body).decode(),
        }
        self._pipe.send("Fetch.fulfillRequest", answer, self._session)

    def _content(self, path: str) -> tuple[str, bytes] | None:
        if path == "":
            return "text/html", PAGE.encode()
        if path == "favicon.ico":
            return "image/x-icon", b""
        if path == "page.mjs":
            return "text/javascript", Path(__file__).with_name("browser_page.mjs").read_bytes()
        if path == f"{self._num_looks}.glb":
            return "model/gltf-binary", self._glb
        script = Path(str(self._three), path.removeprefix("three/"))
        return ("text/javascript", script.read_bytes()) if path.startswith("three/") and script.is_file() else None


class _Pipe:
    """Messages of the DevTools Protocol with a process: JSON, each ended by a zero byte."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._reading, self._writing = _descriptor(process.stdout), _descriptor(process.stdin)
        os.set_blocking(self._writing, False)
        self._received = bytearray()
        self._number = 0

    def send(self, method: str, parameters: Mapping[str, Any], session: str) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": dict(parameters)}
        if session:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LOOK_LIMIT_S
        try:
            while data:
                if not select.select([], [self._writing], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise BrowserUnavailable("Chromium does not take commands any more")
                data = data[os.write(self._writing, data) :]
        except BrokenPipeError as error:
            raise BrowserUnavailable("Chromium ended") from error
        return self._number

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message; BrowserUnavailable when Chromium ends or `deadline` (monotonic seconds) passes."""
        while (end := self._received.find(b"\0")) < 0:
            left_s = deadline - time.monotonic()
            ready, _, _ = select.select([self._reading], [], [], min(max(left_s, 0.0), 1.0))
            data = os.read(self._reading, 1 << 20) if ready else b""
            if not data and (ready or self._process.poll() is not None):
                raise BrowserUnavailable("Chromium ended")
            if not data and left_s <= 0.0:
                raise BrowserUnavailable("Chromium did not answer in time")
            self._received += data
        message: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message


def _start(chromium: str, folder: str) -> subprocess.Popen[bytes]:
    """Chromium in a process group of its own, whose home is `folder`; commands on stdin, answers on stdout."""
    # Chromium wants commands on descriptor 3 and answers on 4.
    redirecting = 'exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null'
    return subprocess.Popen(
        ["/bin/sh", "-c", redirecting, "sh", chromium, *FLAGS, f"--user-data-dir={folder}/profile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder},
        start_new_session=True,
        preexec_fn=partial(die_with, os.getpid()),
    )


def _chromium() -> str | None:
    named = os.environ.get(CHROMIUM_VARIABLE)
    names = (named,) if named else CHROMIUM_NAMES
    return next(filter(None, map(shutil.which, names)), None)


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise ValueError("the process was started without a pipe")
    return stream.fileno()


def _thrown(details: Mapping[str, Any]) -> str:
    """The first line of what was thrown."""
    words = details.get("exception", {}).get("description") or details.get("text", "an exception without a message")
    return str(words).splitlines()[0]
