"""Every operation, asked by the people of one school for what belongs to another.

Each attack is sent twice: with the other school's value, and with one that nobody has. The answers must be the same.
"""

import io
import json
import random
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import msgspec
import psycopg

from shared.identity import Role
from shared.ids import new_id
from tests.contracts.hostile import honest_body, honest_text
from tests.operations import VERSION, Operation, kind_of, resolved
from tests.whole_house import SCHOOL_ROLES, FilledSchool, House
from tools.topology import SERVICE_NAMES

UUIDS: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TRACE: Final = re.compile(r'"trace_id":"[0-9a-f]{32}"')
MOVING: Final = re.compile(
    r'"\d{4}-\d\d-\d\dT[^"]*"|"(?:\w*version|cursor)":\d+|eyJ[\w.-]+|X-Amz-(?:Date|Signature)=\w+|^retry: \d+',
    re.MULTILINE,
)
SCHOOL_HEADERS: Final = ("x-school-id", "x-tenant-id", "x-school", "x-homeroom-school-id", "x-forwarded-school")
SCHOOL_PARAMETERS: Final = ("school_id", "school", "tenant_id")

Values = Mapping[str, Any]


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """`values` make the request; `extra` is added to its query, headers or body."""

    told: str
    values: Values
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Mapping[str, str] = {}
    version: int = 1
    mark: str = ""
    """What stands in the names that are sent, when it is not the other school's."""
    is_twin_comparable: bool = True
    """Whether sending it twice must be answered in the same way; not so for what an honest request makes."""


class Recorded(dict[str, Any]):
    """Remembers which names an honest request is made of."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            self.used.add(name)
        return super().get(name, default)


class Attacker:
    """The people of `own`, who want to know of `other`, or to change it."""

    def __init__(self, house: House, own: FilledSchool, other: FilledSchool) -> None:
        self.house, self.own, self.other = house, own, other
        self.cursors: dict[str, str] = {}
        self.logged = ""
        self._random = random.Random(7)

    async def learn_cursors(self) -> None:
        """The other school's real cursors, as its own people get them."""
        for operation in self.house.operations:
            names = {each.name for each in operation.parameters_in("query")}
            role = next((role for role in SCHOOL_ROLES if role in operation.roles), None)
            if "cursor" not in names or role is None:
                continue
            for each in (role, Role.GUARDIAN):
                answer = await self._cursor_page(operation, each)
                if answer.is_success and answer.json()["next"]:
                    self.cursors[operation.operation_id] = parse_qs(urlsplit(answer.json()["next"]).query)["cursor"][0]
            assert operation.operation_id in self.cursors, (
                f"{operation} has no second page to make a cursor of: FilledSchool (tests/whole_house.py) makes two"
            )

    async def _cursor_page(self, operation: Operation, role: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.other.token(role)}"}
        attack = Attack(told="", values=self.other.values(), query={"limit": "1"})
        return await self._send(operation, attack, headers)

    async def run(self, operations: list[Operation]) -> list[str]:
        """Everything that went wrong: what was seen, what could be told apart, what was logged."""
        found: list[str] = []
        with redirect_stdout(io.StringIO()) as logs:
            for operation in operations:
                for role in self.roles(operation):
                    found += await self._attack(operation, role)
        self.logged = logs.getvalue()
        if self.other.mark.lower() in self.logged.lower():
            found.append("the other school's names stand in the log")
        return found

    def roles(self, operation: Operation) -> list[str]:
        """Everybody of the school; somebody of the platform, where that is nobody who may."""
        platform = [] if Role.PLATFORM_ADMIN in operation.roles else [Role.PLATFORM_ADMIN]
        return ["nobody", *SCHOOL_ROLES, *platform]

    async def _attack(self, operation: Operation, role: str) -> list[str]:
        found: list[str] = []
        for attack in self.attacks(operation):
            answer = await self._send(operation, attack, await self._headers(operation, role))
            place = f"{operation} as {role} with {attack.told}"
            found += [f"{place}: {fault}" for fault in self._faults(operation, role, answer)]
            if not attack.is_twin_comparable:
                continue
            twin = self._twin(attack)
            twin_answer = await self._send(operation, twin, await self._headers(operation, role))
            if self._normal(answer, attack) != self._normal(twin_answer, twin):
                found.append(f"{place}: {shown(answer)} but for what nobody has {shown(twin_answer)}")
        return found

    async def _headers(self, operation: Operation, role: str) -> dict[str, str]:
        if role == "nobody":
            return {}
        if role == Role.PLATFORM_ADMIN:
            return {"Authorization": f"Bearer {self.own.token(role)}"}
        return await self.own.signed_in(operation.service, role)

    def attacks(self, operation: Operation) -> Iterator[Attack]:
        own, other = self.own.values(), self.other.values()
        slots = sorted(name for name in self._used(operation, own) if other.get(name) != own.get(name))
        for name in slots:
            yield Attack(told=f"its {name}", values={**own, name: other[name]})
        if len(slots) > 1:
            yield Attack(told="all its ids", values=other)
        for parameter in operation.parameters:
            if parameter.where in {"query", "header"} and not parameter.required:
                yield from self._by_parameter(operation, parameter.name, parameter.where, parameter.schema)
        yield from self._by_school(operation, own)
        if operation.operation_id in self.cursors:
            cursor = {"cursor": self.cursors[operation.operation_id]}
            yield Attack(told="its cursor", values=own, query=cursor, is_twin_comparable=False)
        if '"email"' in json.dumps(resolved(operation, operation.body or {}).get("properties", {})):
            login = self.other.logins[Role.TEACHER]
            yield Attack(told="its address", values={**own, f"{operation.operation_id}.email": login.email})

    def _used(self, operation: Operation, values: Values) -> set[str]:
        recorded = Recorded(values)
        request_of(operation, Attack(told="", values=recorded))
        return recorded.used

    def _by_parameter(self, operation: Operation, name: str, where: str, schema: Any) -> Iterator[Attack]:
        schema = resolved(operation, schema)
        if name in {"cursor", "limit"} or kind_of(schema) in {"boolean", "array"} or "enum" in schema:
            return
        if schema.get("format", "uuid") != "uuid":
            return
        text = self.other.ids[name] if schema.get("format") == "uuid" else f"Ada {self.other.mark}"
        extra = {"query": {name: text}} if where == "query" else {"headers": {name: text}}
        comparable = operation.method == "GET"
        yield Attack(
            told=f"its {name} in the {where}", values=self.own.values(), is_twin_comparable=comparable, **extra
        )

    def _by_school(self, operation: Operation, own: Values) -> Iterator[Attack]:
        school, comparable = str(self.other.school_id), operation.method == "GET"
        headers = dict.fromkeys(SCHOOL_HEADERS, school) | {"cookie": f"school_id={school}"}
        yield Attack(told="its school in headers", values=own, headers=headers, is_twin_comparable=comparable)
        query = dict.fromkeys(SCHOOL_PARAMETERS, school)
        yield Attack(told="its school in the query", values=own, query=query, is_twin_comparable=comparable)
        if operation.media_type == "application/json":
            told = "its school in the body"
            yield Attack(told=told, values=own, body={"school_id": school}, is_twin_comparable=False)

    def _twin(self, attack: Attack) -> Attack:
        """The same with ids and names that nobody has."""
        own = json.dumps(self.own.values())
        mark = "Z" + "".join(self._random.choices(string.ascii_uppercase, k=6))

        def replaced(found: re.Match[str]) -> str:
            # The first half of an id is its time, and some lists go on from a time.
            return found.group() if found.group() in own else found.group()[:24] + str(new_id())[24:]

        def twin(value: Any) -> Any:
            text = UUIDS.sub(replaced, json.dumps(value)).replace(self.other.mark, mark)
            return json.loads(text)

        return msgspec.structs.replace(
            attack,
            mark=mark,
            values=twin(attack.values),
            query=twin(attack.query),
            headers=twin(attack.headers),
            body=twin(attack.body),
        )

    async def _send(self, operation: Operation, attack: Attack, headers: Mapping[str, str]) -> httpx.Response:
        return await self.house.send(operation.service, **request_of(operation, attack, headers))

    def _faults(self, operation: Operation, role: str, answer: httpx.Response) -> list[str]:
        text = "\n".join([answer.text, *(f"{name}: {value}" for name, value in answer.headers.items())])
        sent = f"{answer.request.url} {answer.request.headers} {answer.request.content!r}"
        found: list[str] = []
        if self.other.mark.lower() in text.lower() and self.other.mark.lower() not in sent.lower():
            found.append(f"told its names: {shown(answer)}")
        seen = self.other.every_id & set(UUIDS.findall(text))
        found += [f"told {each}: {shown(answer)}" for each in seen if each not in sent]
        if answer.status_code >= 500:
            found.append(shown(answer))
        if operation.access != "public" and role not in operation.roles and answer.status_code not in {401, 403}:
            found.append(f"let in: {shown(answer)}")
        return found

    def _normal(self, answer: httpx.Response, attack: Attack) -> tuple[int, str]:
        """What an answer says, without what was sent and, when it was a yes, without what is new each time."""
        text = TRACE.sub("", answer.text).replace(attack.mark or self.other.mark, "<mark>")
        if answer.is_success:
            return answer.status_code, MOVING.sub("", UUIDS.sub("", text))
        for value in UUIDS.findall(json.dumps([attack.values, attack.query, attack.headers])):
            text = text.replace(value, "<sent>")
        return answer.status_code, text


def request_of(operation: Operation, attack: Attack, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    ids = attack.values
    path = {
        each.name: quote(honest_text(operation, each.schema, ids, each.name), safe="")
        for each in operation.parameters_in("path")
    }
    query = {
        each.name: honest_text(operation, each.schema, ids, each.name)
        for each in operation.parameters_in("query")
        if each.required
    }
    content = honest_body(operation, ids)
    if content is not None:
        content = content.replace(str(VERSION).encode(), str(attack.version).encode())
    if attack.body and content:
        content = json.dumps({**json.loads(content), **attack.body}).encode()
    media_type = {"Content-Type": operation.media_type} if operation.media_type else {}
    return {
        "method": operation.method,
        "path": operation.url(path),
        "params": {**query, **attack.query},
        "headers": {**(headers or {}), **media_type, **attack.headers},
        "content": content,
    }


def shown(answer: httpx.Response) -> str:
    return f"{answer.request.method} {answer.request.url.raw_path.decode()} → {answer.status_code} {answer.text[:300]}"


TABLES: Final = """
SELECT c.relname, EXISTS (
    SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'school_id' AND NOT a.attisdropped
)
FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""


def tables_of_schools(house: House) -> set[str]:
    """Those whose rows each name the school that they are of."""
    with psycopg.connect(house.stack.admin_url) as connection:
        found = {name: connection.execute(TABLES, (name,)).fetchall() for name in SERVICE_NAMES}
    return {f"{name}.{table}" for name, tables in found.items() for table, has_school in tables if has_school}


def changes(before: Mapping[str, list[str]], after: Mapping[str, list[str]], *, shared: frozenset[str]) -> set[str]:
    """The tables that are not as they were. To the `shared` ones anybody may add what tells of the school."""
    return {
        table
        for table, rows in before.items()
        if (set(rows) - set(after[table]) if table in shared else rows != after[table])
    }


def rows_of(house: House, school: FilledSchool) -> dict[str, list[str]]:
    """A checksum of each row that is the school's, or that tells of it, by table; read past all walls."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(house.stack.admin_url) as connection:
        for service in SERVICE_NAMES:
            for table, has_school in connection.execute(TABLES, (service,)).fetchall():
                name, params = f"{service}.{table}", {"school_id": str(school.school_id), "mark": f"%{school.mark}%"}
                where = "row::text ILIKE %(mark)s"
                if has_school:
                    where = "row.school_id::text = %(school_id)s"
                elif table == "outbox":
                    where = "position(%(school_id)s in convert_from(row.payload, 'UTF8')) > 0"
                sql = f"SELECT md5(row::text) FROM {name} AS row WHERE {where} ORDER BY 1"
                found[name] = [each for (each,) in connection.execute(sql, params)]  # pyright: ignore[reportArgumentType, reportCallIssue]
    return found
