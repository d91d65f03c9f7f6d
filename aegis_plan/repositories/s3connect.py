"""How one gets to a bucket: endpoint, credentials, certificates, proxy and time limits. It sends nothing yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis_plan.documents.model import S3Repository as Declared

POOL = 16


def connect(
    declared: Declared,
    identity: Any,
    resolve: Callable[[str], str],
    *,
    connect_seconds: float,
    read_seconds: float,
) -> Any:
    """The SDK's client for one identity: something with `access_key` and `secret_key`. Raises what `resolve` raises."""
    access, secret = resolve(identity.access_key), resolve(identity.secret_key)
    proxy = resolve(declared.proxy)
    import boto3
    from botocore.config import Config

    path_style = declared.path_style if declared.path_style is not None else bool(declared.endpoint)
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        # One policy of retries, ours: the SDK's own would multiply with it and cannot be stopped.
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=POOL,
        tcp_keepalive=True,
        request_checksum_calculation=declared.checksums,
        # Whole-object checksums of answers say nothing of ranges, and every byte is verified by its seal.
        response_checksum_validation="when_required",
        proxies={"http": proxy, "https": proxy} if proxy else None,
        s3={"addressing_style": "path" if path_style else "auto"},
    )
    return boto3.session.Session().client(
        "s3",
        region_name=declared.region or ("us-east-1" if declared.endpoint else None),
        endpoint_url=declared.endpoint or None,
        aws_access_key_id=access or None,
        aws_secret_access_key=secret or None,
        verify=declared.ca or None,
        config=config,
    )
