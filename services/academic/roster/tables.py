"""CSV files as rows whose every defect is written down, with its file, line and column, while reading goes on."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Generic, TypeVar

from services.academic.roster.archive import Archive
from services.academic.roster.rules import RosterRejected, RowErrors
from services.academic.roster.schemas import Note

MAX_ROWS = 500_000
"""Of all files together: what is kept of a row is several times its text."""
MAX_RECORD_BYTES = 64 * 1024
"""One row with all its line breaks; also bounds a line that never ends and a quote that is never closed."""
MAX_TEXT = 255

BOM = b"\xef\xbb\xbf"
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
NO_DAY = date.min
FIRST_YEAR = 1900
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
STATUSES = {"": False, "active": False, "tobedeleted": True, "inactive": True}
"""Whether the row is to be deleted. `inactive` is how older systems say it."""
BOOLEANS = {"true": True, "false": False}

NO_RECORD: tuple[int, list[str]] = (1, [])

T = TypeVar("T")


class RecordTooLong(Exception):
    """Not for callers: reading of this file ends here."""


class Lines:
    """The lines of one file as text, for `csv.reader`. A bad line is written down, mended and handed on."""

    def __init__(self, chunks: Iterator[bytes], lose: Callable[[int, str], None]) -> None:
        self._lines = physical_lines(chunks)
        self._lose = lose
        self._record_bytes = 0
        self.number = 0
        """Of the last line handed out, from 1."""

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self._record_bytes += len(line)
        if self._record_bytes > MAX_RECORD_BYTES:
            raise RecordTooLong
        return self._decoded(line.removeprefix(BOM) if self.number == 1 else line)

    def start_record(self) -> int:
        """The line on which the next record starts."""
        self._record_bytes = 0
        return self.number + 1

    def _decoded(self, line: bytes) -> str:
        if b"\0" in line:
            self._lose(self.number, "The line holds a NUL byte.")
            line = line.replace(b"\0", b"")
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._lose(self.number, "The line is not UTF-8.")
            return line.decode(errors="replace")


def physical_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their ends; one that is far too long comes out cut, as the last."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > MAX_RECORD_BYTES:
            break
    if rest:
        yield rest


def day_of(text: str) -> date:
    """NO_DAY for what is none, and for years that nobody means."""
    try:
        day = date.fromisoformat(text) if ISO_DATE.fullmatch(text) else NO_DAY
    except ValueError:
        return NO_DAY
    return day if day.year >= FIRST_YEAR else NO_DAY


class Row:
    """One row. Its readers give a harmless value for a bad cell and remember that the row `is_good` no more."""

    __slots__ = ("_cells", "_errors", "file", "is_good", "is_left_out", "is_removed", "line")

    def __init__(self, file: str, line: int, cells: Mapping[str, str], errors: RowErrors) -> None:
        self.file = file
        self.line = line
        self.is_good = True
        self.is_left_out = False
        """To be deleted, and so is something that it names."""
        self._cells = cells
        self._errors = errors
        self.is_removed = self.choice("status", STATUSES, fallback=False)

    def wrong(self, column: str | None, reason: str) -> None:
        self.is_good = False
        self._errors.add(self.file, self.line, column, reason)

    def optional(self, column: str, *, max_length: int = MAX_TEXT) -> str | None:
        text = self._cells.get(column, "").strip()
        self._require_text(column, text, max_length)
        return text or None

    def text(self, column: str, *, max_length: int = MAX_TEXT) -> str:
        text = self.optional(column, max_length=max_length)
        if text is None:
            self.wrong(column, "This must not be empty.")
        return text or ""

    def texts(self, column: str) -> tuple[str, ...]:
        """A list in one cell, separated by commas; each entry once."""
        entries = dict.fromkeys(entry.strip() for entry in self._cells.get(column, "").split(","))
        entries.pop("", None)
        for entry in entries:
            self._require_text(column, entry, MAX_TEXT)
        return tuple(entries)

    def choice(self, column: str, choices: Mapping[str, T], *, fallback: T) -> T:
        word = self._cells.get(column, "").strip()
        if word in choices:
            return choices[word]
        self.wrong(column, "This must be one of: " + ", ".join(filter(None, choices)) + ".")
        return fallback

    def word(self, column: str, words: frozenset[str]) -> str:
        """One of a list that anybody may extend with `ext:` words."""
        word = self.text(column)
        if word and word not in words and not word.startswith("ext:"):
            self.wrong(column, "This must be one of: " + ", ".join(sorted(words)) + ".")
        return word

    def boolean(self, column: str, *, if_empty: bool | None = None) -> bool:
        """In any case: spreadsheets write TRUE."""
        word = self._cells.get(column, "").strip().lower()
        if not word and if_empty is not None:
            return if_empty
        if word not in BOOLEANS:
            self.wrong(column, "This must be true or false.")
        return BOOLEANS.get(word, False)

    def day(self, column: str) -> date:
        day = self.optional_day(column)
        if day is None:
            self.wrong(column, "This must not be empty.")
        return day or NO_DAY

    def optional_day(self, column: str) -> date | None:
        text = self._cells.get(column, "").strip()
        if not text:
            return None
        day = day_of(text)
        if day == NO_DAY:
            self.wrong(column, "This must be a day of the calendar, as YYYY-MM-DD.")
        return day

    def _require_text(self, column: str, text: str, max_length: int) -> None:
        if len(text) > max_length:
            self.wrong(column, f"This is longer than {max_length} characters.")
        if CONTROL_CHARACTER.search(text):
            self.wrong(column, "This holds a control character, such as a line break.")


class Table(Generic[T]):
    """What one file lists by `sourcedId`: what is good, what is to be deleted, and the line of every row."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.is_whole = True
        """Whether all rows could be read; otherwise nobody can say what is missing."""
        self.good: dict[str, T] = {}
        self.removed: set[str] = set()
        self.lines: dict[str, int] = {}

    def enter(self, row: Row) -> str:
        """The row's sourcedId, which must be new."""
        sourced_id = row.text("sourcedId")
        if sourced_id in self.lines:
            row.wrong("sourcedId", f"Line {self.lines[sourced_id]} has the same sourcedId.")
        elif sourced_id:
            self.lines[sourced_id] = row.line
        return sourced_id

    def find(self, row: Row, column: str, sourced_id: str | None) -> T | None:
        """None when there is no such thing, after saying so, or when its own row is bad, which was said there."""
        if sourced_id and (reason := self.why_missing(sourced_id)):
            if row.is_removed and sourced_id in self.removed:
                row.is_left_out = True
            else:
                row.wrong(column, reason)
        return self.good.get(sourced_id or "")

    def why_missing(self, sourced_id: str) -> str | None:
        if sourced_id in self.removed:
            return f"This names a row of {self.file} that is to be deleted."
        if sourced_id not in self.lines and self.is_whole:
            return f"This names no row of {self.file}."
        return None

    def fill(
        self,
        source: "Source",
        build: Callable[[Row, str], T | None],
        *,
        required: Sequence[str],
        keeps_removed: bool = False,
    ) -> None:
        """Reads the file; `build` makes a thing of a row and its sourcedId, or None of one that is left out."""
        for row in source.rows(self, required=("sourcedId", *required)):
            sourced_id = self.enter(row)
            built = build(row, sourced_id) if keeps_removed or not row.is_removed else None
            if row.is_left_out or (row.is_removed and not keeps_removed):
                self.removed.add(sourced_id)
                source.leave_out(self.file, "The row is to be deleted.")
            elif built is not None and row.is_good:
                self.good[sourced_id] = built


class Source:
    """All CSV files of one import, with what was found in them so far."""

    def __init__(self, archive: Archive) -> None:
        self.errors = RowErrors()
        self.counts: dict[str, int] = {}
        self._archive = archive
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._rows_read = 0

    def names(self) -> list[str]:
        return self._archive.names()

    def leave_out(self, file: str, reason: str, *, rows: int = 1) -> None:
        self._left_out[file, reason] += rows

    def notes(self) -> list[Note]:
        return [Note(file, rows, reason) for (file, reason), rows in sorted(self._left_out.items())]

    def rows(self, table: Table[T], *, required: Sequence[str] = ()) -> Iterator[Row]:
        """The good and the bad; what is no row at all is only written down."""
        lines = Lines(self._archive.chunks(table.file), partial(self._lose, table))
        records = self._records(table, lines)
        header = self._header(table, records, required)
        self.counts[table.file] = 0
        if not header:
            return
        for line, cells in records:
            self.counts[table.file] += 1
            if len(cells) == len(header):
                yield Row(table.file, line, dict(zip(header, cells, strict=True)), self.errors)
            else:
                self._lose(table, line, f"The row has {len(cells)} fields, the header has {len(header)}.")

    def _header(self, table: Table[T], records: Iterator[tuple[int, list[str]]], required: Sequence[str]) -> list[str]:
        """Empty when it is not one by which the rows can be read."""
        _, cells = next(records, NO_RECORD)
        header = [column.strip() for column in cells]
        if not table.is_whole:
            return []
        for column in required:
            if column not in header:
                self._lose(table, 1, "The file has no such column.", column=column)
        for column, times in Counter(header).items():
            if column and times > 1:
                self._lose(table, 1, "The file has this column twice.", column=column[:MAX_TEXT])
        return header if table.is_whole else []

    def _records(self, table: Table[T], lines: Lines) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(lines, strict=True)
        while True:
            start = lines.start_record()
            self._count_row()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                self._lose(table, start, "The row is not CSV: a quote or a line break stands where it must not.")
            except RecordTooLong:
                self._lose(table, start, f"The row is longer than {MAX_RECORD_BYTES} bytes; reading stopped here.")
                return
            else:
                if cells:
                    yield start, cells

    def _lose(self, table: Table[T], line: int, reason: str, *, column: str | None = None) -> None:
        table.is_whole = False
        self.errors.add(table.file, line, column, reason)

    def _count_row(self) -> None:
        self._rows_read += 1
        if self._rows_read > MAX_ROWS:
            raise RosterRejected(
                f"The files hold more than {MAX_ROWS} rows together.",
                row_errors=self.errors.listed,
                row_error_count=self.errors.count,
            )
