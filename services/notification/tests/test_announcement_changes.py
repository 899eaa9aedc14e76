"""Announcements that change after they were told: whoever looks sees them as they are, and is not told again."""

from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notification.tests.factories import School, announcement, changed, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.tests.seen import INBOX, Seen
from services.notification.tests.wishes import NIGHT, Clock, daily, wish
from services.notification.wording import LONGEST_TITLE
from shared import clock
from shared.bus import Outcome
from shared.contracts.communication import AnnouncementHeld, AnnouncementRecipient
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.testing.tokens import Tokens
from shared.worker import Worker

LATER = "The bus leaves at nine."


async def texts(seen: Seen, person_id: UUID) -> list[tuple[str, str]]:
    return [(each["title"], each["body"]) for each in await seen.items(person_id, "teacher")]


# -- The text.


async def test_an_edit_shows_in_the_inbox_and_tells_nobody(school: School, seen: Seen, mail_server: MailServer) -> None:
    tess, tom = await school.teacher(), await school.teacher()
    id_ = await school.announce(somebody(tess), somebody(tom))
    other = await school.announce(somebody(tess), title="Another")
    await school.mails_are_sent()
    await seen.reads_all(tess, "teacher")

    await school.change(id_, version=4, title="Trip", body=LATER)
    await school.mails_are_sent()

    assert await texts(seen, tess) == [("Another", "We go to the sea."), ("Trip", LATER)]
    assert (await seen.unread(tess, "teacher"), await seen.unread(tom, "teacher")) == (0, 1)
    assert len(mail_server.mails) == 3
    assert len(await school.told()) == 3
    assert id_ != other


async def test_a_mail_that_waits_says_what_is_true_when_it_is_sent(school: School, mail_server: MailServer) -> None:
    tess = await school.teacher()
    before = "word " * 200
    id_ = await school.announce(somebody(tess), body=f"{before}sea")

    await school.change(id_, version=4, title="Trip", body=f"{before}lake")
    await school.mails_are_sent()

    (mail,) = mail_server.mails
    assert mail["Subject"] == "Trip"
    assert "lake" in mail.get_content()
    assert "sea" not in mail.get_content()
    assert f"http://gateway.test/announcements/{id_}" in mail.get_content()


async def test_a_mail_that_was_tried_says_the_same_again(school: School, mail_server: MailServer) -> None:
    tess = await school.teacher()
    id_ = await school.announce(somebody(tess))
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()

    await school.change(id_, version=4, title="Trip")
    mail_server.mood = "well"
    await school.mails_are_sent()

    assert [mail["Subject"] for mail in mail_server.mails] == ["School trip"]


async def test_a_part_that_comes_after_an_edit_says_what_is_true_by_then(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    tess, id_ = await school.teacher(), new_id()

    await school.change(id_, version=4, title="Trip", body=LATER)
    await school.announce(somebody(tess), announcement_id=id_)
    await school.mails_are_sent()

    assert await texts(seen, tess) == [("Trip", LATER)]
    assert [mail["Subject"] for mail in mail_server.mails] == ["Trip"]


async def test_what_is_known_of_an_earlier_edition_is_older_than_a_part_of_the_next(
    school: School, seen: Seen, mail_server: MailServer
) -> None:
    tess, id_ = await school.teacher(), new_id()
    await school.change(id_, version=4, title="Old", expires_at=clock.now() - timedelta(hours=1))

    await school.announce(somebody(tess), announcement_id=id_, edition=2, title="New")
    await school.mails_are_sent()

    assert await seen.titles(tess, "teacher") == ["New"]
    assert [mail["Subject"] for mail in mail_server.mails] == ["New"]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_parts_and_changes_in_any_order_and_number_end_with_the_newest_text(
    school: School, worker: Worker, seen: Seen, mail_server: MailServer, order: tuple[int, ...]
) -> None:
    tess, tom, id_ = await school.teacher(), await school.teacher(), new_id()
    events: list[tuple[Any, int]] = [
        (announcement(id_, somebody(tess), somebody(tom)), 1),
        (changed(id_), 3),
        (changed(id_, title="Trip", body=LATER), 4),
        (announcement(id_, somebody(tess), edition=2, title="Trip", body=LATER), 2),
    ]

    for number in (*order, *order):
        event, version = events[number]
        assert await deliver(worker, event, school_id=school.school_id, version=version) is Outcome.DONE
    await school.mails_are_sent()

    assert await texts(seen, tess) == [("Trip", LATER)] * 2
    assert await texts(seen, tom) == [("Trip", LATER)]
    assert sorted(mail["To"].addresses[0].username for mail in mail_server.mails) == sorted([str(tess), str(tom)])
    assert {mail["Subject"] for mail in mail_server.mails} == {"Trip"}


async def test_another_schools_edit_changes_nothing_here(school: School, worker: Worker, seen: Seen) -> None:
    tess, id_ = await school.teacher(), new_id()
    await school.announce(somebody(tess), announcement_id=id_)

    await deliver(worker, changed(id_, title="Trip"), school_id=new_id(), version=9)

    assert await seen.titles(tess, "teacher") == ["School trip"]


# -- The end.


async def test_what_has_expired_is_neither_listed_nor_counted_until_it_is_kept_longer(
    school: School, seen: Seen, client: httpx.AsyncClient, tokens: Tokens, at: Clock
) -> None:
    tess = await school.teacher()
    id_ = await school.announce(somebody(tess))
    end = at.now() + timedelta(hours=1)
    await school.change(id_, version=3, expires_at=end)
    (item,) = await seen.items(tess, "teacher")
    assert await seen.unread(tess, "teacher") == 1

    at.at = end
    assert (await seen.titles(tess, "teacher"), await seen.unread(tess, "teacher")) == ([], 0)
    headers = tokens.headers("teacher", school_id=school.school_id, person_id=tess)
    answer = await client.post(f"{INBOX}/{item['notification_id']}/read", headers=headers)
    assert answer.status_code == 404
    await seen.reads_all(tess, "teacher")

    await school.change(id_, version=4, expires_at=end + timedelta(hours=1))
    assert (await seen.titles(tess, "teacher"), await seen.unread(tess, "teacher")) == (["School trip"], 1)


async def test_what_expires_while_its_mail_is_held_is_not_mailed(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    tess = await school.teacher()
    await wish(school, tess, quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")
    id_ = await school.announce(somebody(tess))
    await school.announce(somebody(tess), title="Kept")
    await school.change(id_, version=3, expires_at=at.now() + timedelta(hours=4))

    at.to("2026-06-11T07:00")
    await school.sender.send_due()

    assert [mail["Subject"] for mail in mail_server.mails] == ["Kept"]
    assert {each.last_error for each in await school.deliveries()} == {None, "Expired before it was sent."}


async def test_a_digest_says_what_is_true_when_it_is_sent(school: School, mail_server: MailServer, at: Clock) -> None:
    tess = await school.teacher()
    await wish(school, tess, *daily())
    edited, over = await school.announce(somebody(tess)), await school.announce(somebody(tess), title="Over")
    await school.change(edited, version=3, title="Trip", body=LATER)
    await school.change(over, version=3, title="Over", expires_at=at.now() + timedelta(hours=1))

    at.to("2026-06-10T17:00")
    await school.sender.send_due()

    (mail,) = mail_server.mails
    assert mail["Subject"] == "Lincoln Elementary: 1 notification"
    assert f"Trip\n{LATER}" in mail.get_content().replace("\r", "")


# -- Editions.


@pytest.mark.parametrize("editions", [(1, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("is_digest", [True, False], ids=["digest", "held"])
async def test_of_two_editions_that_wait_to_be_mailed_the_last_is(
    school: School, mail_server: MailServer, at: Clock, editions: tuple[int, int], is_digest: bool
) -> None:
    tess, tom, id_ = await school.teacher(), await school.teacher(), new_id()
    for each in (tess, tom):
        await wish(school, each, *(daily() if is_digest else []), quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")
    for edition in editions:
        to = [somebody(tess), somebody(tom)] if edition == 1 else [somebody(tess)]
        await school.announce(*to, announcement_id=id_, edition=edition, title=f"Edition {edition}")

    at.to("2026-06-11T17:00")
    await school.sender.send_due()

    (to_tess,), (to_tom,) = mail_server.to(str(tess)), mail_server.to(str(tom))
    assert "Edition 2" in to_tess["Subject"] + to_tess.get_content()
    assert "Edition 1" not in to_tess["Subject"] + to_tess.get_content()
    assert "Edition 1" in to_tom["Subject"] + to_tom.get_content()


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_an_edit_of_an_earlier_edition_that_comes_late_changes_nothing_of_a_later(
    school: School, worker: Worker, seen: Seen, mail_server: MailServer, order: tuple[int, ...]
) -> None:
    tess, tom, id_ = await school.teacher(), await school.teacher(), new_id()
    events: list[tuple[Any, int]] = [
        (announcement(id_, somebody(tom)), 1),
        (announcement(id_, somebody(tess), edition=2, title="Next trip", body=LATER), 2),
        (changed(id_, title="Trip", expires_at=clock.now() - timedelta(hours=1)), 4),
    ]

    for number in order:
        event, version = events[number]
        await deliver(worker, event, school_id=school.school_id, version=version)
    await school.mails_are_sent()

    assert await texts(seen, tess) == [("Next trip", LATER)]
    assert await texts(seen, tom) == []
    assert [mail["Subject"] for mail in mail_server.mails] == ["Next trip"]


# -- What did not go out.


def held(announcement_id: UUID, author_id: UUID, **fields: Any) -> AnnouncementHeld:
    author = AnnouncementRecipient(recipient_id=author_id, role="teacher", student_ids=[])
    told: dict[str, Any] = {"title": "School trip", "reason": "day_over", "author": author, "held_at": clock.now()}
    return AnnouncementHeld(announcement_id=announcement_id, **{**told, **fields})


async def test_the_author_hears_of_what_did_not_go_out(school: School, seen: Seen, mail_server: MailServer) -> None:
    tess, tom, id_ = await school.teacher(), await school.teacher(), new_id()

    await school.hear(held(id_, tess), about=id_, version=3)
    await school.hear(held(id_, tess), about=id_, version=3)
    await school.mails_are_sent()

    (item,) = await seen.items(tess, "teacher")
    assert (item["title"], item["category"]) == ("Not sent: School trip", "announcement_held")
    assert item["body"].startswith("It was for those absent on a day that is over.")
    assert item["deep_link"] == f"/announcements/written/{id_}"
    assert await seen.items(tom, "teacher") == []
    (mail,) = mail_server.mails
    assert mail["Subject"] == "Not sent: School trip"


async def test_each_time_that_it_does_not_go_out_the_author_hears_of_it(school: School, seen: Seen) -> None:
    tess, id_ = await school.teacher(), new_id()

    await school.hear(held(id_, tess), about=id_, version=3)
    await school.hear(held(id_, tess, reason="of tomorrow"), about=id_, version=6)

    assert [item["body"].partition(".")[0] for item in await seen.items(tess, "teacher")] == [
        "It could not be sent",
        "It was for those absent on a day that is over",
    ]


@pytest.mark.parametrize("comes_first", ["held", "changed"])
async def test_once_it_went_out_nobody_is_told_any_more_that_it_did_not(
    school: School, seen: Seen, mail_server: MailServer, comes_first: str
) -> None:
    tess, id_ = await school.teacher(), new_id()
    events: list[tuple[Any, int]] = [(held(id_, tess), 3), (changed(id_), 5)]

    for event, version in events if comes_first == "held" else reversed(events):
        await school.hear(event, about=new_id(), version=version)
    await school.mails_are_sent()

    assert await seen.items(tess, "teacher") == []
    assert mail_server.mails == []


@pytest.mark.parametrize("comes_first", ["held", "withdrawn"])
@pytest.mark.parametrize("is_digest", [True, False], ids=["digest", "quiet"])
async def test_once_it_is_withdrawn_its_author_is_not_told_to_send_it_again(
    school: School, seen: Seen, mail_server: MailServer, at: Clock, comes_first: str, is_digest: bool
) -> None:
    tess, id_ = await school.teacher(), new_id()
    await wish(school, tess, *(daily() if is_digest else []), quiet_hours=NIGHT)
    at.to("2026-06-10T23:00")

    if comes_first == "withdrawn":
        await school.withdraw(id_)
    await school.hear(held(id_, tess), about=id_, version=3)
    if comes_first == "held":
        await school.withdraw(id_)
    at.to("2026-06-11T17:00")
    await school.sender.send_due()

    assert await seen.items(tess, "teacher") == []
    assert mail_server.mails == []


async def test_a_long_title_is_shortened(school: School, seen: Seen) -> None:
    tess, id_ = await school.teacher(), new_id()

    await school.hear(held(id_, tess, title="word " * 40), about=id_, version=3)

    (item,) = await seen.items(tess, "teacher")
    assert len(item["title"]) <= LONGEST_TITLE
    assert item["title"].endswith("…")
