"""Broken on purpose: the answer is kept after the transaction of what it tells of, in one of its own.

`python -m tests.chaos.broken.keeps_later api`
"""

from shared.idempotency import Answer, Claim, keep, take
from shared.web.idempotency import Exchange
from tests.chaos.keyed_api import main


async def ask_then_keep(self: Exchange, claim: Claim) -> Answer | None:
    await self._app(self._scope, self._receive, self._listen)
    async with self._database.transaction(school_id=claim.school_id) as tx:
        await take(tx, claim)
        await keep(tx, claim, self._answer())
    return None


if __name__ == "__main__":
    Exchange._ask = ask_then_keep
    main()
