#!/usr/bin/env python3
"""Fill in `secrets.env.example` once: `python3 deploy/make-secrets.py [target]`; needs nothing but Python.

What is there already is kept, because data depend on it; what a newer version needs besides is added.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).parent
MADE = {
    "<password>": lambda: secrets.token_urlsafe(24),
    "<key>": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "<access-key>": lambda: secrets.token_hex(10),
}


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "secrets.env"
    kept = dict(_pairs(target.read_text())) if target.exists() else {}
    asked = dict(_pairs((HERE / "secrets.env.example").read_text()))
    values = {name: kept.get(name) or MADE.get(value, lambda value=value: value)() for name, value in asked.items()}
    unfinished = target.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in {**kept, **values}.items())
    unfinished.rename(target)
    print(f"{target}: {len(values.keys() - kept.keys())} made, {len(kept)} kept.")
    return 0


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


sys.exit(main())
