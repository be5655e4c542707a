"""Stores for the contract tests: a directory, and S3 spoken to a server that runs in its own process."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dreamfoundry.store import DirectoryStore, ObjectStore, S3Store

BUCKET = "shelf"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server that runs in its own process and ends with the tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def new_s3_client(s3_endpoint: str) -> Callable[..., Any]:
    """Makes boto3 clients of the server; `attempts` counts their own tries."""

    def make(endpoint: str = s3_endpoint, attempts: int = 1) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="any",
            aws_secret_access_key="any",
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, max_pool_connections=32),
        )

    make().create_bucket(Bucket=BUCKET)
    return make


@pytest.fixture
def new_s3_store(new_s3_client: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., S3Store]:
    """Makes stores that share one prefix, empty at first; their pauses take no time."""
    prefix = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]

    def make(client: Any = None, sleep: Callable[[float], None] = lambda pause_s: None) -> S3Store:
        return S3Store(BUCKET, prefix, client=client or new_s3_client(), patience_s=30.0, sleep=sleep)

    return make


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each place that keeps bytes, empty."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "library")
    s3: S3Store = request.getfixturevalue("new_s3_store")()
    return s3


class MetadataService:
    """What a machine of AWS answers about itself; `documents` by path, `is_away` makes every answer a 503."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, str]] = {}
        self.token, self.is_away, self.num_questions = "first", False, 0

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(handler) -> None:  # `self` is the service
                lifetime_s = handler.headers["X-aws-ec2-metadata-token-ttl-seconds"]
                is_right = handler.path == "/latest/api/token" and lifetime_s
                self._answer(handler, 200 if is_right else 400, self.token)

            def do_GET(handler) -> None:
                document = self.documents.get(handler.path.removeprefix("/latest/meta-data/"))
                if handler.headers["X-aws-ec2-metadata-token"] != self.token:
                    self._answer(handler, 401, "")
                else:
                    self._answer(handler, 200 if document else 404, json.dumps(document))

            def log_message(handler, *words: object) -> None:
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
