"""Retry a call to an S3 server with growing pauses while its fault may pass.

Each pause is a log event, sent by `logging` alone: this floor does not know `host.log_events`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dreamfoundry.errors import AlteredBytes, ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.s3.faults import advice, code_of, may_pass

LOG = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_TIMEOUT_S = 120.0
"""How long a call is retried while the store is away, unless its caller says otherwise."""

CHECK_TIMEOUT_S = 5.0
"""The same for the first call to a store, unless its caller says otherwise: a wrong address is reported soon."""

WARN_AFTER_S = 10.0
"""Report a call that has been retried for this long."""

FIRST_PAUSE_S = 0.5
"""Upper end of the first pause; each further one is twice as long."""

LONGEST_PAUSE_S = 20.0
"""Upper end of every pause."""

CLIENT_TRIES = 4
"""Tries of boto3 itself within one try of ours."""

CONNECT_TIMEOUT_S = 5.0
"""A server that has not accepted the connection by then is away."""

READ_TIMEOUT_S = 60.0
"""A server that has sent nothing for this long is away."""


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
        longest_s, has_warned, tries = FIRST_PAUSE_S, False, 0
        while True:
            began_s, tries = time.monotonic(), tries + 1
            try:
                result = action()
                if tries > 1:
                    self._log("store_answers", logging.INFO, key=key, tries=tries, seconds=total_s - left_s)
                if has_warned:
                    self.on_wait(f"library {self.url} answers again")
                return result
            except (ClientError, BotoCoreError, HTTPError, AlteredBytes) as error:
                if key and isinstance(error, ClientError) and code_of(error) in ("NoSuchKey", "404"):
                    raise ObjectMissing(f"{key!r} is not in the library {self.url}") from None
                left_s -= time.monotonic() - began_s
                if not may_pass(error) or left_s <= 0.0:
                    self._log("store_failed", logging.ERROR, key=key, tries=tries, cause=str(error))
                    raise StoreUnavailable(f"library {self.url}: {error}; {advice(error)}") from error
                cause = str(error)

            # random pauses: many workers meet the same fault at the same time
            pause_s = min(random.uniform(0.1, longest_s), left_s)
            left_s -= pause_s
            self._log("store_retry", logging.WARNING, key=key, tries=tries, pause_s=pause_s, left_s=left_s, cause=cause)
            if not has_warned and total_s - left_s > WARN_AFTER_S:
                has_warned = True
                self.on_wait(f"library {self.url}: {cause}; tried again for another {left_s:.0f} s")
            longest_s = min(2.0 * longest_s, LONGEST_PAUSE_S)
            self.sleep(pause_s)

    def _log(self, event: str, level: int, **fields: object) -> None:
        LOG.log(level, event, extra={"event_fields": {"store": self.url, **fields}})
