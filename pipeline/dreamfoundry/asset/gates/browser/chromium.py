"""Chromium as a child process: found on this machine, started without a window, ended with all its processes.

Chromium is named by the environment variable DREAMFOUNDRY_CHROMIUM, else it is the first of CHROMIUM_NAMES
on PATH. It ends by itself when its pipes close, and is killed with its process group otherwise.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import partial

from dreamfoundry.errors import BrowserUnavailable
from dreamfoundry.host.child_process import die_with

CHROMIUM_VARIABLE = "DREAMFOUNDRY_CHROMIUM"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

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


def find_chromium() -> str:
    """The path of the program. Raises BrowserUnavailable where there is none."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    names = (named,) if named else CHROMIUM_NAMES
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise BrowserUnavailable(f"Chromium is not installed (none of {', '.join(CHROMIUM_NAMES)} on PATH)")
    return program


def start_chromium(chromium: str, folder: str) -> subprocess.Popen[bytes]:
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


def kill_chromium(process: subprocess.Popen[bytes]) -> None:
    """End it with every process that it started, and wait."""
    with process, suppress(ProcessLookupError):  # closes the pipes and waits
        os.killpg(process.pid, signal.SIGKILL)
