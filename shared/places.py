"""Places that are taken and given back: who asks much waits behind themselves, and not before everybody else."""

import asyncio
from collections import Counter, deque
from collections.abc import Hashable


class NoPlace(Exception):
    """None became free in time, or too many wait already."""


class Places:
    """So many at once; who gets none waits in the queue of those who are theirs, and the queues have turns.

    Nobody holds more than `each` or fills more than half of `room`, which is for all who wait. Those of None are of
    nobody: they may hold all places and fill all of the room, and have one turn together.
    """

    def __init__(self, count: int, *, each: int | None = None, room: int) -> None:
        self._free = count
        self._each = count if each is None else each
        self._room = room
        self._held: Counter[Hashable] = Counter()
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._waiting = 0

    async def take(self, whose: Hashable, timeout_s: float) -> None:
        """A place, to be given back. Raises NoPlace."""
        if self._free > 0 and self._may_hold_more(whose):
            self._hold(whose)
            return
        place = self._join(whose)
        try:
            async with asyncio.timeout(timeout_s):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.give_back(whose)
            if isinstance(error, TimeoutError):
                raise NoPlace("none became free in time") from None
            raise
        finally:
            self._leave(whose, place)

    def give_back(self, whose: Hashable) -> None:
        self._free += 1
        self._held[whose] -= 1
        if not self._held[whose]:
            del self._held[whose]
        self._hand_out()

    def _may_hold_more(self, whose: Hashable) -> bool:
        return whose is None or self._held[whose] < self._each

    def _hold(self, whose: Hashable) -> None:
        self._free -= 1
        self._held[whose] += 1

    def _join(self, whose: Hashable) -> asyncio.Future[None]:
        queue = self._queues.get(whose, ())
        most = self._room if whose is None else max(1, self._room // 2)
        if self._waiting >= self._room or len(queue) >= most:
            raise NoPlace("too many wait already")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(whose, deque()).append(place)
        self._waiting += 1
        return place

    def _leave(self, whose: Hashable, place: asyncio.Future[None]) -> None:
        """Nothing to do for who was given their place."""
        queue = self._queues.get(whose)
        if queue and place in queue:
            queue.remove(place)
            self._waiting -= 1
            if not queue:
                del self._queues[whose]

    def _hand_out(self) -> None:
        """What is free, to the first of whoever has waited longest for a turn and may hold one more."""
        for whose in list(self._queues):
            if self._may_hold_more(whose) and (place := self._next_of(whose)):
                self._hold(whose)
                place.set_result(None)
                return

    def _next_of(self, whose: Hashable) -> asyncio.Future[None] | None:
        """Who of them waits longest; their next turn comes after everybody else's. None when all have given up."""
        queue = self._queues.pop(whose)
        while queue:
            place = queue.popleft()
            self._waiting -= 1
            if not place.done():
                if queue:
                    self._queues[whose] = queue
                return place
        return None
