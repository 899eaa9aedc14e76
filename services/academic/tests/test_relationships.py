"""A permission is not enough: what names a student, lesson or class is tried by a stranger of the same school.

The operations come from the OpenAPI document, so that a new one is tried without being listed here.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.academic.access import PERMISSIONS
from services.academic.app import create_app
from services.academic.settings import Settings
from services.academic.tests.factories import School, Taught
from shared.identity import Role
from shared.ids import new_id
from shared.web.app import litestar_of
from shared.web.openapi import openapi_document
from tools.dumps import settings_of

NAMED = ("student_id", "lesson_id", "class_id")
BODIES: dict[str, dict[str, Any]] = {"take_register": {"version": 0, "marks": [], "default_code": "P"}}


def operations() -> list[tuple[str, str, str, str]]:
    """(operation id, method, path, role) for each operation that names somebody, and each role that may try it."""
    settings: Settings = settings_of("academic")
    document = openapi_document(litestar_of(create_app(settings)))
    return sorted(
        (operation["operationId"], method, path, role)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for role in allowed(operation)
        if any(name in names_of(path, operation) for name in NAMED)
    )


def allowed(operation: dict[str, Any]) -> Iterator[str]:
    for role in (Role.TEACHER, Role.GUARDIAN, Role.STUDENT):
        if operation.get("x-permission") in PERMISSIONS[role]:
            yield role


def names_of(path: str, operation: dict[str, Any]) -> set[str]:
    required = {each["name"] for each in operation.get("parameters", ()) if each.get("required")}
    return required | set(re.findall(r"\{(\w+)\}", path))


ALL = operations()


def test_there_are_operations_to_try() -> None:
    assert len(ALL) >= 12


def filled(path: str, taught: Taught) -> str:
    values = {
        "student_id": taught.student_ids[0],
        "lesson_id": taught.lesson_id,
        "class_id": taught.class_id,
    }
    named = re.findall(r"\{(\w+)\}", path)
    query = "" if named else f"?class_id={taught.class_id}"
    return path.removeprefix("/api/v1").format(**{name: values[name] for name in named}) + query


@pytest.mark.parametrize(("operation", "method", "path", "role"), ALL, ids=str)
async def test_a_stranger_of_the_same_school_finds_nothing(
    school: School, operation: str, method: str, path: str, role: str
) -> None:
    taught = await school.a_taught_class()
    stranger = await school.a_student("Zoe") if role == Role.STUDENT else new_id()

    answer = await school.send(
        method.upper(), filled(path, taught), role=role, person_id=stranger, json=BODIES.get(operation)
    )

    assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(("operation", "method", "path", "role"), ALL, ids=str)
async def test_control_who_belongs_there_finds_it(
    school: School, operation: str, method: str, path: str, role: str
) -> None:
    taught = await school.a_taught_class()
    own = {
        Role.TEACHER: taught.teacher_id,
        Role.STUDENT: taught.student_ids[0],
        Role.GUARDIAN: await school.a_guardian_of(taught.student_ids[0]),
    }

    answer = await school.send(
        method.upper(), filled(path, taught), role=role, person_id=own[role], json=BODIES.get(operation)
    )

    assert answer.status_code == 200, answer.text
