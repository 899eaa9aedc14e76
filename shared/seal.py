"""One-time codes on their way from `auth` to `notification`: sealed, so that the bus and the tables hold no secrets."""

from cryptography.fernet import Fernet


class Seal:
    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)

    def close(self, code: str) -> str:
        return self._fernet.encrypt(code.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises cryptography.fernet.InvalidToken for anything that was not sealed with this key."""
        return self._fernet.decrypt(sealed).decode()
