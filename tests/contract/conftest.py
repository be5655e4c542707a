"""Stores for the contract tests: a directory, and S3 spoken to a server that runs in its own process."""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
