"""Dates, times and lists as the school's country writes them, within English sentences."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from babel import localedata
from hypothesis import given
from hypothesis import strategies as st

from services.notification import wording
from services.notification.tests.factories import School, guardian, instant
from services.notification.tests.mail_server import MailServer
from services.notification.tests.seen import Seen
from services.notification.tests.wishes import Clock, daily, wish
from shared.bus import Outcome
from shared.contracts.auth import PasswordResetRequested
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver
from shared.worker import Worker

DAY = date(2026, 11, 16)
NEW_YORK = "America/New_York"
TAGS = [each.replace("_", "-") for each in localedata.locale_identifiers()]


@pytest.mark.parametrize(
    ("locale", "day", "time", "names"),
    [
        ("en-GB", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
        ("en-US", "Monday, November 16, 2026", "2:05 PM", "Ada, Ben, and Cleo"),
        ("en-AU", "Monday, 16 November 2026", "2:05 pm", "Ada, Ben and Cleo"),
        ("de-DE", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
        ("fr-CA", "Monday, November 16, 2026", "2:05 p.m.", "Ada, Ben and Cleo"),
        ("fi-FI", "Monday, 16 November 2026", "14.05", "Ada, Ben and Cleo"),
        # Nobody says how English is written there, or where it is.
        ("ja-JP", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
        ("ar-EG", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
        ("fr", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
        ("from a later release", "Monday, 16 November 2026", "14:05", "Ada, Ben and Cleo"),
    ],
)
def test_formats_are_those_of_the_schools_country(locale: str, day: str, time: str, names: str) -> None:
    assert wording.written(DAY, locale) == day
    assert wording.written_time(instant("2026-11-16T14:05"), "UTC", locale) == time
    assert wording.listed(["Ada", "Ben", "Cleo"], locale) == names


@given(st.sampled_from(TAGS), st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(0, 86_399))
def test_no_locale_puts_other_words_or_figures_into_a_sentence(locale: str, day: date, second: int) -> None:
    told_at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)

    written = wording.written_hour(told_at, NEW_YORK, locale) + wording.written_span(day, DAY, locale)

    assert written.isascii()
    assert f"{day:%A}" in written
    assert f"{day:%B}" in written


@pytest.mark.parametrize(
    ("names", "read"), [([], ""), (["Ada"], "Ada"), (["Ada", "Ada"], "Ada and Ada"), (["A {0}", "B"], "A {0} and B")]
)
def test_a_list_of_few_is_read_out(names: list[str], read: str) -> None:
    assert wording.listed(names, "en-GB") == read


@pytest.mark.parametrize(
    ("moment", "read"),
    [
        # The clocks go forward at 07:00 UTC, and back at 06:00 UTC.
        ("2026-03-08T06:55", "Sunday, March 8, 2026, 1:55 AM EST"),
        ("2026-03-08T07:05", "Sunday, March 8, 2026, 3:05 AM EDT"),
        ("2026-11-01T05:30", "Sunday, November 1, 2026, 1:30 AM EDT"),
        ("2026-11-01T06:30", "Sunday, November 1, 2026, 1:30 AM EST"),
        ("2026-11-02T04:59", "Sunday, November 1, 2026, 11:59 PM EST"),
    ],
)
def test_an_hour_that_comes_twice_is_told_apart(moment: str, read: str) -> None:
    assert wording.written_instant(instant(moment), NEW_YORK, "en-US") == read


@pytest.mark.parametrize(
    ("locale", "starts_at", "day", "read"),
    [
        ("en-GB", "2026-03-08T06:55", date(2026, 3, 8), "The lesson of 01:55 on Sunday, 8 March 2026 has"),
        ("en-US", "2026-03-08T07:05", date(2026, 3, 8), "The lesson of 3:05 AM on Sunday, March 8, 2026 has"),
        ("de-DE", "2026-11-01T18:05", date(2026, 11, 1), "The lesson of 13:05 on Sunday, 1 November 2026 has"),
    ],
)
async def test_inbox_and_mail_tell_the_schools_time_in_its_format(
    school: School, seen: Seen, mail_server: MailServer, locale: str, starts_at: str, day: date, read: str
) -> None:
    tess = await school.teacher()
    await school.is_set(locale=locale)

    await school.hear(school.missing(tess, starts_at=instant(starts_at), day=day), about=new_id())
    await school.mails_are_sent()

    (item,) = await seen.items(tess, "teacher")
    assert item["body"].startswith(read)
    assert mail_server.mails[0].get_content().startswith(read)


async def test_guardians_read_of_an_absence_in_the_schools_format(school: School) -> None:
    ada = await school.student("Ada")
    await school.guardian(ada)
    await school.is_set(locale="en-US")
    day = f"{school.today:%A}, {school.today:%B} {school.today.day}, {school.today.year}"

    await school.mark(ada, absent=True)
    await school.grace_ends()
    await school.mark(ada, absent=False)

    assert [f" on {day}" in each.body for each in await school.notified()] == [True, True]


async def test_a_report_and_its_answer_are_in_the_schools_format(school: School) -> None:
    ada, office = await school.student("Ada"), await school.admin()
    anne = await school.guardian(ada)
    await school.is_set(locale="en-US")
    asked: dict[str, Any] = {"absence_report_id": new_id(), "starts_on": DAY, "ends_on": date(2026, 11, 17)}

    await school.hear(school.report(ada, **asked), about="report")
    await school.hear(school.report(ada, **asked, state="accepted", guardian_id=anne), about="report")

    told = {each.recipient_person_id: each.body for each in await school.notified()}
    days = "for Ada, Monday, November 16, 2026 to Tuesday, November 17, 2026."
    assert told[office].endswith(days)
    assert told[anne].endswith(days)


async def test_a_digest_is_in_the_schools_format_by_its_readers_clock(
    school: School, mail_server: MailServer, at: Clock
) -> None:
    children = [await school.student(name) for name in ("Ada", "Ben", "Cleo")]
    anne = await school.guardian(*children)
    await wish(school, anne, *daily("announcements"), time_zone="Europe/Berlin")
    await school.is_set(locale="en-US")
    at.to("2026-06-10T08:05")

    await school.announce(guardian(anne, *children))
    at.to("2026-06-11T20:00")
    await school.sender.send_due()

    (mail,) = mail_server.mails
    lines = mail.get_content().splitlines()
    assert "== Ada, Ben, and Cleo ==" in lines
    assert "Wed 2:05 PM  School trip" in lines


async def test_an_invite_ends_by_the_clock_of_its_school(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal, at: Clock
) -> None:
    await school.is_set(locale="en-US")
    invite = school.invite(seal.close("1234"), expires_at=instant("2026-11-01T05:30"))

    assert await deliver(worker, invite, school_id=school.school_id) is Outcome.DONE
    await school.mails_are_sent()

    assert "once, until Sunday, November 1, 2026, 1:30 AM EDT:" in mail_server.mails[0].get_content()


async def test_an_invite_to_a_school_that_is_not_known_yet_is_sent(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal, at: Clock
) -> None:
    school.school_id = new_id()
    invite = school.invite(seal.close("1234"), expires_at=instant("2026-11-01T05:30"))

    assert await deliver(worker, invite, school_id=school.school_id) is Outcome.DONE
    await school.mails_are_sent()

    assert "once, until Sunday, 1 November 2026, 05:30 UTC:" in mail_server.mails[0].get_content()


async def test_a_new_password_belongs_to_no_school_and_has_its_time_in_utc(
    school: School, worker: Worker, mail_server: MailServer, seal: Seal, at: Clock
) -> None:
    await school.is_set(locale="en-US")
    reset = PasswordResetRequested(
        reset_id=new_id(),
        email="anne@home.test",
        sealed_code=seal.close("1234"),
        expires_at=instant("2026-11-01T05:30"),
    )

    assert await deliver(worker, reset, school_id=None) is Outcome.DONE
    await school.sender.send_due()

    assert "once, until Sunday, 1 November 2026, 05:30 UTC. If" in mail_server.mails[0].get_content()
