"""How many were there at once, and for how long."""

from bench.crowd import Crowd


def crowd(*spans: tuple[float, float]) -> Crowd:
    """Of people who came and left at these seconds."""
    changes = sorted([*((came, 1) for came, _ in spans), *((left, -1) for _, left in spans)])
    found = Crowd()
    for at_s, by in changes:
        (found.enter if by > 0 else found.leave)(at_s)
    return found


def test_nobody() -> None:
    assert (Crowd().peak, Crowd().sustained(0)) == (0, 0)


def test_the_peak_is_how_many_were_there_at_one_moment() -> None:
    assert crowd((0, 10), (5, 20), (15, 30)).peak == 2


def test_sustained_is_what_was_never_fallen_short_of() -> None:
    three = crowd((0, 100), (10, 90), (20, 40), (41, 80))

    assert [three.sustained(seconds) for seconds in (101, 100, 81, 80, 60, 39, 20)] == [0, 1, 1, 2, 2, 3, 3]


def test_one_who_takes_the_place_of_another_a_moment_later_is_not_the_same_crowd() -> None:
    assert crowd((0, 30), (30.001, 61)).sustained(60) == 0
    assert crowd((0, 30), (29.999, 61)).sustained(60) == 1
