"""Who is a student and who is a teacher, and at which schools."""

import re
from collections.abc import Callable

import msgspec

from services.academic.roster.schemas import EnrolmentRole, Org, Person, Version
from services.academic.roster.tables import Row, Source, Table

USERS = "users.csv"
ROLES = "roles.csv"
MAX_EMAIL = 254
EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")

IMPORTED_ROLES: dict[str, EnrolmentRole] = {"student": "student", "teacher": "teacher"}
OTHER_ROLES = frozenset(
    (
        "administrator",
        "aide",
        "counselor",
        "districtAdministrator",
        "guardian",
        "parent",
        "principal",
        "proctor",
        "relative",
        "siteAdministrator",
        "systemAdministrator",
    )
)
KNOWN_ROLES = OTHER_ROLES | frozenset(IMPORTED_ROLES)
ROLE_TYPES = {"primary": True, "secondary": False}


class People:
    """All users of the file, and the schools at which they learn or teach."""

    def __init__(self, version: Version, orgs: Table[Org]) -> None:
        self.version = version
        self.orgs = orgs
        self.users = Table[Person](USERS)
        self.schools: dict[EnrolmentRole, dict[str, list[str]]] = {"student": {}, "teacher": {}}
        """By role and user."""
        self.has_all_roles = True

    def holding(self, role: EnrolmentRole) -> list[Person]:
        """In the order of the file."""
        schools = self.schools[role]
        return [person_at(user, role, schools[user.sourced_id]) for user in self.holders(role)]

    def holders(self, role: EnrolmentRole) -> list[Person]:
        return [user for sourced_id, user in self.users.good.items() if sourced_id in self.schools[role]]

    def assign(self, role: EnrolmentRole, sourced_id: str, schools: list[str]) -> None:
        """A second role row of the same person at the same school adds nothing."""
        known = self.schools[role].setdefault(sourced_id, [])
        known += [school for school in schools if school not in known]

    def schools_named(self, row: Row, column: str, org_ids: tuple[str, ...]) -> list[str]:
        """Districts and departments do not count. An org whose own row is bad is taken for a school."""
        named: list[str] = []
        for org_id in org_ids:
            org = None if org_id in self.orgs.removed else self.orgs.find(row, column, org_id)
            if org and org.kind == "school":
                named.append(org.sourced_id)
            elif org is None and org_id not in self.orgs.removed:
                named.append(org_id)
        return named


def person_at(user: Person, role: EnrolmentRole, schools: list[str]) -> Person:
    grade = user.grade if role == "student" else None
    return msgspec.structs.replace(user, school_sourced_ids=tuple(schools), grade=grade)


def read_people(source: Source, version: Version, orgs: Table[Org]) -> People:
    people = People(version, orgs)
    required = ["enabledUser", "givenName", "familyName"]
    if version == "1.1":
        required += ["role", "orgSourcedIds"]
    people.users.fill(source, user_builder(source, people), required=required, keeps_removed=True)
    if version == "1.2":
        read_roles(source, people)
    for role in people.schools:
        require_schools(source, people, role)
    return people


def user_builder(source: Source, people: People) -> Callable[[Row, str], Person]:
    def build(row: Row, sourced_id: str) -> Person:
        if people.version == "1.1":
            assign_own_role(source, people, row, sourced_id)
        return Person(
            sourced_id=sourced_id,
            school_sourced_ids=(),
            given_name=row.text("givenName"),
            family_name=row.text("familyName"),
            email=email_of(row),
            grade=next(iter(row.texts("grades")), None),
            is_active=row.boolean("enabledUser") and not row.is_removed,
        )

    return build


def email_of(row: Row) -> str | None:
    email = row.optional("email", max_length=MAX_EMAIL)
    if email and not EMAIL.fullmatch(email):
        row.wrong("email", "This is no mail address.")
    return email


def assign_own_role(source: Source, people: People, row: Row, sourced_id: str) -> None:
    """OneRoster 1.1: one role, at one or more orgs."""
    role = row.word("role", KNOWN_ROLES)
    org_ids = row.texts("orgSourcedIds")
    if not org_ids:
        row.wrong("orgSourcedIds", "This must not be empty.")
    schools = people.schools_named(row, "orgSourcedIds", org_ids)
    if role in IMPORTED_ROLES:
        people.assign(IMPORTED_ROLES[role], sourced_id, schools)
    elif row.is_good:
        leave_out_role(source, USERS, role)


def leave_out_role(source: Source, file: str, role: str) -> None:
    known = role if role in KNOWN_ROLES else "ext:…"
    source.leave_out(file, f"The role {known} is not imported.")


def read_roles(source: Source, people: People) -> None:
    """OneRoster 1.2: any number of roles, each at one org. When they begin and end does not matter here."""
    table = Table[bool](ROLES)
    holders: set[str] = set()

    def build(row: Row, _: str) -> bool:
        read_role(source, people, row)
        people.has_all_roles &= row.is_good
        return True

    required = ("userSourcedId", "roleType", "role", "orgSourcedId")
    table.fill(source, build, required=required)
    people.has_all_roles &= table.is_whole
    holders.update(*people.schools.values())
    if without := sum(sourced_id not in holders for sourced_id in people.users.good):
        source.leave_out(USERS, "The user is neither a student nor a teacher.", rows=without)


def read_role(source: Source, people: People, row: Row) -> None:
    role = row.word("role", KNOWN_ROLES)
    row.choice("roleType", ROLE_TYPES, fallback=True)
    require_period(row)
    user_id = row.text("userSourcedId")
    people.users.find(row, "userSourcedId", user_id)
    schools = people.schools_named(row, "orgSourcedId", (row.text("orgSourcedId"),))
    if role in IMPORTED_ROLES:
        people.assign(IMPORTED_ROLES[role], user_id, schools)
    elif row.is_good:
        leave_out_role(source, ROLES, role)


def require_period(row: Row) -> None:
    begin, end = row.optional_day("beginDate"), row.optional_day("endDate")
    if begin and end and end < begin:
        row.wrong("endDate", "This is before beginDate.")


def require_schools(source: Source, people: People, role: EnrolmentRole) -> None:
    """Whoever is to be deleted and was only at schools that are to be deleted too is forgotten with them."""
    column = "orgSourcedIds" if people.version == "1.1" else None
    homeless = [user for user in people.holders(role) if not people.schools[role][user.sourced_id]]
    for user in homeless:
        if user.is_active or not people.orgs.removed:
            line = people.users.lines[user.sourced_id]
            source.errors.add(USERS, line, column, f"A {role} must belong to at least one school.")
        else:
            del people.schools[role][user.sourced_id]
            source.leave_out(USERS, "The row is to be deleted.")
