"""Debian's radosgw, a real S3 store, on this machine for as long as somebody wants it.

    apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common
    PYTHONPATH=tests python -m support.radosgw FOLDER

Starts three daemons without privileges (monitor, one disk in a sparse file, gateway) that listen on
loopback only. Prints one line of JSON with the addresses, over HTTP and over HTTPS, and the keys of
its users; ends the daemons when its standard input ends. Their state and their logs stay in FOLDER.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from support.ports import free_ports, wait_for_port

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool", "openssl")
USERS = ("owner", "worker")
PATIENCE_S = 60.0

# No authentication between the daemons: they meet on loopback only. One copy of everything, few
# placement groups, and short pauses of the monitor, or the start takes three times as long.
SETTINGS = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_port},v1:127.0.0.1:{old_mon_port}]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
crash dir = {folder}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
paxos propose interval = 0.05
paxos min wait = 0.01
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 10737418240
osd memory target = 1073741824
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={folder}/tls.pem
rgw data = {folder}
rgw thread pool size = 32
ms mon client mode = crc
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Radosgw:
    """The three daemons with their state in the empty folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []

        fsid = str(uuid.uuid4())
        mon_port, old_mon_port, self._port, self._tls_port = free_ports(4)
        (folder / "mon").mkdir()
        (folder / "osd").mkdir()
        (folder / "crash").mkdir()
        (folder / "ceph.conf").write_text(
            SETTINGS.format(
                fsid=fsid,
                folder=folder,
                mon_port=mon_port,
                old_mon_port=old_mon_port,
                port=self._port,
                tls_port=self._tls_port,
            )
        )

        self._make_certificate()
        address = f"[v2:127.0.0.1:{mon_port},v1:127.0.0.1:{old_mon_port}]"
        self._call("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(folder / "monmap"))
        self._ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))

    def start(self) -> dict[str, object]:
        """Bring all three up; what a client needs to know."""
        disk = str(uuid.uuid4())
        self._daemon("ceph-mon", "-i", "a")
        self._ceph("ceph", "osd", "new", disk)
        self._ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._daemon("ceph-osd", "-i", "0")
        self._daemon("radosgw", "-n", "client.rgw")
        wait_for_port(self._port, *self._daemons)
        for user in USERS:
            keys = ("--access-key", user, "--secret-key", f"{user}-secret")
            self._ceph("radosgw-admin", "user", "create", "--uid", user, "--display-name", user, *keys)
        return {
            "http": f"http://127.0.0.1:{self._port}",
            "https": f"https://127.0.0.1:{self._tls_port}",
            "certificate": str(self._folder / "certificate.pem"),
            "users": {user: f"{user}-secret" for user in USERS},
        }

    def stop(self) -> None:
        """End them in the reverse order, each before the next: a disk without monitor would linger."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(PATIENCE_S / 3.0)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _make_certificate(self) -> None:
        key, certificate = self._folder / "key.pem", self._folder / "certificate.pem"
        self._call(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        )
        (self._folder / "tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())

    def _daemon(self, program: str, *arguments: str) -> None:
        with open(self._folder / f"{program}.out", "wb") as output:
            # in the foreground and in a group of its own: it ends by our order, not by a Ctrl-C for the tests
            command = [program, "-c", str(self._folder / "ceph.conf"), "-f", *arguments]
            daemon = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        self._daemons.append(daemon)

    def _ceph(self, program: str, *arguments: str) -> None:
        self._call(program, "-c", str(self._folder / "ceph.conf"), *arguments)

    def _call(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: ended with {done.returncode}: {done.stderr[-2000:]}")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 4
    absent = missing_programs()
    if absent:
        print(f"{', '.join(absent)} not found; install radosgw as said at the top of this file", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = Radosgw(folder)
    try:
        print(json.dumps(store.start()), flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        return 0
    finally:
        store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
