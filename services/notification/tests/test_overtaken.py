"""What is told of somebody before they or their link are heard of: their mail waits, and is lost for no order."""

from datetime import timedelta

import pytest

from services.notification.deliveries import rules
from services.notification.tests.factories import School, guardian
from services.notification.tests.mail_server import MailServer
from services.notification.tests.wishes import Clock, daily, wish
from shared.ids import new_id

ADDRESS = "SELECT address FROM delivery WHERE school_id = %(school_id)s"
NEXT_ATTEMPT_IN = """
SELECT extract(epoch FROM next_attempt_at - updated_at)::int FROM delivery WHERE school_id = %(school_id)s
"""


async def ended(school: School) -> list[tuple[str, str | None, int]]:
    return [(each.state, each.last_error, each.attempts) for each in await school.deliveries()]


async def send_at(school: School, at: Clock, minutes: float) -> None:
    at.at += timedelta(minutes=minutes)
    await school.sender.send_due()


async def test_a_link_that_comes_after_what_is_told_by_it_is_waited_for(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, mother = await school.student(), await school.guardian()
    await school.announce(guardian(mother, ada))
    await send_at(school, at, 0)
    reader = school.database.reader(school_id=school.school_id)
    assert await ended(school) == [("queued", None, 0)]
    assert await reader.value(int, NEXT_ATTEMPT_IN, school_id=school.school_id) == 30

    await school.link(mother, ada)
    await send_at(school, at, 0.5)
    await send_at(school, at, 0.5)

    assert [mail["To"].addresses[0].username for mail in mail_server.mails] == [str(mother)]
    assert [each.state for each in await school.deliveries()] == ["sent"]


async def test_of_several_children_one_link_that_may_still_come_is_enough_to_wait(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = await school.guardian(ada, is_active=False)
    await school.announce(guardian(mother, ada, ben))
    await send_at(school, at, 0)
    assert mail_server.mails == []

    await school.link(mother, ben)
    await send_at(school, at, 0.5)

    assert len(mail_server.mails) == 1


async def test_a_guardian_who_comes_after_what_they_are_told_is_waited_for(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, mother = await school.student(), new_id()
    await school.announce(guardian(mother, ada))
    await send_at(school, at, 0)
    assert await ended(school) == [("queued", None, 0)]

    await school.guardian(ada, guardian_id=mother)
    await send_at(school, at, 0.5)
    await send_at(school, at, 0.5)

    (mail,) = mail_server.mails
    assert mail["To"] == f"Anne Byron <{mother}@home.test>"
    reader = school.database.reader(school_id=school.school_id)
    assert await reader.value(str, ADDRESS, school_id=school.school_id) == f"{mother}@home.test"


async def test_a_guardian_who_turns_out_to_have_no_address_is_unreachable(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, mother = await school.student(), new_id()
    await school.announce(guardian(mother, ada))

    await school.guardian(ada, guardian_id=mother, email=None)
    await send_at(school, at, 0)

    assert mail_server.mails == []
    assert await ended(school) == [("unreachable", "There is no usable address.", 0)]


@pytest.mark.parametrize("missing", ["link", "guardian"])
async def test_nobody_is_waited_for_for_ever(school: School, mail_server: MailServer, at: Clock, missing: str) -> None:
    ada = await school.student()
    mother = await school.guardian() if missing == "link" else new_id()
    if missing == "guardian":
        await school.link(mother, ada)
    await school.announce(guardian(mother, ada))
    await send_at(school, at, 29)
    assert await ended(school) == [("queued", None, 0)]

    await send_at(school, at, 1)

    assert mail_server.mails == []
    assert await ended(school) == [
        ("cancelled", "The guardian is no longer to hear of the student.", 0)
        if missing == "link"
        else ("unreachable", "There is no usable address.", 0)
    ]


async def test_a_link_that_is_known_to_have_ended_is_not_waited_for(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada, is_active=False)
    await school.announce(guardian(mother, ada))

    await send_at(school, at, 0)

    assert await ended(school) == [("cancelled", "The guardian is no longer to hear of the student.", 0)]


async def test_what_is_withdrawn_while_somebody_is_waited_for_is_not_sent(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    ada, mother = await school.student(), new_id()
    id_ = await school.announce(guardian(mother, ada))
    await send_at(school, at, 0)

    await school.withdraw(id_)
    await school.guardian(ada, guardian_id=mother)
    await send_at(school, at, 0.5)

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["cancelled"]


async def test_a_digest_waits_for_a_link_that_came_late(school: School, mail_server: MailServer, at: Clock) -> None:
    ada, mother = await school.student(), await school.guardian()
    await wish(school, mother, *daily())
    at.to("2026-06-10T16:59")
    await school.announce(guardian(mother, ada))
    at.to("2026-06-10T17:00")
    await send_at(school, at, 0)
    assert await ended(school) == [("queued", None, 0)]

    await school.link(mother, ada)
    await send_at(school, at, 0.5)

    (mail,) = mail_server.mails
    assert "== Ada ==" in mail.get_content()


async def test_control_who_waits_for_nobody_loses_the_mail(
    school: School, mail_server: MailServer, at: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "AWAITED_FOR", timedelta(0))

    ada, mother = await school.student(), await school.guardian()
    await school.announce(guardian(mother, ada))
    await send_at(school, at, 0)
    await school.link(mother, ada)
    await send_at(school, at, 0.5)

    assert mail_server.mails == []
    assert [each.state for each in await school.deliveries()] == ["cancelled"]
