"""Who looks for a service, a room or an event finds it in the README where it belongs."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from shared.contracts.envelope import event_type
from tests.architecture.test_rooms import rooms
from tools.dumps import events
from tools.topology import SERVICES, Service


def rooms_of(service: str) -> set[str]:
    return {room.rpartition(".")[2] for room in rooms() if room.startswith(f"services.{service}.")}


def told_by(service: str) -> set[str]:
    """Without the name of the service: some READMEs leave it out."""
    types = (event_type(each) for each in events())
    return {type_.removeprefix(f"{service}.") for type_ in types if type_.startswith(f"{service}.")}


def unmentioned(text: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if name not in text}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_first_page_names_every_service(service: Service) -> None:
    line = f"| [{service.name}](services/{service.name}/README.md) | {service.port} |"

    assert line in Path("README.md").read_text(), "add a line to the table in README.md"
    assert service.name in Path("docs/architecture.md").read_text()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_names_its_rooms_and_what_it_tells(service: Service) -> None:
    path = Path(f"services/{service.name}/README.md")
    text = path.read_text().replace("/`", "`")

    assert unmentioned(text, {f"`{room}`" for room in rooms_of(service.name)}) == set(), f"say in {path} what it does"
    assert unmentioned(text, told_by(service.name)) == set(), f"say in {path} when it is told"


def test_control_what_is_left_out_is_seen() -> None:
    assert unmentioned("| `rooms` | rooms by name |", {"`rooms`", "`lost_items`"}) == {"`lost_items`"}
    assert "rooms" in rooms_of("school")
    assert "school_changed.v1" in told_by("school")
