"""What the rules of an audience say, written down once more, over a school of chance."""

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.communication.tests.announcing import of_class, person
from services.communication.tests.factories import School, member

Told = dict[UUID, set[UUID]]
"""Recipients, each with the children they hear of it for."""


class Model:
    def __init__(self, school: School, dice: random.Random) -> None:
        self.school, self.dice = school, dice
        self.students: list[UUID] = []
        self.grades: dict[UUID, str] = {}
        self.teachers: list[UUID] = []
        self.heads: dict[UUID, UUID | None] = {}
        """Who runs the school; with the teacher that they are besides, if any."""
        self.guardians: list[UUID] = []
        self.children: defaultdict[UUID, set[UUID]] = defaultdict(set)
        self.absent: set[UUID] = set()
        self.classes: dict[UUID, tuple[set[UUID], set[UUID]]] = {}

    async def fill(self) -> None:
        school, dice = self.school, self.dice
        for _ in range(10):
            grade = dice.choice(["1", "2"])
            self.students.append(await school.student(grade=grade))
            self.grades[self.students[-1]] = grade
            if dice.random() < 0.3:
                await school.attendance(self.students[-1], dice.choice(["absent", "excused"]))
                self.absent.add(self.students[-1])
        self.teachers = [await school.teacher() for _ in range(3)]
        self.heads = {await school.admin(): teacher for teacher in (None, self.teachers[0])}
        for user_id, teacher in self.heads.items():
            if teacher:
                await school.teaches(user_id, teacher)
        for _ in range(7):
            seen, unseen = dice.sample(self.students, 2), dice.choice(self.students)
            guardian = await school.guardian(*seen)
            await school.link(guardian, unseen, may_see=False)
            self.guardians.append(guardian)
            self.children[guardian] = set(seen)
        for _ in range(4):
            students, teachers = set(dice.sample(self.students, 4)), set(dice.sample(self.teachers, 2))
            members = [*(member(each) for each in students), *(member(each, "teacher") for each in teachers)]
            self.classes[await school.school_class(*members)] = (students, teachers)

    def rule(self, *, of_teacher: UUID | None) -> dict[str, Any]:
        dice = self.dice
        own = [each for each, (_, teachers) in self.classes.items() if of_teacher in teachers or of_teacher is None]
        of_students = dice.choice([["student"], ["guardian"], ["student", "guardian"]])
        kinds = [
            of_class(dice.choice(own), *of_students, *dice.choice([[], ["teacher"]])),
            {"kind": "absent_today", "class_id": str(dice.choice(own)), "who": of_students},
            person(dice.choice(self.students_of(own))),
        ]
        if of_teacher is None:
            kinds += [
                {"kind": "school"},
                {"kind": "role", "role": dice.choice(["guardian", "student", "teacher", "staff"])},
                {"kind": "grade", "grade": dice.choice(["1", "2"]), "who": of_students},
                {"kind": "absent_today", "who": of_students},
                person(dice.choice(self.guardians)),
                person(dice.choice(list(self.heads))),
            ]
        return dice.choice(kinds)

    def students_of(self, classes: Iterable[UUID]) -> list[UUID]:
        return sorted(set[UUID]().union(*(self.classes[each][0] for each in classes)))

    def resolved(self, include: list[dict[str, Any]], exclude: list[UUID], *, of_teacher: UUID | None) -> Told:
        own = [each for each, (_, teachers) in self.classes.items() if of_teacher in teachers or of_teacher is None]
        exclude = [*exclude, *self.other_halves(exclude)]
        reachable = set(self.students_of(own)) if of_teacher else set(self.students)
        reachable -= set(exclude)
        found: Told = {}
        for rule in include:
            base, who, teachers = self.base(rule)
            base &= reachable
            if "student" in who:
                found |= {each: set() for each in base}
            for guardian in self.guardians:
                named = "guardian" in who and self.children[guardian] & base
                is_person = rule.get("person_id") == str(guardian) and self.children[guardian] & reachable
                if named or is_person:
                    found.setdefault(guardian, set()).update(named or set(), is_person or set())
            found |= {each: set() for each in teachers}
        found = {each: children for each, children in found.items() if each not in exclude}
        heads = {each for rule in include for each in self.heads if self.names_head(rule, each)} - set(exclude)
        return found | {each: set() for each in heads if self.heads[each] not in found}

    def other_halves(self, people: list[UUID]) -> list[UUID]:
        """Those of `people` who run the school and teach, as what else they are."""
        both = [(head, teacher) for head, teacher in self.heads.items() if teacher is not None]
        return [teacher for head, teacher in both if head in people] + [
            head for head, teacher in both if teacher in people
        ]

    @staticmethod
    def names_head(rule: dict[str, Any], user_id: UUID) -> bool:
        return rule["kind"] == "school" or rule.get("role") == "staff" or rule.get("person_id") == str(user_id)

    def reachable(self, *, of_teacher: UUID | None) -> list[UUID]:
        """Those whom the author may name."""
        if of_teacher is None:
            return [*self.students, *self.guardians, *self.teachers, *self.heads]
        own = [each for each, (_, teachers) in self.classes.items() if of_teacher in teachers]
        students = self.students_of(own)
        return [*students, *(each for each in self.guardians if self.children[each] & set(students))]

    def base(self, rule: dict[str, Any]) -> tuple[set[UUID], list[str], set[UUID]]:
        who = rule.get("who", [])
        match rule["kind"]:
            case "school":
                return set(self.students), ["student", "guardian"], set(self.teachers)
            case "role":
                teachers = set(self.teachers) if rule["role"] in {"teacher", "staff"} else set[UUID]()
                return set(self.students), [rule["role"]], teachers
            case "grade":
                return {each for each, grade in self.grades.items() if grade == rule["grade"]}, who, set()
            case "class":
                students, teachers = self.classes[UUID(rule["class_id"])]
                return set(students), who, teachers if "teacher" in who else set()
            case "absent_today":
                of = self.classes[UUID(rule["class_id"])][0] if "class_id" in rule else set(self.students)
                return of & self.absent, who, set()
            case _:
                return {UUID(rule["person_id"])} & set(self.students), ["student"], set()
