"""The zip's own table of contents: which OneRoster it is, and which files are to be in it."""

import re

from services.academic.roster.rules import RosterRejected
from services.academic.roster.schemas import Version
from services.academic.roster.tables import Row, Source, Table

MANIFEST = "manifest.csv"
NEEDED = ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
NEEDED_SINCE_1_2 = "roles"
UNUSED = frozenset(
    (
        "categories",
        "classResources",
        "courseResources",
        "demographics",
        "lineItemLearningObjectiveIds",
        "lineItemScoreScales",
        "lineItems",
        "resources",
        "resultLearningObjectiveIds",
        "resultScoreScales",
        "results",
        "scoreScales",
        "userProfiles",
        "userResources",
    )
)
"""Part of OneRoster, but nothing of them is imported."""

VERSION = re.compile(r"1\.([12])(\.\d{1,3})?", re.ASCII)
BULK = "bulk"
MODES = {mode: mode for mode in ("absent", BULK, "delta")}


def read_manifest(source: Source) -> Version:
    """Raises RosterRejected unless all needed files are there, whole, and in bulk mode."""
    if MANIFEST not in source.names():
        raise RosterRejected(f"The zip holds no {MANIFEST}; it may be inside a folder.")
    properties = properties_by_name(source)
    version = version_of(source, properties.get("oneroster.version"))
    modes = {name.removeprefix("file."): row for name, row in properties.items() if name.startswith("file.")}
    for name, row in modes.items():
        require_mode(row, name, source)
    for name in needed_files(version):
        require_stated(source, name, modes)
    source.errors.raise_if_any()
    return version


def properties_by_name(source: Source) -> dict[str, Row]:
    properties: dict[str, Row] = {}
    table = Table[None](MANIFEST)
    for row in source.rows(table, required=("propertyName", "value")):
        name = row.text("propertyName")
        if name in properties:
            row.wrong("propertyName", f"Line {properties[name].line} has the same property.")
        properties[name] = row
    source.errors.raise_if_any()
    return properties


def version_of(source: Source, row: Row | None) -> Version:
    if row is None:
        source.errors.add(MANIFEST, 1, "propertyName", "There is no oneroster.version.")
        return "1.1"
    found = VERSION.fullmatch(row.text("value"))
    if not found:
        row.wrong("value", "OneRoster 1.1 and 1.2 are read here, nothing else.")
    return "1.2" if found and found[1] == "2" else "1.1"


def needed_files(version: Version) -> tuple[str, ...]:
    return (*NEEDED, NEEDED_SINCE_1_2) if version == "1.2" else NEEDED


def require_mode(row: Row, name: str, source: Source) -> None:
    mode = row.choice("value", MODES, fallback="absent")
    if mode == "delta":
        row.wrong("value", "Only bulk files are imported; a delta file tells only what changed since another one.")
    if mode == BULK and f"{name}.csv" not in source.names():
        row.wrong("value", f"The zip holds no {name[:100]}.csv.")


def require_stated(source: Source, name: str, modes: dict[str, Row]) -> None:
    row = modes.get(name)
    if row is None:
        source.errors.add(MANIFEST, 1, "propertyName", f"There is no file.{name}; it must be bulk.")
    elif row.is_good and row.text("value") != BULK:
        row.wrong("value", f"This must be bulk: nothing can be imported without {name}.csv.")
