"""Stores for the contract tests: a directory, an S3 server that imitates one, and a real one.

moto runs wherever the tests run. radosgw is Debian's (see tests/support/radosgw.py); where it is not
installed its tests are skipped, or fail under --require-radosgw (`make chaos`).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.store import S3Store
from support.fault_proxy import FaultProxy
from support.radosgw import missing_programs
from support.servers import BUCKET

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class S3Server:
    """A server that runs in processes of its own and ends with the tests."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    tls_endpoint: str = ""
    certificate: str = ""
    worker: tuple[str, str] = ("", "")
    """Keys of a user who owns nothing, where the server knows users."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process finds this server, and nothing else of AWS."""
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **foreign,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "PYTHONPATH": str(ROOT / "pipeline"),
        }

    def new_client(
        self, endpoint: str = "", attempts: int = 1, keys: tuple[str, str] = ("", ""), **settings: Any
    ) -> Any:
        """A boto3 client; `attempts` counts its own tries."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=keys[0] or self.access_key,
            aws_secret_access_key=keys[1] or self.secret_key,
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, max_pool_connections=32),
            **settings,
        )


@pytest.fixture(scope="session")
def moto(moto_url: str) -> S3Server:
    """An imitation of S3 that keeps everything in memory and checks neither digests nor signatures."""
    return S3Server("moto", moto_url, "any", "any")


@pytest.fixture(scope="session")
def radosgw(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real store with users, signatures and TLS."""
    absent = missing_programs()
    if absent:
        reason = f"radosgw is not installed ({', '.join(absent)} not found); tests/support/radosgw.py says how"
        if request.config.getoption("--require-radosgw"):
            pytest.fail(reason)
        pytest.skip(reason)

    folder = tmp_path_factory.mktemp("rgw") / "state"
    process = subprocess.Popen(
        [sys.executable, "-m", "support.radosgw", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    try:
        line = process.stdout.readline()
        assert line, f"radosgw did not start; its words are in {folder}"
        found = json.loads(line)
        (owner, owner_secret), worker = found["users"].items()
        server = S3Server("radosgw", found["http"], owner, owner_secret, found["https"], found["certificate"], worker)
        server.new_client(attempts=5).create_bucket(Bucket=BUCKET)
        yield server
    finally:
        process.stdin.close()  # at which it ends its daemons, also when the tests are killed
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session", params=["moto", "radosgw"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def new_s3_client(s3_server: S3Server) -> Callable[..., Any]:
    return s3_server.new_client


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A place of its own in the bucket for each test."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


def store_of(server: S3Server, prefix: str, client: Any = None, **settings: Any) -> S3Store:
    """A store whose pauses take no time."""
    defaults = {"retry_timeout_s": 30.0, "sleep": lambda pause_s: None}
    return S3Store(BUCKET, prefix, client=client or server.new_client(), **{**defaults, **settings})


@pytest.fixture
def new_s3_store(s3_server: S3Server, prefix: str) -> Callable[..., S3Store]:
    """Makes stores that share one prefix, empty at first."""
    return lambda client=None, **settings: store_of(s3_server, prefix, client, **settings)


@pytest.fixture
def fault_proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    """A proxy before the server of the test."""
    with FaultProxy(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture(params=["directory", "moto", "radosgw"])
def store(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> ObjectStore:
    """Each place that keeps bytes, empty."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "library")
    return store_of(request.getfixturevalue(request.param), prefix)


class MetadataService:
    """The metadata service of a machine of AWS; `documents` by path, `is_away` makes every answer a 503."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, str]] = {}
        self.token, self.is_away, self.num_questions = "first", False, 0

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(handler) -> None:  # noqa: N805 `self` is the service
                lifetime_s = handler.headers["X-aws-ec2-metadata-token-ttl-seconds"]
                is_right = handler.path == "/latest/api/token" and lifetime_s
                self._answer(handler, 200 if is_right else 400, self.token)

            def do_GET(handler) -> None:  # noqa: N805 `self` is the service
                document = self.documents.get(handler.path.removeprefix("/latest/meta-data/"))
                if handler.headers["X-aws-ec2-metadata-token"] != self.token:
                    self._answer(handler, 401, "")
                else:
                    self._answer(handler, 200 if document else 404, json.dumps(document))

            def log_message(handler, *words: object) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, text: str) -> None:
        self.num_questions += 1
        handler.send_response(503 if self.is_away else status)
        handler.end_headers()
        with suppress(BrokenPipeError):  # the watcher has lost patience
            handler.wfile.write(text.encode())


@pytest.fixture
def metadata_service() -> Iterator[MetadataService]:
    service = MetadataService()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()
