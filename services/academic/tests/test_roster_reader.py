"""Promises of the roster reader. A small, correct roster of each version is broken in one place at a time."""

import io
import random
import struct
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.academic.roster import archive, tables
from services.academic.roster.people import KNOWN_ROLES
from services.academic.roster.reader import CLASS_KINDS, read_roster
from services.academic.roster.rules import MAX_LISTED_ERRORS, RosterRejected
from services.academic.roster.schemas import Note, Roster, RowError

DISTRICT = Path(__file__).parents[3] / "demo" / "district-5-schools.zip"
MIB = 1024 * 1024

WORDS_OF_THE_STANDARD = {"true", "school", "district", "term", "semester", "schoolYear"} | CLASS_KINDS | KNOWN_ROLES

Files = dict[str, str]

ROSTER_1_1: Files = {
    "manifest.csv": """propertyName,value
manifest.version,1.0
oneroster.version,1.1
file.academicSessions,bulk
file.classes,bulk
file.courses,bulk
file.demographics,absent
file.enrollments,bulk
file.orgs,bulk
file.users,bulk
""",
    "orgs.csv": """sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId
d1,,,Riverside,district,R,
s1,,,North School,school,N,d1
s2,,,South School,school,S,d1
""",
    "academicSessions.csv": """sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear
t1,,,Autumn,term,2026-08-01,2027-01-01,y1,2027
t2,,,Spring,semester,2027-01-01,2027-08-01,y1,2027
y1,,,2026/27,schoolYear,2026-08-01,2027-08-01,,2027
""",
    "courses.csv": """sourcedId,status,dateLastModified,title,courseCode,orgSourcedId
c1,,,Art,ART,d1
""",
    "classes.csv": """sourcedId,title,courseSourcedId,classType,location,schoolSourcedId,termSourcedIds,periods,grades
k1,Art 1,c1,scheduled,Room 1,s1,"t1,t2","1,2","08,07"
k2,Home,,homeroom,,s2,t1,,
""",
    "users.csv": """sourcedId,status,enabledUser,orgSourcedIds,role,username,givenName,familyName,email,grades
p1,,true,s1,student,x,Ada,Ash,ada@example.org,"07,08"
p2,,true,"s1,s2",teacher,x,Bo,Birk,,
p3,,true,s2,student,x,Cy,Cole,,08
p4,,true,d1,parent,x,Di,Dorn,,
""",
    "enrollments.csv": """sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate
e1,k1,s1,p1,student,,2026-09-01,2026-12-01
e2,k1,s1,p1,student,,2026-12-01,
e3,k1,s1,p2,teacher,true,,
e4,k2,s2,p3,student,,,
""",
}

ROSTER_1_2: Files = ROSTER_1_1 | {
    "manifest.csv": ROSTER_1_1["manifest.csv"].replace("version,1.1", "version,1.2") + "file.roles,bulk\n",
    "users.csv": """sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName,email,grades
p1,,,true,x,Ada,Ash,ada@example.org,07
p2,,,true,x,Bo,Birk,,
p3,,,true,x,Cy,Cole,,08
p4,,,true,x,Di,Dorn,,
""",
    "roles.csv": """sourcedId,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId
r1,p1,primary,student,,,s1,
r2,p2,primary,teacher,2026-08-01,2027-08-01,s1,
r3,p2,primary,teacher,,,s2,
r4,p2,secondary,aide,,,s2,
r5,p3,primary,student,,,s2,
r6,p4,primary,guardian,,,s2,
""",
    "userProfiles.csv": """sourcedId,userSourcedId,profileType,vendorId,credentialType,username,password
f1,p1,x,x,x,x,secret
""",
}


def zipped(files: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def with_change(files: Files, name: str, old: str, new: str) -> Files:
    assert files[name].count(old) == 1, f"{old!r} must be in {name} once"
    return files | {name: files[name].replace(old, new)}


def rejection(file: io.BytesIO) -> RosterRejected:
    with pytest.raises(RosterRejected) as caught:
        read_roster(file)
    return caught.value


def errors_of(files: Mapping[str, str | bytes]) -> list[RowError]:
    return rejection(zipped(files)).extras["row_errors"]


# -- what is read ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def district() -> Roster:
    with DISTRICT.open("rb") as file:
        return read_roster(file)


def test_the_district_file_reconciles_with_its_own_counts(district: Roster):
    assert district.version == "1.1"
    assert district.mode == "bulk"
    assert district.district.kind == "district"
    assert len(district.schools) == 5
    assert len(district.students) == 1000
    assert len(district.teachers) == 50
    assert len(district.courses) == 50
    assert len(district.classes) == 100
    assert len(district.enrolments) == 4204
    assert Counter(session.kind for session in district.sessions) == {"school_year": 1, "term": 2}
    assert district.counts == {
        "manifest.csv": 17,
        "orgs.csv": 6,
        "academicSessions.csv": 3,
        "courses.csv": 50,
        "classes.csv": 100,
        "users.csv": 1050,
        "enrollments.csv": 4204,
        "demographics.csv": 1000,
    }
    assert district.notes == [Note("demographics.csv", 1000, "The file is not imported.")]


def test_the_demo_file_is_the_one_that_was_given():
    members = {info.filename: info.CRC for info in zipfile.ZipFile(DISTRICT).infolist()}

    assert members["users.csv"] == 0x451E3A73
    assert members["enrollments.csv"] == 0x426A1800


def test_the_district_has_no_loose_ends(district: Roster):
    assert loose_ends(district) == []


def test_loose_ends_would_be_found(district: Roster):
    assert loose_ends(msgspec.structs.replace(district, courses=[])) == district.classes


@pytest.mark.parametrize("files", [ROSTER_1_1, ROSTER_1_2], ids=["1.1", "1.2"])
def test_both_versions_tell_the_same_roster(files: Files):
    roster = read_roster(zipped(files))

    ada, cy = roster.students
    (bo,) = roster.teachers
    assert (ada.given_name, ada.family_name, ada.email, ada.grade) == ("Ada", "Ash", "ada@example.org", "07")
    assert (cy.school_sourced_ids, cy.email, cy.is_active) == (("s2",), None, True)
    assert (bo.school_sourced_ids, bo.grade) == (("s1", "s2"), None)
    assert [school.name for school in roster.schools] == ["North School", "South School"]
    art, home = roster.classes
    assert (art.kind, art.periods, art.room, art.term_sourced_ids) == ("scheduled", ("1", "2"), "Room 1", ("t1", "t2"))
    assert (home.kind, home.periods, home.room, home.course_sourced_id) == ("homeroom", (), None, None)
    assert (art.grades, home.grades) == (("08", "07"), ())


def test_version_1_2_takes_roles_from_their_own_file_and_keeps_no_profiles():
    roster = read_roster(zipped(ROSTER_1_2))

    assert roster.version == "1.2"
    assert roster.notes == [
        Note("roles.csv", 1, "The role aide is not imported."),
        Note("roles.csv", 1, "The role guardian is not imported."),
        Note("userProfiles.csv", 1, "The file is not imported."),
        Note("users.csv", 1, "The user is neither a student nor a teacher."),
    ]
    assert b"secret" not in msgspec.json.encode(roster)


def test_a_user_of_version_1_2_may_learn_here_and_teach_there():
    files = with_change(ROSTER_1_2, "roles.csv", "r5,", "r9,p3,secondary,teacher,,,s1,\nr5,")

    roster = read_roster(zipped(files))

    assert [(each.sourced_id, each.school_sourced_ids) for each in roster.students] == [
        ("p1", ("s1",)),
        ("p3", ("s2",)),
    ]
    assert [each.sourced_id for each in roster.teachers] == ["p2", "p3"]
    assert roster.teachers[1].school_sourced_ids == ("s1",)


def test_an_end_date_is_the_day_after_the_last_one():
    roster = read_roster(zipped(ROSTER_1_1))

    year, autumn, _ = roster.sessions
    assert (year.kind, year.starts_on, year.ends_on) == ("school_year", date(2026, 8, 1), date(2027, 7, 31))
    assert autumn.ends_on == date(2026, 12, 31)
    assert roster.enrolments[0].ends_on == date(2026, 11, 30)


def test_parents_stand_before_their_sessions():
    roster = read_roster(zipped(ROSTER_1_1))

    assert [session.sourced_id for session in roster.sessions] == ["y1", "t1", "t2"]


def test_an_enrolment_without_dates_lasts_as_long_as_the_terms_of_its_class():
    spans = {each.sourced_id: (each.starts_on, each.ends_on) for each in read_roster(zipped(ROSTER_1_1)).enrolments}

    assert spans["e2"] == (date(2026, 12, 1), date(2027, 7, 31))
    assert spans["e3"] == (date(2026, 8, 1), date(2027, 7, 31))
    assert spans["e4"] == (date(2026, 8, 1), date(2026, 12, 31))


def test_other_roles_are_left_out_and_counted():
    files = ROSTER_1_1 | {"users.csv": ROSTER_1_1["users.csv"] + "p5,,true,s1,ext:cook,x,Ed,Elm,,\n"}
    files = files | {"enrollments.csv": files["enrollments.csv"] + "e9,k1,s1,p4,administrator,,,\n"}

    roster = read_roster(zipped(files))

    assert roster.notes == [
        Note("enrollments.csv", 1, "The role administrator is not imported."),
        Note("users.csv", 1, "The role ext:… is not imported."),
        Note("users.csv", 1, "The role parent is not imported."),
    ]


def test_people_and_classes_that_are_to_be_deleted_or_disabled_are_inactive():
    files = with_change(ROSTER_1_1, "users.csv", "p1,,true", "p1,tobedeleted,true")
    files = with_change(files, "users.csv", "p3,,true", "p3,active,FALSE")
    files = with_change(files, "classes.csv", "sourcedId,title", "status,sourcedId,title")
    files = with_change(files, "classes.csv", "k1,", ",k1,")
    files = with_change(files, "classes.csv", "k2,", "inactive,k2,")

    roster = read_roster(zipped(files))

    assert [person.is_active for person in [*roster.students, *roster.teachers]] == [False, False, True]
    assert [each.is_active for each in roster.classes] == [True, False]


def test_an_enrolment_that_is_to_be_deleted_is_left_out_and_noted():
    files = with_change(ROSTER_1_1, "enrollments.csv", "sourcedId,", "sourcedId,status,")
    files = files | {"enrollments.csv": files["enrollments.csv"].replace(",k", ",active,k")}
    files = with_change(files, "enrollments.csv", "e2,active", "e2,tobedeleted")

    roster = read_roster(zipped(files))

    assert [each.sourced_id for each in roster.enrolments] == ["e1", "e3", "e4"]
    assert Note("enrollments.csv", 1, "The row is to be deleted.") in roster.notes


def test_a_school_that_is_to_be_deleted_takes_what_is_to_be_deleted_with_it():
    files = with_change(ROSTER_1_1, "orgs.csv", "s2,", "s2,tobedeleted")
    files = with_change(files, "users.csv", "p3,", "p3,tobedeleted")
    files = with_change(files, "classes.csv", "sourcedId,title", "status,sourcedId,title")
    files = with_change(files, "classes.csv", "k1,", ",k1,")
    files = with_change(files, "classes.csv", "k2,", "tobedeleted,k2,")
    files = with_change(files, "enrollments.csv", "e4,k2,s2,p3,student,,,\n", "")

    roster = read_roster(zipped(files))

    assert [school.sourced_id for school in roster.schools] == ["s1"]
    assert [each.sourced_id for each in roster.classes] == ["k1"]
    assert [student.sourced_id for student in roster.students] == ["p1"]
    assert roster.teachers[0].school_sourced_ids == ("s1",)


def test_an_enrolment_that_ends_as_it_begins_covers_no_day_and_is_left_out():
    files = with_change(ROSTER_1_1, "enrollments.csv", "2026-09-01,2026-12-01", "2026-09-01,2026-09-01")

    roster = read_roster(zipped(files))

    assert "e1" not in {each.sourced_id for each in roster.enrolments}
    assert Note("enrollments.csv", 1, "The enrolment ends on the day on which it begins.") in roster.notes


def test_order_of_columns_unknown_columns_and_a_byte_order_mark_do_not_matter():
    courses = "\ufefforgSourcedId,metadata.x,title,nonsense,sourcedId\r\nd1,1,Art,2,c1\r\n\r\n"

    roster = read_roster(zipped(ROSTER_1_1 | {"courses.csv": courses}))

    assert [(course.sourced_id, course.title, course.code) for course in roster.courses] == [("c1", "Art", None)]
    assert roster.counts["courses.csv"] == 1


def test_unknown_csv_files_are_not_read_but_noted():
    roster = read_roster(zipped(ROSTER_1_1 | {"menus.csv": b"\xff\x00 no CSV at all"}))

    assert Note("menus.csv", 0, "The file is not part of OneRoster and was not read.") in roster.notes


# -- rows that are refused ---------------------------------------------------------------------------------------------

Case = tuple[str, str, int, str | None, str]
"""What stands there, what is put there; line, column and part of the reason that must be told."""

BROKEN_ROWS: dict[str, dict[str, Case]] = {
    "orgs.csv": {
        "empty name": ("North School", " ", 3, "name", "must not be empty"),
        "long name": ("North School", "x" * 256, 3, "name", "longer than 255"),
        "name with a line break": ("North School", '"North\nSchool"', 3, "name", "control character"),
        "name with NUL": ("North School", "North\x00School", 3, None, "NUL"),
        "unknown status": ("s1,,", "s1,gone,", 3, "status", "active, tobedeleted"),
        "unknown kind of org": ("South School,school", "South School,shop", 4, "type", "must be one of"),
        "unknown parent": ("N,d1", "N,d9", 3, "parentSourcedId", "no row of orgs.csv"),
        "no district": ("Riverside,district", "Riverside,state", 1, "type", "no district"),
        "too few fields": ("s1,,,", "s1,,", 3, None, "6 fields, the header has 7"),
        "too many fields": ("s1,,", "s1,,,", 3, None, "8 fields, the header has 7"),
        "text behind a quote": ("North School", '"North" School', 3, None, "not CSV"),
        "open quote": ("South School", '"South School', 4, None, "not CSV"),
        "missing column": ("name,", "Name,", 1, "name", "no such column"),
        "column twice": ("identifier", "name", 1, "name", "twice"),
    },
    "academicSessions.csv": {
        "bad day": ("t1,,,Autumn,term,2026-08-01", "t1,,,Autumn,term,2026-02-30", 2, "startDate", "day"),
        "other form of day": ("2026-08-01,2027-01-01", "20260801,2027-01-01", 2, "startDate", "YYYY"),
        "year that nobody means": ("2026-08-01,2027-01-01", "0001-01-01,2027-01-01", 2, "startDate", "day"),
        "no day": ("2026-08-01,2027-01-01", "2026-08-01,", 2, "endDate", "must not be empty"),
        "session without a day": ("2027-01-01,2027-08-01", "2027-01-01,2027-01-01", 3, "endDate", "after"),
        "session of centuries": ("2026-08-01,2027-08-01", "2026-08-01,2926-08-01", 4, "endDate", "three years"),
        "unknown kind of session": ("schoolYear,2026", "decade,2026", 4, "type", "must be one of"),
        "starts before its parent": (
            "2026-08-01,2027-01-01",
            "2026-07-31,2027-01-01",
            2,
            "startDate",
            "before its parent",
        ),
        "ends after its parent": ("2027-01-01,2027-08-01", "2027-01-01,2027-08-02", 3, "endDate", "after its parent"),
        "unknown parent of a session": ("2027-01-01,y1", "2027-01-01,y9", 2, "parentSourcedId", "no row"),
    },
    "courses.csv": {
        "course of an unknown org": ("ART,d1", "ART,d9", 2, "orgSourcedId", "no row of orgs.csv"),
        "course without a title": ("Art,ART", ",ART", 2, "title", "must not be empty"),
    },
    "classes.csv": {
        "class of an unknown course": ("Art 1,c1", "Art 1,c9", 2, "courseSourcedId", "no row of courses.csv"),
        "class of an unknown school": ("s2,t1", "s9,t1", 3, "schoolSourcedId", "no row of orgs.csv"),
        "class of a district": ("homeroom,,s2", "homeroom,,d1", 3, "schoolSourcedId", "no school"),
        "class of an unknown term": ('"t1,t2"', '"t1,t9"', 2, "termSourcedIds", "no row of academicSessions"),
        "class without a term": ("s2,t1", "s2,", 3, "termSourcedIds", "must not be empty"),
        "unknown kind of class": ("homeroom", "party", 3, "classType", "must be one of"),
        "long period": ('"1,2"', f'"1,{"x" * 256}"', 2, "periods", "longer than"),
    },
    "users.csv": {
        "user without a name": ("Ada,", ",", 2, "givenName", "must not be empty"),
        "user without a school": ("true,s2,student", "true,d1,student", 4, "orgSourcedIds", "at least one school"),
        "user without an org": ("true,s2,student", "true,,student", 4, "orgSourcedIds", "must not be empty"),
        "user of an unknown org": ("s1,s2", "s1,s9", 3, "orgSourcedIds", "no row of orgs.csv"),
        "unknown role": ("d1,parent", "d1,king", 5, "role", "must be one of"),
        "neither enabled nor not": ("p4,,true", "p4,,yes", 5, "enabledUser", "true or false"),
        "bad mail address": ("ada@example.org", "ada at example", 2, "email", "no mail address"),
        "long mail address": ("ada@example.org", "a" * 250 + "@b.org", 2, "email", "longer than 254"),
    },
    "enrollments.csv": {
        "unknown class": ("e4,k2", "e4,k9", 5, "classSourcedId", "no row of classes.csv"),
        "unknown user": ("s2,p3", "s2,p9", 5, "userSourcedId", "no row of users.csv"),
        "unknown school": ("k2,s2", "k2,s9", 5, "schoolSourcedId", "no row of orgs.csv"),
        "school of another class": ("k2,s2", "k2,s1", 5, "schoolSourcedId", "another school"),
        "student of another school": ("s2,p3", "s2,p1", 5, "userSourcedId", "does not belong"),
        "teacher as a student": ("s2,p3", "s2,p2", 5, "userSourcedId", "no student"),
        "parent as a student": ("s2,p3", "s2,p4", 5, "userSourcedId", "no student"),
        "unknown role in a class": ("p3,student", "p3,guest", 5, "role", "must be one of"),
        "neither primary nor not": ("teacher,true", "teacher,1", 4, "primary", "true or false"),
        "bad day of an enrolment": ("2026-09-01,", "09/01/2026,", 2, "beginDate", "YYYY-MM-DD"),
        "ends before it begins": ("2026-09-01,", "2026-12-02,", 2, "endDate", "before it begins"),
        "begins after its terms": ("p3,student,,,", "p3,student,,2027-02-01,", 5, "beginDate", "before it begins"),
        "overlap": ("2026-09-01,2026-12-01", "2026-09-01,2026-12-02", 3, "beginDate", "by line 2"),
        "overlap without dates": ("2026-09-01,2026-12-01", ",", 3, "beginDate", "by line 2"),
    },
}
BROKEN_ROWS_WITH_FOLLOWERS: dict[str, dict[str, Case]] = {
    "orgs.csv": {
        "empty id": ("s2,,", ",,", 4, "sourcedId", "must not be empty"),
        "same id twice": ("s2,,", "s1,,", 4, "sourcedId", "Line 3 has the same"),
        "own parent": ("R,", "R,d1", 2, "parentSourcedId", "above itself"),
        "second district": ("South School,school", "South School,district", 4, "type", "only one district"),
    },
    "academicSessions.csv": {
        "sessions above each other": ("2027-08-01,,2027", "2027-08-01,t1,2027", 4, "parentSourcedId", "above itself"),
    },
}
"""Others name these rows, and are told of as well."""


def each_case(cases: dict[str, dict[str, Case]]) -> pytest.MarkDecorator:
    parameters = [
        pytest.param(name, case, id=f"{name.removesuffix('.csv')}: {what}")
        for name, by_what in cases.items()
        for what, case in by_what.items()
    ]
    return pytest.mark.parametrize(("name", "case"), parameters)


@each_case(BROKEN_ROWS)
def test_a_broken_row_is_refused_with_its_place_and_reason(name: str, case: Case):
    old, new, line, column, reason = case

    (error,) = errors_of(with_change(ROSTER_1_1, name, old, new))

    assert (error.file, error.line, error.column) == (name, line, column)
    assert reason in error.reason


@each_case(BROKEN_ROWS_WITH_FOLLOWERS)
def test_a_broken_row_that_others_name_is_refused_too(name: str, case: Case):
    old, new, line, column, reason = case

    errors = errors_of(with_change(ROSTER_1_1, name, old, new))

    reasons = [error.reason for error in errors if (error.file, error.line, error.column) == (name, line, column)]
    assert any(reason in each for each in reasons)


BROKEN_ROLES: dict[str, tuple[str, str, int, str, str]] = {
    "unknown user": ("r5,p3", "r5,p9", 6, "userSourcedId", "no row of users.csv"),
    "unknown org": (",s1,\nr2", ",s9,\nr2", 2, "orgSourcedId", "no row of orgs.csv"),
    "unknown role": ("r6,p4,primary,guardian", "r6,p4,primary,friend", 7, "role", "must be one of"),
    "unknown role type": ("secondary", "third", 5, "roleType", "must be one of"),
    "ends before it begins": ("2027-08-01", "2025-08-01", 3, "endDate", "before beginDate"),
    "same id twice": ("r6,", "r5,", 7, "sourcedId", "Line 6"),
    "bad day": ("2027-08-01", "soon", 3, "endDate", "YYYY-MM-DD"),
}


@pytest.mark.parametrize("case", BROKEN_ROLES.values(), ids=BROKEN_ROLES)
def test_a_broken_role_of_version_1_2_is_refused(case: tuple[str, str, int, str, str]):
    old, new, line, column, reason = case

    error, *_ = errors_of(with_change(ROSTER_1_2, "roles.csv", old, new))

    assert (error.file, error.line, error.column) == ("roles.csv", line, column)
    assert reason in error.reason


def test_a_student_of_version_1_2_must_be_at_a_school():
    files = with_change(ROSTER_1_2, "roles.csv", "r6,p4,primary,guardian,,,s2", "r6,p4,primary,student,,,d1")

    (error,) = errors_of(files)

    assert error == RowError("users.csv", 5, None, "A student must belong to at least one school.")


def test_an_active_class_must_not_name_what_is_to_be_deleted():
    (error,) = errors_of(with_change(ROSTER_1_1, "courses.csv", "c1,,", "c1,tobedeleted,"))

    assert (error.file, error.line, error.column) == ("classes.csv", 2, "courseSourcedId")
    assert "to be deleted" in error.reason


def test_a_line_that_is_not_utf_8_is_named():
    users = ROSTER_1_1["users.csv"].replace("Birk", "Bj\u00f6rk").encode("latin-1")

    (error,) = errors_of(ROSTER_1_1 | {"users.csv": users})

    assert error == RowError("users.csv", 3, None, "The line is not UTF-8.")


def test_the_line_of_an_error_is_where_its_row_starts():
    courses = """sourcedId,title,orgSourcedId,notes

c1,Art,d1,"three
lines
long"
c2,,d1,"two
lines"
"""

    (error,) = errors_of(ROSTER_1_1 | {"courses.csv": courses})

    assert (error.line, error.column) == (6, "title")


def test_a_row_that_never_ends_is_cut_off():
    endless = ROSTER_1_1["courses.csv"] + 'c2,,,"' + "x\n" * tables.MAX_RECORD_BYTES

    (error,) = errors_of(ROSTER_1_1 | {"courses.csv": endless})

    assert (error.file, error.line) == ("courses.csv", 3)
    assert "longer than 65536 bytes" in error.reason


def test_the_errors_of_all_files_are_told_at_once():
    files = with_change(ROSTER_1_1, "orgs.csv", "North School", "")
    files = with_change(files, "courses.csv", "Art,", ",")
    files = with_change(files, "users.csv", "Ada", "")
    files = with_change(files, "enrollments.csv", "teacher,true", "teacher,maybe")

    problem = rejection(zipped(files))

    assert [each.file for each in problem.extras["row_errors"]] == [
        "orgs.csv",
        "courses.csv",
        "users.csv",
        "enrollments.csv",
    ]
    assert problem.extras["row_error_count"] == 4
    assert (problem.status, problem.slug) == (422, "roster-rejected")
    assert problem.title == "The roster file cannot be imported"


def test_only_the_first_errors_are_listed_but_all_are_counted():
    users = ROSTER_1_1["users.csv"] + "".join(f"q{number},,true,s1,student,x,,Fir,,\n" for number in range(1000))

    problem = rejection(zipped(ROSTER_1_1 | {"users.csv": users}))

    assert len(problem.extras["row_errors"]) == MAX_LISTED_ERRORS
    assert problem.extras["row_error_count"] == 1000
    assert problem.detail == "1000 things in the file must be mended; the first 200 are listed."


@each_case(BROKEN_ROWS)
def test_a_reason_never_quotes_a_value(name: str, case: Case):
    """Values may be personal. Only words of the standard are named, as what would have been right."""
    old, new, *_ = case
    files = with_change(ROSTER_1_1, name, old, new)
    cells = {cell for line in files[name].splitlines()[1:] for cell in line.split(",") if len(cell) > 2}

    words = {word.strip(".,:") for error in errors_of(files) for word in error.reason.split()}

    assert not words & (cells - WORDS_OF_THE_STANDARD)


# -- manifests that are refused ----------------------------------------------------------------------------------------

BROKEN_MANIFESTS: dict[str, tuple[str, str, int, str, str]] = {
    "delta": ("file.users,bulk", "file.users,delta", 10, "value", "Only bulk files"),
    "unused delta": ("file.demographics,absent", "file.demographics,delta", 7, "value", "Only bulk files"),
    "needed but absent": ("file.users,bulk", "file.users,absent", 10, "value", "must be bulk"),
    "needed but not stated": ("file.users,bulk\n", "", 1, "propertyName", "no file.users"),
    "unknown mode": ("file.users,bulk", "file.users,half", 10, "value", "absent, bulk, delta"),
    "missing file": ("file.demographics,absent", "file.demographics,bulk", 7, "value", "no demographics.csv"),
    "unknown version": ("oneroster.version,1.1", "oneroster.version,2.0", 3, "value", "1.1 and 1.2"),
    "no version": ("oneroster.version,1.1\n", "", 1, "propertyName", "no oneroster.version"),
    "property twice": ("file.users,bulk", "file.orgs,bulk", 10, "propertyName", "Line 9 has the same"),
    "no such column": ("propertyName,value", "name,value", 1, "propertyName", "no such column"),
}


@pytest.mark.parametrize("case", BROKEN_MANIFESTS.values(), ids=BROKEN_MANIFESTS)
def test_a_broken_manifest_is_refused(case: tuple[str, str, int, str, str]):
    old, new, line, column, reason = case

    (error,) = errors_of(with_change(ROSTER_1_1, "manifest.csv", old, new))

    assert (error.file, error.line, error.column) == ("manifest.csv", line, column)
    assert reason in error.reason


def test_a_file_that_the_manifest_promises_must_be_there():
    (error,) = errors_of({name: text for name, text in ROSTER_1_1.items() if name != "courses.csv"})

    assert error == RowError("manifest.csv", 6, "value", "The zip holds no courses.csv.")


def test_version_1_2_needs_roles():
    (error,) = errors_of(with_change(ROSTER_1_2, "manifest.csv", "file.roles,bulk", "file.roles,absent"))

    assert (error.file, error.column) == ("manifest.csv", "value")


# -- zips that are refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "roster/users.csv",
        "/users.csv",
        "\\users.csv",
        "..\\users.csv",
        "../users.csv",
        "C:users.csv",
        "users.txt",
        "roster/",
    ],
)
def test_a_member_must_be_a_csv_file_in_no_folder(name: str):
    problem = rejection(zipped(ROSTER_1_1 | {name: "x"}))

    assert "in no folder" in problem.detail
    assert problem.extras == {"row_errors": [], "row_error_count": 0}


def test_two_members_of_one_name_are_refused():
    file = zipped(ROSTER_1_1)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("users.csv", "another")

    assert "same name" in rejection(file).detail


def test_an_encrypted_member_is_refused():
    file = patched_directory(zipped(ROSTER_1_1), at=8, value=struct.pack("<H", 1))

    assert "encrypted" in rejection(file).detail


def test_a_member_packed_in_an_unusual_way_is_refused():
    assert "Deflate" in rejection(zipped(ROSTER_1_1, compression=zipfile.ZIP_BZIP2)).detail


def patched_directory(file: io.BytesIO, *, at: int, value: bytes) -> io.BytesIO:
    """Overwrites bytes of the first entry of the central directory."""
    content = bytearray(file.getvalue())
    start = content.index(b"PK\x01\x02") + at
    content[start : start + len(value)] = value
    return io.BytesIO(bytes(content))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_zip_is_refused(share: float):
    content = zipped(ROSTER_1_1).getvalue()

    problem = rejection(io.BytesIO(content[: int(len(content) * share)]))

    assert "truncated or damaged" in problem.detail


def test_a_member_that_differs_from_its_checksum_is_refused():
    content = zipped(ROSTER_1_1, compression=zipfile.ZIP_STORED).getvalue()

    problem = rejection(io.BytesIO(content.replace(b"North School", b"Forth School")))

    assert "orgs.csv in the zip is truncated or damaged" in problem.detail


def test_a_zip_without_a_manifest_is_refused():
    assert "no manifest.csv" in rejection(zipped({"users.csv": "x"})).detail


def test_a_zip_that_is_too_large_is_refused():
    assert "larger than 25 MiB" in rejection(io.BytesIO(bytes(archive.MAX_ZIP_BYTES + 1))).detail


def test_a_zip_for_very_large_files_is_refused():
    content = zipped(ROSTER_1_1).getvalue()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = len(content) - archive.END_OF_DIRECTORY.size

    assert "ZIP64" in rejection(io.BytesIO(content[:end] + locator + content[end:])).detail


@pytest.mark.parametrize("members", [51, 20_000])
def test_a_zip_of_many_members_is_refused_without_loading_its_directory(members: int):
    file = zipped({f"x{number}.csv": "" for number in range(members)})

    peak, problem = peak_of_rejection(file)

    assert "more than 50 files" in problem.detail
    assert peak < MIB


def peak_of_rejection(file: io.BytesIO) -> tuple[int, RosterRejected]:
    """Bytes, and why."""
    file.seek(0)
    tracemalloc.start()
    try:
        problem = rejection(file)
        return tracemalloc.get_traced_memory()[1], problem
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"sourcedId,name,type\n" + (b"s1,%s,school\n" % (b"x" * 10_000)) * 2_000, "more than 100 times its size"),
        (b"sourcedId,name,type\n" + bytes(32 * MIB), "must be mended"),
        (b'sourcedId,name,type\n"' + b'","\n' * (8 * MIB), "must be mended"),
        (b"," * (32 * MIB), "must be mended"),
    ],
    ids=["long rows", "one line", "one row of many lines", "many columns"],
)
def test_a_zip_bomb_is_refused_before_it_unfolds(content: bytes, reason: str):
    file = zipped(ROSTER_1_1 | {"orgs.csv": content})

    peak, problem = peak_of_rejection(file)

    assert reason in problem.detail
    assert peak < 16 * MIB


def test_the_size_that_a_zip_states_is_not_believed():
    """The first member lies: it says that it unpacks to four bytes."""
    file = zipped({"manifest.csv": b"a" * MIB})

    problem = rejection(patched_directory(file, at=24, value=struct.pack("<L", 4)))

    assert "manifest.csv in the zip is truncated or damaged" in problem.detail


def test_the_files_together_may_not_unpack_to_too_much(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 2_000_000)
    noise = random.Random(1)
    courses = "sourcedId,title,orgSourcedId\n" + "".join(f"{noise.random()},Art,d1\n" for _ in range(100_000))

    problem = rejection(zipped(ROSTER_1_1 | {"courses.csv": courses}))

    assert "unpacks to more than 2 MB" in problem.detail


def test_the_files_together_may_not_hold_too_many_rows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 1000)

    problem = rejection(zipped(ROSTER_1_1 | {"demographics.csv": "sourcedId\n" + "\n" * 1000}))

    assert "more than 1000 rows" in problem.detail


def test_a_file_of_nothing_but_errors_stays_small_in_memory():
    row = b"p,,true,s1,student,x,,%s,,\n" % (b"y" * 300)
    users = ROSTER_1_1["users.csv"].encode() + b"".join(b"%d" % n + row for n in range(60_000))
    file = zipped(ROSTER_1_1 | {"users.csv": users}, compression=zipfile.ZIP_STORED)

    peak, problem = peak_of_rejection(file)

    assert problem.extras["row_error_count"] == 120_000
    assert peak < 16 * MIB, f"{len(users)} bytes of rows took {peak} bytes"


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_are_only_ever_refused(content: bytes):
    rejection(io.BytesIO(content))


def read_or_reject(file: io.BytesIO) -> None:
    """Any other exception fails the test."""
    try:
        roster = read_roster(file)
    except RosterRejected as problem:
        msgspec.json.encode(problem.extras)
    else:
        assert loose_ends(roster) == []


def loose_ends(roster: Roster) -> list[object]:
    """Whatever names something that is not in the roster, or ends before it begins."""
    schools = {school.sourced_id for school in roster.schools}
    terms = {session.sourced_id for session in roster.sessions}
    courses = {None} | {course.sourced_id for course in roster.courses}
    classes = {each.sourced_id: each.school_sourced_id for each in roster.classes}
    people = {"student": roster.students, "teacher": roster.teachers}
    at = {(role, each.sourced_id): each.school_sourced_ids for role, listed in people.items() for each in listed}
    return [
        *(each for each in at.values() if not each or not schools.issuperset(each)),
        *(each for each in roster.sessions if each.parent_sourced_id and each.parent_sourced_id not in terms),
        *(each for each in roster.classes if each.school_sourced_id not in schools),
        *(each for each in roster.classes if each.course_sourced_id not in courses),
        *(each for each in roster.classes if not each.term_sourced_ids or not terms.issuperset(each.term_sourced_ids)),
        *(each for each in roster.enrolments if classes.get(each.class_sourced_id) != each.school_sourced_id),
        *(each for each in roster.enrolments if each.school_sourced_id not in at[each.role, each.person_sourced_id]),
        *(each for each in [*roster.sessions, *roster.enrolments] if each.ends_on and each.ends_on < each.starts_on),
    ]


ZIPS = {
    (name, compression): zipped(files, compression=compression).getvalue()
    for name, files in (("1.1", ROSTER_1_1), ("1.2", ROSTER_1_2))
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
}


@settings(max_examples=300)
@given(
    zip_name=st.sampled_from(sorted(ZIPS)),
    patches=st.lists(st.tuples(st.floats(0, 0.9999), st.binary(max_size=6)), min_size=1, max_size=4),
)
def test_a_zip_with_arbitrary_damage_is_read_or_refused(zip_name: tuple[str, int], patches: list[tuple[float, bytes]]):
    content = bytearray(ZIPS[zip_name])
    for place, patch in patches:
        start = int(place * len(content))
        content[start : start + len(patch)] = patch

    read_or_reject(io.BytesIO(bytes(content)))


@settings(max_examples=300)
@given(
    version=st.sampled_from([ROSTER_1_1, ROSTER_1_2]),
    name=st.sampled_from(sorted(ROSTER_1_1)),
    patches=st.lists(
        st.tuples(st.floats(0, 0.9999), st.integers(0, 6), st.text(alphabet='",\n\r01s2-ép\0', max_size=4)),
        min_size=1,
        max_size=4,
    ),
)
def test_a_roster_with_arbitrary_edits_is_read_or_refused(
    version: Files, name: str, patches: list[tuple[float, int, str]]
):
    text = version[name]
    for place, removed, added in patches:
        start = int(place * len(text))
        text = text[:start] + added + text[start + removed :]

    read_or_reject(zipped(version | {name: text}))


@settings(max_examples=200)
@given(data=st.data())
def test_a_roster_with_cells_exchanged_is_read_or_refused(data: st.DataObject):
    files = dict(data.draw(st.sampled_from([ROSTER_1_1, ROSTER_1_2])))
    cells = ["", "p1", "s1", "d1", "t1", "k1", "2026-08-01", "9999-12-31", "true", "student", "tobedeleted"]
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(files)))
        rows = [line.split(",") for line in files[name].splitlines()]
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.sampled_from(cells))
        files[name] = "\n".join(",".join(row) for row in rows) + "\n"

    read_or_reject(zipped(files))
