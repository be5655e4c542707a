"""The boto3 client of a store."""

from __future__ import annotations

from typing import Any

from dreamfoundry.errors import ConfigError
from dreamfoundry.object_store.s3.retry import CLIENT_TRIES, CONNECT_TIMEOUT_S, READ_TIMEOUT_S


def new_client() -> Any:
    """A client for one thread's store, set up by the AWS_* variables; ConfigError where they cannot be meant."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": CLIENT_TRIES},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=32,
    )
    try:
        # a session of its own: boto3's default session must not be shared between threads
        return boto3.session.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"S3 is not set up: {error}; correct the AWS_* variables or the profile") from None
