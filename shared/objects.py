"""Files in an S3-compatible store. boto3 blocks, so every call runs in a thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.problems import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


CALLS: Final = 10
"""How many are under way at a time; boto3 keeps as many connections."""


class ListedObject(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    changed_at: datetime
    upload_id: str | None = None
    """Set for what is a multipart upload and not an object yet."""


class Objects:
    """One bucket. An empty `endpoint_url` means the real S3."""

    def __init__(
        self, *, endpoint_url: str, bucket: str, region: str, access_key_id: str, secret_access_key: str
    ) -> None:
        self._bucket = bucket
        # Not the threads of everybody: a store that hangs would fill them, and names of hosts are looked up there.
        self._threads = ThreadPoolExecutor(CALLS, thread_name_prefix="objects")
        self._client: S3Client = boto3.client(  # pyright: ignore[reportUnknownMemberType]
            "s3",
            endpoint_url=endpoint_url or None,
            region_name=region,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            config=Config(connect_timeout=3, read_timeout=20, retries={"max_attempts": 3}, signature_version="s3v4"),
        )

    async def put(self, key: str, content: bytes, *, media_type: str) -> None:
        """Raises Unavailable when the store does not take it."""
        await self._call(
            lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=media_type)
        )

    async def get(self, key: str) -> bytes:
        """Raises Unavailable when the store does not give it."""

        def read() -> bytes:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

        return await self._call(read)

    async def remove(self, key: str) -> None:
        """Nothing happens when there is no such object any more. Raises Unavailable."""
        await self._call(lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    async def listed(self, prefix: str, *, after: str, limit: int) -> list[ListedObject]:
        """Objects in order of their keys. Raises Unavailable."""
        answer = await self._call(
            lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after, MaxKeys=limit)
        )
        return [ListedObject(key=each["Key"], changed_at=each["LastModified"]) for each in answer.get("Contents", ())]

    async def _call(self, work: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("The file store does not answer.", headers={"Retry-After": "5"}) from error
