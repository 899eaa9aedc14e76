"""One service behind the gateway: its connections, its circuit and what it declares."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import UUID

import structlog

from gateway.breaker import Breaker
from gateway.client import RequestTimeout
from gateway.routes import Contract, Operations
from gateway.settings import Settings
from shared import problems
from shared.http_pool import (
    Answer,
    BadAnswer,
    Body,
    ConnectFailed,
    Pool,
    PoolFull,
    PoolLimits,
    Request,
    TimedOut,
    UpstreamError,
)
from shared.problems import Problem

log = structlog.get_logger()


class BadGateway(Problem):
    status, slug, title = 502, "bad-gateway", "A service gave no answer that can be used"


class GatewayTimeout(Problem):
    status, slug, title = 504, "gateway-timeout", "A service took too long to answer"


class Upstream:
    def __init__(self, service: str, settings: Settings) -> None:
        self.service = service
        limits = PoolLimits(
            connections=settings.upstream_connections,
            each=settings.upstream_school_connections,
            waiting=settings.upstream_waiting,
            wait_s=settings.upstream_wait_s,
            connect_s=settings.upstream_connect_s,
        )
        self.pool = Pool(settings.upstream_url(service), limits)
        self.breaker = Breaker(failures=settings.breaker_failures, open_s=settings.breaker_open_s)
        self.contract = Contract(service, self.pool, fresh_s=settings.contract_fresh_s)
        self._fair_s = settings.deadline_s / 2
        self._uploads_left = max(1, settings.upstream_connections // 4)

    @property
    def seems_well(self) -> bool:
        return self.contract.is_readable and not self.breaker.is_open

    async def operations(self) -> Operations:
        """Raises Unavailable when the service has never told what it can do."""
        operations = await self.contract.loaded()
        if operations is None:
            raise problems.Unavailable("The service does not answer.", headers=_retry_after(2))
        return operations

    async def ask(
        self, request: Request, *, timeout_s: float, sent_since_s: Callable[[], float | None], school_id: UUID | None
    ) -> Answer:
        """The head of the answer. Raises Problem when there is none. Schools wait in turns.

        A time-out is the client's own fault as long as its request is not here whole (`sent_since_s`), and nobody's
        when it came too late for a fair answer: slow clients must not shut a service to everybody else.
        """
        if not self.breaker.admits():
            raise problems.Unavailable("The service has a rest.", headers=_retry_after(self.breaker.retry_after_s))
        try:
            with self._upload(request):
                answer = await self.pool.request(request, timeout_s=timeout_s, whose=school_id)
        except PoolFull:
            raise problems.Unavailable("The service is too busy.", headers=_retry_after(1)) from None
        except UpstreamError as error:
            had_s = sent_since_s()
            if isinstance(error, TimedOut) and had_s is None:
                raise RequestTimeout from None
            if not isinstance(error, TimedOut) or (had_s or 0.0) >= self._fair_s:
                self.breaker.failed()
            log.warning("upstream_failed", upstream=self.service, error=type(error).__name__)
            raise _as_problem(error) from error
        self.breaker.succeeded()
        return answer

    @contextmanager
    def _upload(self, request: Request) -> Generator[None]:
        """Bodies that come slowly may hold a quarter of the connections, never all of them."""
        if not isinstance(request.body, Body):
            yield
            return
        if self._uploads_left < 1:
            raise problems.Unavailable("Too many uploads at once.", headers=_retry_after(2))
        self._uploads_left -= 1
        try:
            yield
        finally:
            self._uploads_left += 1

    async def close(self) -> None:
        await self.contract.close()
        self.pool.close()


def _as_problem(error: UpstreamError) -> Problem:
    match error:
        case ConnectFailed():
            return problems.Unavailable("The service does not answer.", headers=_retry_after(2))
        case TimedOut():
            return GatewayTimeout()
        case BadAnswer():
            return BadGateway("Its answer could not be read.")
        case _:
            return BadGateway()


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, round(seconds)))}
