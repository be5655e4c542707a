"""One web page that draws GLBs with three.js in headless Chromium.

The npm package `three` is looked up as in module `host.nodejs`, or in the folder named by the environment
variable DREAMFOUNDRY_THREE. Everything that the page loads is handed to it through the DevTools pipe: there
is no server, no port and no network.

Dimension key:  V views · H picture side in pixels
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image

from dreamfoundry.asset.gates.browser.chromium import find_chromium, kill_chromium, start_chromium
from dreamfoundry.asset.gates.browser.devtools import DevToolsPipe
from dreamfoundry.asset.surface.silhouettes import HALF_OPAQUE
from dreamfoundry.errors import BrowserUnavailable, NodeUnavailable
from dreamfoundry.host.nodejs import package_folder

MODULE_VARIABLE = "DREAMFOUNDRY_THREE"

START_LIMIT_S = 120.0
RENDER_LIMIT_S = 120.0
"""Longest wait for one file; a page that hangs is a finding, not a hanging export."""

ORIGIN = "http://dreamfoundry.invalid/"
"""A name that never resolves (RFC 2606): what is not handed over through the pipe fails."""

PAGE = """<!doctype html><meta charset="utf-8">
<script type="importmap">{"imports": {"three": "/three/build/three.module.js",
"three/addons/": "/three/examples/jsm/"}}</script>
<script type="module" src="/page.mjs"></script>"""


@dataclass(frozen=True)
class PageRendering:
    """One file as drawn by a web page; pictures are straight RGBA, one per pose.

    `errors` are the errors of the console, in their order; with errors, the rest may be empty.
    `images` are the sides in pixels of each texture in use, by the slots of three.js.
    """

    errors: tuple[str, ...]
    pictures: UInt8[np.ndarray, "V H H 4"]
    triangles: int = 0
    dimensions_m: tuple[float, ...] = ()
    images: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def silhouettes(self) -> Bool[np.ndarray, "V H H"]:
        """Covered pixels of each picture."""
        covered: np.ndarray = self.pictures[..., 3] > HALF_OPAQUE
        return covered


class Browser:
    """One Chromium with one page, open as long as the context: `with Browser() as browser: browser.render(...)`.

    Raises BrowserUnavailable when it cannot be opened, or stops answering; it is useless after that.
    """

    def __init__(self) -> None:
        self._chromium = find_chromium()
        try:
            self._three = package_folder("three", os.environ.get(MODULE_VARIABLE, ""))
        except NodeUnavailable as error:
            raise BrowserUnavailable(f"{error} (or set {MODULE_VARIABLE})") from None
        self._process: subprocess.Popen[bytes] | None = None
        self._glb = b""
        self._errors: list[str] = []
        self._num_files = 0

    def __enter__(self) -> Browser:
        self._folder = tempfile.TemporaryDirectory(prefix="dreamfoundry-", ignore_cleanup_errors=True)
        try:
            self._process = start_chromium(self._chromium, self._folder.name)
            self._pipe = DevToolsPipe(self._process)
            self._open_page()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            kill_chromium(self._process)
        self._folder.cleanup()

    def render(self, glb: bytes, poses: Float64[np.ndarray, "V 4 4"], fovy_deg: float, size_px: int) -> PageRendering:
        """Draw `glb` from cameras (camera-to-world, along -Z, +Y up) as square pictures without background."""
        self._glb, self._errors = glb, []
        self._num_files += 1

        url = f"{ORIGIN}{self._num_files}.glb"
        call = f"render({json.dumps(url)}, {json.dumps(poses.tolist())}, {fovy_deg}, {size_px})"
        answer = self._evaluate(call, RENDER_LIMIT_S)
        if "exceptionDetails" in answer:
            self._errors.append(_thrown(answer["exceptionDetails"]))
            return PageRendering(tuple(self._errors), np.zeros((0, size_px, size_px, 4), np.uint8))

        drawn = answer["result"]["value"]
        pictures = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")) for png in drawn["pictures"]
        ]
        return PageRendering(
            errors=tuple(self._errors),
            pictures=np.stack(pictures),
            triangles=int(drawn["triangles"]),
            dimensions_m=tuple(map(float, drawn["dimensions_m"])),
            images=drawn["images"],
        )

    def version(self) -> str:
        """Names and versions of what draws, such as "three.js 0.187.0 in Chrome/156.0.8078.79"."""
        three = json.loads((Path(str(self._three)) / "package.json").read_text(encoding="utf-8"))["version"]
        return f"three.js {three} in {self._call('Browser.getVersion', START_LIMIT_S, session='')['product']}"

    def _open_page(self) -> None:
        """Attach to a fresh page, serve every request of it from here, and wait until three.js has started."""
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
            self._handle(self._pipe.receive(deadline))
        if "exceptionDetails" in self._evaluate("render.name", START_LIMIT_S):
            raise BrowserUnavailable(f"three.js does not start in Chromium: {'; '.join(self._errors) or 'no message'}")

    def _evaluate(self, expression: str, limit_s: float) -> dict[str, Any]:
        return self._call("Runtime.evaluate", limit_s, expression=expression, awaitPromise=True, returnByValue=True)

    def _call(self, method: str, limit_s: float, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that arrive meanwhile are handled."""
        deadline = time.monotonic() + limit_s
        number = self._pipe.send(method, parameters, self._session if session is None else session)
        while (message := self._pipe.receive(deadline)).get("id") != number:
            self._handle(message)
        if "error" in message:
            raise BrowserUnavailable(f"Chromium refused {method}: {message['error'].get('message')}")
        result: dict[str, Any] = message["result"]
        return result

    def _handle(self, message: Mapping[str, Any]) -> None:
        """Serve a request of the page, or note an error of its console."""
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
        """Hand over one file of the page; any other address fails, which is an error on the console."""
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
        """Media type and bytes of a file of the page; None for any other path."""
        if path == "":
            return "text/html", PAGE.encode()
        if path == "favicon.ico":
            return "image/x-icon", b""
        if path == "page.mjs":
            return "text/javascript", Path(__file__).with_name("page.mjs").read_bytes()
        if path == f"{self._num_files}.glb":
            return "model/gltf-binary", self._glb
        script = Path(str(self._three), path.removeprefix("three/"))
        return ("text/javascript", script.read_bytes()) if path.startswith("three/") and script.is_file() else None


def _thrown(details: Mapping[str, Any]) -> str:
    """The first line of an exception of the page."""
    words = details.get("exception", {}).get("description") or details.get("text", "an exception without a message")
    return str(words).splitlines()[0]
