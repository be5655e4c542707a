"""Retry a call to an S3 server with growing pauses while its fault may pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dreamfoundry.errors import ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.s3.faults import AlteredBytes, advice, code_of, may_pass

T = TypeVar("T")

RETRY_TIMEOUT_S = 120.0
"""How long a call is retried while the store is away, unless its caller says otherwise."""

WARN_AFTER_S = 10.0
"""Report a call that has been retried for this long."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0


@dataclass(frozen=True)
class Retries:
    """Retries of the calls to the store at `url`, each for up to `timeout_s`.

    `on_wait` gets a line about a call that is retried for longer than WARN_AFTER_S, and another one
    when it succeeds; `sleep` pauses.
    """

    url: str
    timeout_s: float
    on_wait: Callable[[str], None]
    sleep: Callable[[float], None]

    def call(self, action: Callable[[], T], key: str = "", timeout_s: float | None = None) -> T:
        """The result of `action`, retried for `timeout_s` seconds (default: of all calls).

        Raises ObjectMissing where the object `key` is missing ("" for calls about no object) and
        StoreUnavailable, with advice, for a fault that cannot pass or has not in time.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError  # a refusal that breaks off comes through botocore as it is

        total_s = left_s = self.timeout_s if timeout_s is None else timeout_s
        longest_s, has_warned = _FIRST_PAUSE_S, False
        while True:
            began_s = time.monotonic()
            try:
                result = action()
                if has_warned:
                    self.on_wait(f"library {self.url} answers again")
                return result
            except (ClientError, BotoCoreError, HTTPError, AlteredBytes) as error:
                if key and isinstance(error, ClientError) and code_of(error) in ("NoSuchKey", "404"):
                    raise ObjectMissing(f"{key!r} is not in the library {self.url}") from None
                left_s -= time.monotonic() - began_s
                if not may_pass(error) or left_s <= 0.0:
                    raise StoreUnavailable(f"library {self.url}: {error}; {advice(error)}") from error
                cause = str(error)

            # random pauses: many workers meet the same fault at the same time
            pause_s = min(random.uniform(0.1, longest_s), left_s)
            left_s -= pause_s
            if not has_warned and total_s - left_s > WARN_AFTER_S:
                has_warned = True
                self.on_wait(f"library {self.url}: {cause}; tried again for another {left_s:.0f} s")
            longest_s = min(2.0 * longest_s, _LONGEST_PAUSE_S)
            self.sleep(pause_s)
