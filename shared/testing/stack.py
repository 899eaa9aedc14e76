"""One Postgres, one Valkey and (where installed) one RabbitMQ for a whole test run; a fresh database per worker."""

import json
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import psycopg
from cryptography.fernet import Fernet

from shared.migrate import migrate
from shared.settings import load
from tools.embedded.postgres import EmbeddedPostgres, prepare_database
from tools.embedded.rabbitmq import USER, EmbeddedRabbitMQ, is_installed
from tools.embedded.valkey import EmbeddedValkey
from tools.topology import SERVICE_NAMES

TEMPLATE = "homeroom_template"
NOWHERE = "http://127.0.0.1:1"
SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process needs to know of the servers that the controlling process started."""

    postgres_port: int
    admin_url: str
    redis_url: str
    password: str
    seal_key: str


class Servers:
    """The servers of a run; the broker, slow to start, only when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._password = secrets.token_hex(16)
        self._seal_key = Fernet.generate_key().decode()
        self._postgres = EmbeddedPostgres(directory / "postgres", durable=False)
        self._valkey = EmbeddedValkey(directory / "valkey", durable=False)
        self._rabbitmq = EmbeddedRabbitMQ(directory / "rabbitmq")
        self._vhosts: set[int] = set()

    def start(self) -> None:
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(self._postgres.start), pool.submit(self._valkey.start)]:
                started.result()
        self._make_template()

    def stop(self) -> None:
        with ThreadPoolExecutor() as pool:
            for server in (self._postgres, self._valkey, self._rabbitmq):
                pool.submit(server.stop)

    @property
    def postgres(self) -> EmbeddedPostgres:
        return self._postgres

    @property
    def valkey(self) -> EmbeddedValkey:
        return self._valkey

    def addresses(self) -> Addresses:
        return Addresses(
            postgres_port=self._postgres.port,
            admin_url=self._postgres.admin_url,
            redis_url=self._valkey.url,
            password=self._password,
            seal_key=self._seal_key,
        )

    def amqp_url(self, number: int) -> str | None:
        """A vhost of a worker's own, so that queues of the same name do not meet; None without RabbitMQ."""
        if not is_installed():
            return None
        if not self._rabbitmq.process.is_running:
            self._rabbitmq.start()
        vhost = f"test{number}"
        if number not in self._vhosts:
            self._rabbitmq.ctl("add_vhost", vhost)
            self._rabbitmq.ctl("set_permissions", "-p", vhost, USER, ".*", ".*", ".*")
            self._vhosts.add(number)
        return _with_path(self._rabbitmq.url, vhost)

    def _make_template(self) -> None:
        roles = {f"{service}_{role}": self._password for service in SERVICE_NAMES for role in ("owner", "app")}
        prepare_database(self._postgres.admin_url, TEMPLATE, roles)
        for service in SERVICE_NAMES:
            migrate(service, owner_url=self._postgres.url(f"{service}_owner", self._password, TEMPLATE))


class Stack:
    """The part of the servers that belongs to one worker: a database, a Valkey database, a broker's vhost."""

    def __init__(self, addresses: Addresses, number: int, amqp_url: Callable[[], str | None]) -> None:
        self._addresses = addresses
        self._amqp_url = amqp_url
        self._number = number
        self._database = f"homeroom_test{number}"
        self.admin_url = _with_path(addresses.admin_url, self._database)
        with psycopg.connect(addresses.admin_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self._database}" TEMPLATE {TEMPLATE}')

    @property
    def redis_url(self) -> str:
        return _with_path(self._addresses.redis_url, str(self._number))

    @property
    def bus_url(self) -> str:
        """Valkey streams: the transport that is always there."""
        return "valkey://" + self.redis_url.removeprefix("redis://")

    @property
    def amqp_url(self) -> str | None:
        """RabbitMQ, where it is installed."""
        return self._amqp_url()

    @property
    def bus_urls(self) -> list[str]:
        return [self.bus_url, *([url] if (url := self.amqp_url) else [])]

    def database_url(self, service: str) -> str:
        return self._url(f"{service}_app")

    def owner_url(self, service: str) -> str:
        return self._url(f"{service}_owner")

    def service_env(self, service: str) -> dict[str, str]:
        """Every variable that a service's settings may ask for; calls to other services lead nowhere."""
        return {
            "DATABASE_URL": self.database_url(service),
            "DATABASE_OWNER_URL": self.owner_url(service),
            "REDIS_URL": self.redis_url,
            # Not tight: a busy machine must not look like a Redis that is away.
            "CACHE_TIMEOUT_S": "2",
            "REDIS_TIMEOUT_S": "5",
            "DATABASE_POOL_WAIT_S": "5",
            "BUS_URL": self.bus_url,
            "JWKS_URL": f"{NOWHERE}/.well-known/jwks.json",
            **{f"{name.upper()}_URL": NOWHERE for name in SERVICE_NAMES},
            "SERVICE_SECRET": f"{service}-secret",
            "SERVICE_SECRETS": json.dumps({name: f"{name}-secret" for name in SERVICE_NAMES}),
            "SEAL_KEY": self._addresses.seal_key,
            "SIGNING_KEY_SECRET": self._addresses.seal_key,
            "BOOTSTRAP_EMAIL": "admin@homeroom.test",
            "BOOTSTRAP_PASSWORD": "a bootstrap password",
            "PUBLIC_URL": "http://gateway.test",
            "SMTP_URL": "smtp://127.0.0.1:1",
            "MAIL_FROM": "homeroom@homeroom.test",
            "S3_ENDPOINT_URL": NOWHERE,
            "S3_BUCKET": "homeroom",
            "S3_REGION": "us-east-1",
            "S3_ACCESS_KEY_ID": "key",
            "S3_SECRET_ACCESS_KEY": "secret",
            "LOG_LEVEL": "WARNING",
        }

    def settings(self, type_: type[SettingsT], service: str, **overrides: object) -> SettingsT:
        """The settings of a service on this stack; `overrides` are fields by name."""
        env: Mapping[str, str] = {
            **self.service_env(service),
            **{name.upper(): str(value) for name, value in overrides.items()},
        }
        return load(type_, env)

    def _url(self, role: str) -> str:
        return (
            f"postgresql://{role}:{self._addresses.password}@127.0.0.1:{self._addresses.postgres_port}/{self._database}"
        )


def _with_path(url: str, path: str) -> str:
    return urlsplit(url)._replace(path=f"/{path}").geturl()
