"""When a roster file is refused."""

from collections.abc import Sequence

from services.academic.roster.schemas import RowError
from shared.problems import Problem

MAX_LISTED_ERRORS = 200


class RosterRejected(Problem):
    """Nothing of the file is taken. `row_errors` says where it must be mended, `row_error_count` how often."""

    status, slug, title = 422, "roster-rejected", "The roster file cannot be imported"

    def __init__(self, detail: str, *, row_errors: Sequence[RowError] = (), row_error_count: int | None = None) -> None:
        count = len(row_errors) if row_error_count is None else row_error_count
        super().__init__(detail, row_errors=list(row_errors), row_error_count=count)


class RowErrors:
    """Counts everything that is wrong and keeps the first of it. Reasons never quote a value: they may be personal."""

    def __init__(self) -> None:
        self.count = 0
        self.listed: list[RowError] = []

    def add(self, file: str, line: int, column: str | None, reason: str) -> None:
        self.count += 1
        if len(self.listed) < MAX_LISTED_ERRORS:
            self.listed.append(RowError(file, line, column, reason))

    def raise_if_any(self) -> None:
        """Raises RosterRejected."""
        if self.count:
            raise RosterRejected(self.summary(), row_errors=self.listed, row_error_count=self.count)

    def summary(self) -> str:
        if self.count == 1:
            return "One thing in the file must be mended."
        if self.count == len(self.listed):
            return f"{self.count} things in the file must be mended."
        return f"{self.count} things in the file must be mended; the first {len(self.listed)} are listed."
