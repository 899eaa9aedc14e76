"""The disks of the local overlay at the second start of a pod, when the kubelet has given them to its group."""

import stat
import subprocess
from pathlib import Path

import pytest

from tests.deploy.kustomize import Resource, build
from tests.deploy.manifests import ROOT

SERVERS = {
    each["metadata"]["name"]: each["spec"]
    for each in build(ROOT / "k8s/overlays/local")
    if each["kind"] == "StatefulSet"
}
KEEPING = [name for name, spec in SERVERS.items() if spec.get("volumeClaimTemplates")]


def _pod(name: str) -> Resource:
    return SERVERS[name]["template"]["spec"]


@pytest.mark.parametrize("name", KEEPING)
def test_what_a_server_kept_is_not_opened_to_its_group(name: str) -> None:
    security = _pod(name)["securityContext"]

    assert security["fsGroup"]
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"


@pytest.mark.parametrize("kept", [True, False], ids=["again", "the first time"])
def test_the_cookie_of_rabbitmq_is_its_own(tmp_path: Path, kept: bool) -> None:
    container, cookie = _pod("rabbitmq")["containers"][0], tmp_path / ".erlang.cookie"
    if kept:
        cookie.write_text("a cookie")
        cookie.chmod(0o660)
    server = tmp_path / "docker-entrypoint.sh"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o755)
    words = [word.replace("/var/lib/rabbitmq", str(tmp_path)) for word in (*container["command"], *container["args"])]

    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ended = subprocess.run(words, env=env, capture_output=True, text=True, check=True)

    assert (ended.stdout, ended.stderr) == ("rabbitmq-server\n", "")
    assert cookie.exists() == kept
    assert not kept or stat.S_IMODE(cookie.stat().st_mode) == 0o600
