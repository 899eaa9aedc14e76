import pytest
import redis

from tools.embedded.valkey import ONCE, EmbeddedValkey


@pytest.fixture
def valkey(tmp_path):
    server = EmbeddedValkey(tmp_path / "a folder", password="secret")
    server.start()
    yield server
    server.stop()


def test_events_survive_kill_9(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        client.xadd("events", {"id": "1"})

    valkey.process.kill()
    valkey.start()

    with redis.Redis.from_url(valkey.url) as client:
        assert client.xlen("events") == 1


def test_nothing_is_ever_dropped_to_make_room(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_password_is_demanded_and_not_shown_to_other_users(valkey, tmp_path):
    with redis.Redis(port=valkey.port, retry=ONCE) as client, pytest.raises(redis.AuthenticationError):
        client.ping()

    assert (tmp_path / "a folder" / "valkey.conf").stat().st_mode & 0o077 == 0


def test_a_server_for_tests_keeps_nothing(tmp_path):
    server = EmbeddedValkey(tmp_path / "valkey", durable=False)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("forget", "me")
    server.stop()
    server.start()

    with redis.Redis.from_url(server.url) as client:
        assert client.get("forget") is None
    server.stop()
