"""Turn the cloud's notice that this machine will be taken away into a drain of its Ray node.

Runs beside the raylet of every worker and asks the metadata service of AWS (IMDSv2) every 5 s. On
an interruption notice Ray gives the node no new work and tells everybody the deadline; the driver
of a run then hands back what is in progress there. A rebalance recommendation, which may come
earlier, drains as well, without a deadline; a notice that follows sets it.

examples:
  python infra/spot_watch.py --address $RAY_HEAD_IP:6379     until SIGTERM
  python infra/spot_watch.py --now 110                       as a preStop hook: drain, wait until the node has left

Nodes are found by the address of this machine. The container needs a way to the metadata service:
the host's network, or a hop limit of 2. An error of the service is logged, and asking goes on.

exit codes: 0 ended by SIGTERM or Ctrl-C, or the node has left; 1 with --now: no drain, or not left in time; 2 usage
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.run.ray import nodes

METADATA_URL = "http://169.254.169.254"
INTERVAL_S = 5.0
REQUEST_LIMIT_S = 2.0
TOKEN_LIFETIME_S = 21_600


@dataclass(frozen=True)
class Notice:
    """The notice of the cloud for this machine, and its Unix time; infinity where the notice has none."""

    what: str
    deadline_at_s: float


class Metadata:
    """The metadata service of an EC2 instance, spoken to with a session token (IMDSv2)."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._token = ""

    def notice(self) -> Notice | None:
        """The notice that stands now. OSError or ValueError if the service cannot be asked or understood."""
        if interruption := self._read("spot/instance-action"):
            return Notice(f"spot {interruption['action']}", _unix_time(interruption["time"]))
        if self._read("events/recommendations/rebalance"):
            return Notice("rebalance recommendation", math.inf)
        return None

    def _read(self, path: str) -> dict[str, str] | None:
        """A JSON document, None while there is none."""
        for _ in range(2):
            self._token = self._token or self._new_token()
            try:
                document: dict[str, str] = json.loads(
                    self._ask(f"meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})
                )
                return document
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                if error.code != 401:
                    raise
                self._token = ""  # it has expired
        raise OSError(f"{self._url} refuses the token that it has just given")

    def _new_token(self) -> str:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_LIFETIME_S)}
        return self._ask("api/token", headers, method="PUT")

    def _ask(self, path: str, headers: dict[str, str], method: str = "GET") -> str:
        request = urllib.request.Request(f"{self._url}/latest/{path}", headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
        with opener.open(request, timeout=REQUEST_LIMIT_S) as answer:
            text: str = answer.read().decode()
            return text


def _unix_time(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def watch(metadata: Metadata, announce: Callable[[Notice], str], stop: threading.Event, interval_s: float) -> None:
    """Announce each new notice until `stop`; one that could not be announced is tried again."""
    announced: Notice | None = None
    is_away = False
    while not stop.is_set():
        try:
            notice = metadata.notice()
            is_away = False
        except (OSError, ValueError, KeyError) as error:
            notice = None
            if not is_away:
                log(f"the metadata service cannot be asked ({error}); trying on")
            is_away = True
        if notice is not None and notice != announced:
            try:
                log(announce(notice))
                announced = notice
            except InfrastructureError as error:
                log(f"{notice.what}: {error}; trying again")
        stop.wait(interval_s)


def drain_here(address: str, node_id: str, notice: Notice) -> str:
    """Drain `node_id`, or every node of this machine; says what was done. InfrastructureError if there is none."""
    node_ids = [node_id] if node_id else nodes.nodes_here(address=address)
    if not node_ids:
        raise InfrastructureError(f"no live node of the cluster at {address} has the address of this machine")
    for node in node_ids:
        nodes.drain(node, notice.what, notice.deadline_at_s, address=address)
    left_s = notice.deadline_at_s - time.time()
    when = "no deadline" if math.isinf(left_s) else f"{left_s:.0f} s left"
    return f"{notice.what}, {when}: draining node {', '.join(node_ids)}"


def drain_and_wait(address: str, node_id: str, limit_s: float) -> bool:
    """Drain now and wait until the node has left; False if it is still there after `limit_s`."""
    end_s = time.time() + limit_s
    node_ids = [node_id] if node_id else nodes.nodes_here(address=address)
    log(drain_here(address, node_id, Notice("stopped by the operator", end_s)))
    while time.time() < end_s:
        if not set(node_ids) & set(nodes.alive_nodes(address=address)):
            return True
        time.sleep(1.0)
    return False


def log(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} spot_watch: {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--address", default=os.environ.get("RAY_ADDRESS", ""), help="host:port of the head (default: RAY_ADDRESS)"
    )
    parser.add_argument("--node-id", default="", help="the node to drain (default: those with this machine's address)")
    parser.add_argument("--metadata-url", default=METADATA_URL, help="the metadata service (default: %(default)s)")
    parser.add_argument("--interval-s", type=float, default=INTERVAL_S, help="pause between questions, in seconds")
    parser.add_argument("--now", type=float, metavar="SECONDS", help="drain at once and wait this long at most")
    arguments = parser.parse_args()
    if not arguments.address:
        parser.error("no --address was given and RAY_ADDRESS is not set")
    if arguments.now is not None:
        try:
            return 0 if drain_and_wait(arguments.address, arguments.node_id, arguments.now) else 1
        except InfrastructureError as error:
            log(str(error))
            return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def announce(notice: Notice) -> str:
        return drain_here(arguments.address, arguments.node_id, notice)

    log(f"watching {arguments.metadata_url}")
    watch(Metadata(arguments.metadata_url), announce, stop, arguments.interval_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
