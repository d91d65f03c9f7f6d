"""Where a test S3 server is and how one gets in."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, replace

from aegis_plan.documents.model import S3Repository as Declared
from aegis_plan.repositories.s3 import S3Repository

_COUNT = itertools.count()


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    kind: str
    port: int
    access: str
    secret: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, port: int) -> S3Server:
        """The same server seen through a proxy on another port."""
        return replace(self, port=port)

    def declared(self, bucket: str, **more: object) -> Declared:
        """A repository in one of its buckets, as documents would declare it."""
        form = {
            "kind": "s3",
            "bucket": bucket,
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key": self.access,
            "secret_key": self.secret,
            "part_size": 5 << 20,
            **more,
        }
        return Declared.model_validate(form)

    def repository(
        self, bucket: str = "", *, connect_seconds: float = 10.0, read_seconds: float = 60.0, **more: object
    ) -> S3Repository:
        """A repository in `bucket`, or in a bucket made for it."""
        declared = self.declared(bucket or self.bucket(), **more)
        return S3Repository(
            self.kind, declared, lambda text: text, connect_seconds=connect_seconds, read_seconds=read_seconds
        )

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"t{next(_COUNT)}-{uuid.uuid4().hex[:10]}"
        with_client = S3Repository(self.kind, self.declared(name), lambda text: text)
        with_client.client.create_bucket(Bucket=name)
        with_client.close()
        return name
