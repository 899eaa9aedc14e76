"""The CSV of guardians, and the dates of a link. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final, Self, TypeVar

import msgspec

from services.academic.guardians.schemas import Guardian, LinkRow, LinkTerms, NewGuardian
from shared.problems import Conflict, FieldError, Invalid
from shared.text import in_words

REQUIRED: Final = ("student_sourced_id", "given_name", "relation")
OPTIONAL: Final = (
    "family_name",
    "guardian_email",
    "phone",
    "may_see",
    "receives_alerts",
    "priority",
    "starts_on",
    "ends_on",
)
COLUMNS: Final = (*REQUIRED, *OPTIONAL)
MAX_ROWS: Final = 20_000
MAX_ERRORS: Final = 200
TRUE: Final = frozenset({"true", "yes", "1"})
FALSE: Final = frozenset({"false", "no", "0"})

T = TypeVar("T")


class UnreadableCsv(Invalid):
    slug = "unreadable-csv"
    title = "The CSV cannot be taken over as it is"


class ChangedMeanwhile(Conflict):
    slug = "guardians-changed-meanwhile"
    title = "Somebody else changed guardians or their links while the CSV was taken over"

    @classmethod
    def at(cls, line: int) -> Self:
        """Of several changes only the first is told: after it nothing is written any more."""
        reason = "This guardian or their link was added or changed in the meantime."
        return cls("Nothing was changed. Upload the file again.", errors=[fault(line, "", reason)])


class LinkExists(Conflict):
    slug = "guardian-link-exists"
    title = "This guardian is linked to this child already"


class EndsBeforeStart(Invalid):
    slug = "ends-before-start"
    title = "It ends before it begins"


def require_order(starts_on: date | None, ends_on: date | None) -> None:
    if starts_on is not None and ends_on is not None and ends_on < starts_on:
        raise EndsBeforeStart(f"{ends_on} is before {starts_on}.", errors=[FieldError("/ends_on", "Before starts_on.")])


def read_csv(content: bytes) -> list[LinkRow]:
    """The rows of a CSV of guardians. Raises UnreadableCsv with every fault: its line, its column and the reason."""
    reader = csv.DictReader(io.StringIO(_text(content)), strict=True)
    errors: list[FieldError] = []
    rows: list[LinkRow] = []
    try:
        _require_columns(reader.fieldnames or [])
        for fields in reader:
            if len(rows) >= MAX_ROWS:
                errors.append(fault(reader.line_num, "", f"More than {MAX_ROWS} rows; send the rest by itself."))
                break
            row = _row(reader.line_num, fields, errors)
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        errors.append(fault(reader.line_num, "", f"Not CSV: {error}."))
    errors.extend(_doubles(rows))
    refuse(errors)
    return rows


def refuse(faults: Sequence[FieldError]) -> None:
    """Raises UnreadableCsv when there are any."""
    if faults:
        raise UnreadableCsv(f"{len(faults)} faults; nothing was changed.", errors=faults[:MAX_ERRORS])


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableCsv("The file is not UTF-8.", errors=[fault(line, "", "Not UTF-8.")]) from None
    if "\x00" in text:
        raise UnreadableCsv("The file holds NUL characters.")
    return text


def _require_columns(names: Sequence[str]) -> None:
    found = list(names)
    missing = [name for name in REQUIRED if name not in found]
    unknown = [name for name in found if name not in COLUMNS]
    errors = [
        *(fault(1, name, "This column is missing.") for name in missing),
        *(fault(1, name, "This column is not known.") for name in unknown),
    ]
    if errors:
        raise UnreadableCsv(f"The first line must name columns out of: {', '.join(COLUMNS)}.", errors=errors)


def _row(line: int, fields: Mapping[str | None, object], errors: list[FieldError]) -> LinkRow | None:
    if None in fields:
        errors.append(fault(line, "", "More values than columns."))
        return None
    values = {str(name): str(value or "").strip() for name, value in fields.items()}
    before = len(errors)
    terms = _converted(line, _said_of_link(line, values, errors), LinkTerms, errors)
    guardian = _converted(
        line,
        {
            "given_name": values["given_name"],
            "family_name": values.get("family_name", ""),
            "email": values.get("guardian_email") or None,
            "phone": values.get("phone") or None,
        },
        NewGuardian,
        errors,
    )
    if not values["student_sourced_id"]:
        errors.append(fault(line, "student_sourced_id", "Needed."))
    if terms and terms.starts_on and terms.ends_on and terms.ends_on < terms.starts_on:
        errors.append(fault(line, "ends_on", "Before starts_on."))
    if len(errors) > before or terms is None or guardian is None:
        return None
    return LinkRow(line=line, student_sourced_id=values["student_sourced_id"], guardian=guardian, terms=terms)


def _said_of_link(line: int, values: Mapping[str, str], errors: list[FieldError]) -> dict[str, object]:
    """Of a column that is not there, and of an empty cell, nothing is said."""
    said = {name: values[name] for name in ("priority", "starts_on", "ends_on") if values.get(name)}
    flags = {name: _boolean(line, name, values, errors) for name in ("may_see", "receives_alerts") if values.get(name)}
    return {"relation": values["relation"], **said, **flags}


def _boolean(line: int, column: str, values: Mapping[str, str], errors: list[FieldError]) -> bool:
    text = values[column].lower()
    if text not in TRUE | FALSE:
        errors.append(fault(line, column, "Write true or false."))
    return text in TRUE


def _converted(line: int, values: Mapping[str, object], type_: type[T], errors: list[FieldError]) -> T | None:
    try:
        return msgspec.convert(values, type_, strict=False)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        column = place.rstrip("`")
        errors.append(fault(line, "guardian_email" if column == "email" else column, in_words(reason)))
        return None


def _doubles(rows: list[LinkRow]) -> Iterator[FieldError]:
    seen: dict[tuple[str, str, str, str], int] = {}
    for row in rows:
        key = (row.student_sourced_id, *identity(row.guardian))
        if key in seen:
            yield fault(row.line, "", same_as(seen[key]))
        seen.setdefault(key, row.line)


def same_as(line: int) -> str:
    return f"The same guardian and child as in line {line}. Two of one name are told apart by their e-mail addresses."


def identity(guardian: Guardian | NewGuardian) -> tuple[str, str, str]:
    """Mailbox and name, whatever the case of the letters. Without a mailbox they tell who is who for one child only."""
    return (folded(guardian.email or ""), folded(guardian.given_name), folded(guardian.family_name))


def folded(text: str) -> str:
    """In small letters, each by itself, as in the unique index of the table; Python makes two of `İ`."""
    return "".join(each.lower()[0] for each in text)


def fault(line: int, column: str, reason: str) -> FieldError:
    return FieldError(f"line/{line}/{column}" if column else f"line/{line}", reason)
