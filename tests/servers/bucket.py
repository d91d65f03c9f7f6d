"""Where a test S3 server is and how one gets in."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from dataclasses import dataclass, replace

from aegis_plan.documents.model import S3Repository as Declared
from aegis_plan.repositories.s3 import S3Repository

BUCKET = "aegis-tests"
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
        self, prefix: str = "", *, connect_seconds: float = 10.0, read_seconds: float = 60.0, **more: object
    ) -> S3Repository:
        """A repository below `prefix`, or below a new one, in the server's one bucket.

        One bucket, because each costs SeaweedFS several volumes and it has a fixed number of them."""
        declared = self.declared(BUCKET, prefix=prefix or f"p{next(_COUNT)}-{uuid.uuid4().hex[:10]}", **more)
        return S3Repository(
            self.kind, declared, lambda text: text, connect_seconds=connect_seconds, read_seconds=read_seconds
        )

    def make_bucket(self) -> None:
        """Makes the bucket; may be called again."""
        made = self.repository()
        with contextlib.suppress(made.client.exceptions.BucketAlreadyOwnedByYou):
            made.client.create_bucket(Bucket=BUCKET)
        made.close()
