"""Who has a place, and whose turn it is."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.places import NoPlace, Places

LONG_S = 30.0


class Asked:
    """Those who ask for places, each named by a letter; `order` is in which order they got theirs."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.order = ""
        self._asking: list[asyncio.Task[None]] = []

    async def ask(self, who: str, timeout_s: float = LONG_S) -> list[asyncio.Task[None]]:
        """A blank is nobody."""
        came = [asyncio.create_task(self._take(whose, timeout_s)) for whose in who]
        self._asking += came
        await settled()
        return came

    async def give_back(self, who: str) -> None:
        for whose in who:
            self._places.give_back(name_of(whose))
            await settled()

    async def play(self, who: str) -> str:
        """All ask at once, each gives back what it got, and everybody has had a place in the end."""
        await self.ask(who)
        returned = 0
        while returned < len(self.order):
            await self.give_back(self.order[returned])
            returned += 1
        await asyncio.gather(*self._asking)
        return self.order

    async def end(self) -> None:
        for each in self._asking:
            each.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _take(self, whose: str, timeout_s: float) -> None:
        await self._places.take(name_of(whose), timeout_s)
        self.order += whose


def name_of(whose: str) -> str | None:
    return None if whose == " " else whose


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_much_waits_behind_themselves() -> None:
    assert await Asked(Places(1, room=100)).play("AAAAAABAAC") == "AABCAAAAAA"


@given(st.text("ABC ", max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_nobody_waits_for_a_second_turn_of_another(who: str, count: int, each: int) -> None:
    order = asyncio.run(Asked(Places(count, each=each, room=200)).play(who))

    assert Counter(order) == Counter(who)
    if each >= count:
        waited = order[count:]
        for position, whose in enumerate(waited):
            before = Counter(waited[:position])
            assert all(before[other] <= before[whose] + 1 for other in "ABC ")


@given(st.lists(st.tuples(st.sampled_from("ABC "), st.booleans()), max_size=60), st.integers(1, 6), st.integers(1, 3))
def test_never_are_more_held_than_there_are_and_never_one_left_that_somebody_could_have(
    steps: list[tuple[str, bool]], count: int, each: int
) -> None:
    async def play() -> None:
        asked = Asked(Places(count, each=each, room=200))
        held: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        for whose, asks in steps:
            known = len(asked.order)
            if asks:
                await asked.ask(whose)
                waiting[whose] += 1
            elif held[whose]:
                await asked.give_back(whose)
                held[whose] -= 1
            got = Counter(asked.order[known:])
            held += got
            waiting -= got
            assert held.total() <= count
            assert all(held[school] <= each for school in "ABC")
            could = [who for who in waiting if who == " " or held[who] < each]
            assert held.total() == count or not could
        await asked.end()

    asyncio.run(play())


async def test_nobody_holds_more_than_their_share_while_others_find_theirs() -> None:
    asked = Asked(Places(4, each=2, room=100))
    await asked.ask("AAAAB")

    assert asked.order == "AAB"

    await asked.give_back("B")
    assert asked.order == "AAB"
    await asked.give_back("A")
    assert asked.order == "AABA"


async def test_those_of_nobody_may_hold_all_and_fill_all_of_the_room() -> None:
    asked = Asked(Places(3, each=1, room=4))
    came = await asked.ask("        ")

    assert asked.order == "   "
    assert [each.done() for each in came] == [True] * 3 + [False] * 4 + [True]
    with pytest.raises(NoPlace, match="too many"):
        await came[-1]
    await asked.end()


async def test_nobody_takes_more_than_half_of_the_room_and_all_of_it_is_used() -> None:
    asked = Asked(Places(1, room=4))
    await asked.ask(" ")

    came = await asked.ask("AAABBBC")

    assert [each.done() for each in came] == [False, False, True, False, False, True, True]
    for refused in (came[2], came[5], came[6]):
        with pytest.raises(NoPlace, match="too many"):
            await refused
    await asked.end()


async def test_who_waits_too_long_is_told_and_makes_room() -> None:
    asked = Asked(Places(1, room=2))
    await asked.ask(" ")
    (late,) = await asked.ask("A", timeout_s=0.01)

    with pytest.raises(NoPlace, match="in time"):
        await late
    await asked.ask("B")
    await asked.ask("A")
    await asked.give_back(" ")
    await asked.give_back("B")

    assert asked.order == " BA"


@pytest.mark.parametrize(("who", "cancelled", "order"), [("AAB", 1, " AB"), ("AAB", 2, " B"), ("AB", 2, " ")])
async def test_who_is_cancelled_is_passed_over(who: str, cancelled: int, order: str) -> None:
    asked = Asked(Places(1, room=10))
    await asked.ask(" ")
    came = await asked.ask(who)

    # They have not left yet when the place is given on.
    for each in came[:cancelled]:
        each.cancel()
    for given_back in order:
        await asked.give_back(given_back)

    assert asked.order == order
    assert await asked.ask("C")
    assert asked.order == order + "C"


async def test_who_is_cancelled_with_a_place_in_hand_gives_it_back() -> None:
    places = Places(1, room=10)
    asked = Asked(places)
    await asked.ask(" ")
    (first,) = await asked.ask("A")

    places.give_back(None)
    first.cancel()
    await asked.ask("B")

    assert asked.order == " B"
