"""A process that does not answer does not hold up an export."""

import subprocess

import pytest

from dreamfoundry.asset.gates.browser import devtools
from dreamfoundry.errors import BrowserUnavailable


def test_a_chromium_that_takes_no_commands_does_not_hold_us_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devtools, "SEND_LIMIT_S", 0.5)
    with subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as deaf:
        try:
            with pytest.raises(BrowserUnavailable, match="does not take commands"):
                devtools.DevToolsPipe(deaf).send("Fetch.fulfillRequest", {"body": "x" * 1_000_000}, "")
        finally:
            deaf.kill()
