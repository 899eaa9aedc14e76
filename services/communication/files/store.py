"""The bucket of files, and the signed URLs by which browsers reach it: bytes pass through here to the scanner only."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.communication.files import rules
from services.communication.files.schemas import FileRow
from services.communication.settings import Settings
from shared.objects import ListedObject, Objects
from shared.settings import SettingsError

T = TypeVar("T")

UPLOADS: Final = 1000
"""How many multipart uploads are listed at a time: the most that S3 tells of."""
PIECE_BYTES: Final = 2 * 1024 * 1024
ABSENT: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "InvalidPart"})
CLOUDFRONT: Final = ("cloudfront_domain", "cloudfront_key_pair_id", "cloudfront_private_key")


class StoredPart(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    size_bytes: int
    etag: str


class FileStore(Objects):
    """Raises Unavailable when the store does not answer; signing asks nobody."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            endpoint_url=settings.s3_endpoint_url,
            bucket=settings.s3_bucket,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key,
        )
        self._signing: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType]
            "s3",
            # Without a region in its name, S3 sends the browser on to another host, for which the URL is not signed.
            endpoint_url=settings.s3_public_endpoint_url
            or settings.s3_endpoint_url
            or f"https://s3.{settings.s3_region}.amazonaws.com",
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=settings.s3_secret_access_key,
            config=Config(signature_version="s3v4"),
        )
        self._cloudfront = cloudfront_of(settings)

    def put_url(self, row: FileRow, key: str, *, expires_in: timedelta) -> str:
        """For a PUT of exactly that many bytes, called exactly that type."""
        params = {"Key": key, "ContentLength": row.size_bytes, "ContentType": row.media_type}
        return self._signed("put_object", params, expires_in)

    def part_url(self, key: str, upload_id: str, part: StoredPart, *, expires_in: timedelta) -> str:
        """For a PUT of exactly that many bytes as that part."""
        params = {"Key": key, "UploadId": upload_id, "PartNumber": part.number, "ContentLength": part.size_bytes}
        return self._signed("upload_part", params, expires_in)

    def download_url(self, row: FileRow, *, expires_at: datetime, expires_in: timedelta) -> str:
        """For a GET that is saved under the file's name, never shown; over CloudFront where that is configured."""
        assert row.object_key is not None
        answer = {"disposition": rules.disposition(row.name), "type": row.media_type}
        if self._cloudfront is not None:
            return self._cloudfront.url(row.object_key, answer, expires_at=expires_at)
        params = {
            "Key": row.object_key,
            "ResponseContentDisposition": answer["disposition"],
            "ResponseContentType": answer["type"],
        }
        return self._signed("get_object", params, expires_in)

    def _signed(self, operation: str, params: dict[str, Any], expires_in: timedelta) -> str:
        url: str = self._signing.generate_presigned_url(
            operation, Params={"Bucket": self._bucket, **params}, ExpiresIn=int(expires_in.total_seconds())
        )
        return url

    async def begin_upload(self, key: str, *, media_type: str) -> str:
        """A new multipart upload; its id."""
        answer = await self._call(
            lambda: self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=media_type)
        )
        return answer["UploadId"]

    async def parts(self, key: str, upload_id: str) -> list[StoredPart] | None:
        """What is there of a multipart upload; None when there is no such upload, or none any more."""
        answer = await self._call(
            lambda: _unless_absent(
                lambda: self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id, MaxParts=1000)
            )
        )
        if answer is None:
            return None
        return [
            StoredPart(number=part["PartNumber"], size_bytes=part["Size"], etag=part["ETag"])
            for part in answer.get("Parts", ())
        ]

    async def finish_upload(self, key: str, upload_id: str, parts: Sequence[StoredPart]) -> None:
        """Make an object of the parts; nothing happens when there is no such upload any more."""
        told: Any = {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]}
        await self._call(
            lambda: _unless_absent(
                lambda: self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload=told
                )
            )
        )

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Nothing happens when there is no such upload any more."""
        await self._call(
            lambda: _unless_absent(
                lambda: self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            )
        )

    async def size_of(self, key: str) -> int | None:
        """None when there is no such object."""
        answer = await self._call(
            lambda: _unless_absent(lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        )
        return None if answer is None else answer["ContentLength"]

    async def read(self, key: str, *, first: int, count: int) -> bytes:
        """Some bytes of an object that is there."""
        span = f"bytes={first}-{first + count - 1}"

        def work() -> bytes:
            return self._client.get_object(Bucket=self._bucket, Key=key, Range=span)["Body"].read()

        return await self._call(work)

    async def pieces(self, key: str, *, size_bytes: int) -> AsyncGenerator[bytes]:
        """An object of that size, never more of it in memory than a piece; whoever reads slowly holds up no thread."""
        for first in range(0, size_bytes, PIECE_BYTES):
            yield await self.read(key, first=first, count=min(PIECE_BYTES, size_bytes - first))

    async def copy(self, key: str, to: str, *, media_type: str) -> bool:
        """Inside the store. False when there is no object to copy."""
        answer = await self._call(
            lambda: _unless_absent(
                lambda: self._client.copy_object(
                    Bucket=self._bucket,
                    Key=to,
                    CopySource={"Bucket": self._bucket, "Key": key},
                    MetadataDirective="REPLACE",
                    ContentType=media_type,
                    ContentDisposition="attachment",
                )
            )
        )
        return answer is not None

    async def open_uploads(self, prefix: str) -> list[ListedObject]:
        """The multipart uploads that were neither finished nor aborted."""
        pages: Any = self._client.get_paginator("list_multipart_uploads")

        def work() -> list[ListedObject]:
            return [
                ListedObject(key=each["Key"], changed_at=each["Initiated"], upload_id=each["UploadId"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": UPLOADS})
                for each in page.get("Uploads", ())
            ]

        # The embedded store says that there is no such upload when there is none at all.
        return await self._call(lambda: _unless_absent(work)) or []


class CloudFront:
    """Signs URLs of a distribution in front of the bucket, with a canned policy: the whole URL, until an instant."""

    def __init__(self, domain: str, key_pair_id: str, private_key: RSAPrivateKey) -> None:
        self._domain = domain

        def sign(policy: bytes) -> bytes:
            return private_key.sign(policy, PKCS1v15(), hashes.SHA1())  # noqa: S303 (the one that CloudFront verifies)

        self._signer = CloudFrontSigner(key_pair_id, sign)

    def url(self, key: str, answer: dict[str, str], *, expires_at: datetime) -> str:
        query = urlencode({f"response-content-{name}": value for name, value in answer.items()}, quote_via=quote)
        url = f"https://{self._domain}/{quote(key)}?{query}"
        return self._signer.generate_presigned_url(url, date_less_than=expires_at)


def cloudfront_of(settings: Settings) -> CloudFront | None:
    """None where nothing is configured. Raises SettingsError when it is configured by halves."""
    given = [name for name in CLOUDFRONT if getattr(settings, name)]
    if not given:
        return None
    for name in CLOUDFRONT:
        if name not in given:
            raise SettingsError(f"{name.upper()}: needed beside {given[0].upper()}")
    # Where a variable cannot hold lines, \n stands for their ends.
    pem = settings.cloudfront_private_key.replace("\\n", "\n").encode()
    key = None
    with suppress(ValueError, TypeError):
        key = load_pem_private_key(pem, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError("CLOUDFRONT_PRIVATE_KEY: not an RSA key in PEM")
    return CloudFront(settings.cloudfront_domain, settings.cloudfront_key_pair_id, key)


def _unless_absent(work: Callable[[], T]) -> T | None:
    try:
        return work()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ABSENT:
            return None
        raise
