"""Answers an import as `school` and `auth` do: `python -m tests.chaos.school_stub <port>`.

The ids follow from the sourced ids, so the same roster gets the same answer however often it is sent.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID, uuid5

import msgspec

from shared.clients import ServiceToken
from shared.contracts.roster import RosterSchool, RosterSchoolSaved, RosterUpsert, RosterUpserted
from shared.contracts.school import AcademicSession, CalendarChanged, SchoolChanged


def district_id(sourced_id: str) -> UUID:
    return uuid5(UUID(int=0), sourced_id)


def school_id(district_sourced_id: str, sourced_id: str) -> UUID:
    return uuid5(district_id(district_sourced_id), sourced_id)


def saved(roster: RosterUpsert) -> RosterUpserted:
    return RosterUpserted(
        district_id=district_id(roster.district.sourced_id),
        schools=[saved_school(roster, each) for each in roster.schools],
    )


def saved_school(roster: RosterUpsert, school: RosterSchool) -> RosterSchoolSaved:
    district, id_ = roster.district.sourced_id, school_id(roster.district.sourced_id, school.sourced_id)
    sessions = [
        AcademicSession(
            academic_session_id=uuid5(id_, each.sourced_id),
            sourced_id=each.sourced_id,
            title=each.title,
            kind=each.kind,
            starts_on=each.starts_on,
            ends_on=each.ends_on,
        )
        for each in roster.academic_sessions
    ]
    return RosterSchoolSaved(
        sourced_id=school.sourced_id,
        is_new=True,
        school=SchoolChanged(
            school_id=id_,
            district_id=district_id(district),
            name=school.name,
            time_zone="UTC",
            grace_period_minutes=10,
        ),
        school_version=1,
        calendar=CalendarChanged(school_id=id_, academic_sessions=sessions, bell_periods=[], calendar_days=[]),
        calendar_version=1,
    )


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """`auth` gives a token to anybody."""
        self._read()
        self._answer(ServiceToken(access_token="token", expires_in=3600))

    def do_PUT(self) -> None:
        """`school` takes the roster."""
        self._answer(saved(msgspec.json.decode(self._read(), type=RosterUpsert)))

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, answer: msgspec.Struct) -> None:
        content = msgspec.json.encode(answer)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
