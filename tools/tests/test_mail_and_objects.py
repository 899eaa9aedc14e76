import smtplib
from email.message import EmailMessage

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tools.embedded.mail_sink import EmbeddedMailSink
from tools.embedded.object_store import REGION, EmbeddedObjectStore


@pytest.fixture
def mail_sink(tmp_path):
    server = EmbeddedMailSink(tmp_path / "mail", log=tmp_path / "mail.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def object_store(tmp_path_factory):
    server = EmbeddedObjectStore(
        tmp_path_factory.mktemp("objects"), access_key_id="key", secret_access_key="se/cret", bucket="homeroom"
    )
    server.start()
    yield server
    server.stop()


def client_of(store: EmbeddedObjectStore, secret: str):
    return boto3.client(
        "s3",
        endpoint_url=store.url,
        aws_access_key_id="key",
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(signature_version="s3v4"),
    )


def test_each_mail_becomes_one_readable_file_in_order_of_arrival(mail_sink):
    for subject in ("Absent today", "Correction"):
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = subject, "school@x.test", "guardian@x.test"
        mail.set_content("Zoë was absent.")
        with smtplib.SMTP("127.0.0.1", mail_sink.port) as smtp:
            smtp.send_message(mail)

    files = sorted(mail_sink.directory.iterdir())

    assert [file.suffix for file in files] == [".eml", ".eml"]
    assert "Subject: Absent today" in files[0].read_text()
    assert "X-Envelope-To: guardian@x.test" in files[0].read_text()
    assert "Subject: Correction" in files[1].read_text()


def test_objects_go_up_by_a_signed_url_and_come_down(object_store):
    client = client_of(object_store, "se/cret")
    url = client.generate_presigned_url("put_object", Params={"Bucket": "homeroom", "Key": "imports/a.zip"})

    uploaded = httpx.put(url, content=b"PK")

    assert uploaded.status_code == 200
    assert client.get_object(Bucket="homeroom", Key="imports/a.zip")["Body"].read() == b"PK"


def files_of(directory):
    return sorted(str(file.relative_to(directory / "objects")) for file in (directory / "objects").rglob("*"))


@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_an_upload_that_was_open_leaves_nothing_on_the_disk_after_a_restart(tmp_path, stop):
    server = EmbeddedObjectStore(tmp_path, access_key_id="key", secret_access_key="secret", bucket="homeroom")
    server.start()
    client, key = client_of(server, "secret"), "school/a/quarantine/b"
    client.put_object(Bucket="homeroom", Key="school/a/files/b", Body=b"kept")
    upload_id = client.create_multipart_upload(Bucket="homeroom", Key=key)["UploadId"]
    client.upload_part(Bucket="homeroom", Key=key, UploadId=upload_id, PartNumber=1, Body=bytes(5 * 1024 * 1024))
    open_files = [name for name in files_of(tmp_path) if upload_id in name]

    (server.stop if stop == "stop" else server.process.kill)()
    left = [name for name in files_of(tmp_path) if upload_id in name]
    server.start()
    try:
        assert open_files == left == [f"homeroom/school/a/quarantine/.rclone_multipart_upload_{upload_id}"]
        assert [name for name in files_of(tmp_path) if upload_id in name] == []
        assert client.get_object(Bucket="homeroom", Key="school/a/files/b")["Body"].read() == b"kept"
    finally:
        server.stop()


def test_another_key_is_refused(object_store):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client_of(object_store, "guessed").put_object(Bucket="homeroom", Key="a", Body=b"")


def test_an_unsigned_request_is_refused(object_store):
    assert httpx.put(f"{object_store.url}/homeroom/a", content=b"").is_client_error
