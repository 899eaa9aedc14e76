"""Downloads over CloudFront: the URL is verified here as CloudFront does it, with the public key alone."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.communication.files.store import FileStore
from services.communication.settings import Settings
from services.communication.tests.files import FileSchool, pdf
from shared import clock
from shared.settings import SettingsError
from shared.testing.stack import Stack
from tools.embedded.object_store import EmbeddedObjectStore

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ELLIPTIC = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNING = ("Expires", "Signature", "Key-Pair-Id")


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(
        Settings,
        "communication",
        s3_endpoint_url=object_store.url,
        cloudfront_domain="files.homeroom.test",
        cloudfront_key_pair_id="K2JCJMDEHXQW5F",
        cloudfront_private_key=PEM.replace("\n", "\\n"),
    )


class Edge:
    """Decides as CloudFront does on a canned policy: https://docs.aws.amazon.com/AmazonCloudFront → signed URLs."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key

    def lets_through(self, url: str, *, now: datetime) -> bool:
        signing = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items() if name in SIGNING}
        kept = [each for each in urlsplit(url).query.split("&") if each.partition("=")[0] not in SIGNING]
        resource = urlsplit(url)._replace(query="&".join(kept)).geturl()
        expires = int(signing["Expires"])
        condition = {"DateLessThan": {"AWS:EpochTime": expires}}
        policy = json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}, separators=(",", ":"))
        signature = signing["Signature"].translate(str.maketrans("-_~", "+=/"))
        try:
            self._key.verify(base64.b64decode(signature), policy.encode(), PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            return False
        return now.timestamp() < expires and signing["Key-Pair-Id"] == "K2JCJMDEHXQW5F"


async def download_of(files: FileSchool, name: str = "Übung & mehr.pdf") -> tuple[str, datetime]:
    file_id = await files.ready(pdf(), name=name)
    told = (await files.ask("GET", f"/{file_id}/download")).json()
    return told["url"], datetime.fromisoformat(told["expires_at"])


async def test_the_edge_lets_a_signed_url_through_until_it_expires(files: FileSchool) -> None:
    url, expires_at = await download_of(files)
    edge = Edge(KEY.public_key())

    assert edge.lets_through(url, now=clock.now())
    assert not edge.lets_through(url, now=expires_at)
    assert (expires_at - clock.now()).total_seconds() <= 300
    assert url.startswith(f"https://files.homeroom.test/school/{files.school_id}/files/")
    asked = parse_qs(urlsplit(url).query)
    assert asked["response-content-type"] == ["application/pdf"]
    assert asked["response-content-disposition"][0].startswith("attachment; filename=")


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("attachment", "inline"),
        ("application%2Fpdf", "text%2Fhtml"),
        ("/files/", "/quarantine/"),
        ("https://files", "https://other"),
        ("response-content-type", "response-content-encoding"),
    ],
)
async def test_the_edge_stops_a_url_that_was_changed(files: FileSchool, part: str, other: str) -> None:
    url, _ = await download_of(files)
    changed = url.replace(part, other)

    assert changed != url
    assert not Edge(KEY.public_key()).lets_through(changed, now=clock.now())


async def test_the_edge_stops_a_url_that_was_prolonged(files: FileSchool) -> None:
    url, expires_at = await download_of(files)
    seconds = int(parse_qs(urlsplit(url).query)["Expires"][0])

    prolonged = url.replace(f"Expires={seconds}", f"Expires={seconds + 3600}")

    assert prolonged != url
    assert not Edge(KEY.public_key()).lets_through(prolonged, now=clock.now())
    assert seconds == int(expires_at.timestamp())


async def test_control_another_key_does_not_verify(files: FileSchool) -> None:
    url, _ = await download_of(files)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()

    assert not Edge(stranger).lets_through(url, now=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cloudfront_key_pair_id": ""}, "CLOUDFRONT_KEY_PAIR_ID"),
        ({"cloudfront_private_key": ""}, "CLOUDFRONT_PRIVATE_KEY"),
        ({"cloudfront_domain": ""}, "CLOUDFRONT_DOMAIN"),
        ({"cloudfront_private_key": "no key"}, "CLOUDFRONT_PRIVATE_KEY"),
        ({"cloudfront_private_key": ELLIPTIC.decode()}, "CLOUDFRONT_PRIVATE_KEY"),
    ],
    ids=["no key pair", "no key", "no domain", "not a key", "another kind of key"],
)
def test_a_configuration_by_halves_ends_the_start(stack: Stack, wrong: dict[str, str], told: str) -> None:
    right = {"cloudfront_domain": "d", "cloudfront_key_pair_id": "K", "cloudfront_private_key": PEM}
    settings = stack.settings(Settings, "communication", **{**right, **wrong})

    with pytest.raises(SettingsError, match=told) as refused:
        FileStore(settings)

    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"file_types": "text/html"}, {"file_download_url_s": 301}], ids=["type", "time"])
def test_settings_that_would_open_a_hole_end_the_start(stack: Stack, wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        stack.settings(Settings, "communication", **wrong)
