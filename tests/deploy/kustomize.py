"""What kustomize makes of an overlay: the few of its features that we use, and a refusal of all others.

Where kubectl is installed, a test compares the two.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

Resource = dict[str, Any]
CLUSTER_WIDE = {"Namespace"}


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    target: dict[str, str]
    patch: str = ""
    path: str = ""


class Image(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    newName: str = ""  # noqa: N815 (kustomize's name)
    newTag: str = ""  # noqa: N815 (kustomize's name)


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    pairs: dict[str, str]


class Generator(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    files: list[str]


class Kustomization(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: str
    kind: str
    resources: list[str] = []
    namespace: str = ""
    labels: list[Labels] = []
    patches: list[Patch] = []
    images: list[Image] = []
    config_map_generator: list[Generator] = []
    generator_options: dict[str, bool] = {}


def build(directory: Path) -> list[Resource]:
    text = (directory / "kustomization.yaml").read_text()
    given = msgspec.convert(yaml.safe_load(text), Kustomization)
    assert given.kind == "Kustomization"
    found = [resource for name in given.resources for resource in _read(directory / name)]
    if given.config_map_generator:
        assert given.generator_options == {"disableNameSuffixHash": True}
    found += [_config_map(directory, generator) for generator in given.config_map_generator]
    for patch in given.patches:
        _apply(patch, found, directory)
    for resource in found:
        _finish(resource, given)
    return found


def _read(path: Path) -> list[Resource]:
    if path.is_dir():
        return build(path)
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _config_map(directory: Path, generator: Generator) -> Resource:
    data = {Path(name).name: (directory / name).read_text() for name in generator.files}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator.name}, "data": data}


def _apply(patch: Patch, resources: list[Resource], directory: Path) -> None:
    text = patch.patch or (directory / patch.path).read_text()
    targets = [resource for resource in resources if _is_meant(patch.target, resource)]
    assert targets, f"{directory}: {patch.target} is nothing"
    for resource in targets:
        for operation in yaml.safe_load(text):
            _operate(operation, resource)


def _is_meant(target: dict[str, str], resource: Resource) -> bool:
    assert target.keys() <= {"kind", "name", "labelSelector"}, target
    label, _, value = target.get("labelSelector", "=").partition("=")
    labels = resource["metadata"].get("labels", {})
    return bool(
        re.fullmatch(target.get("kind", ".*"), resource["kind"])
        and re.fullmatch(target.get("name", ".*"), resource["metadata"]["name"])
        and (not label or labels.get(label) == value)
    )


def _operate(operation: dict[str, Any], resource: Resource) -> None:
    assert operation.keys() == {"op", "path", "value"}, operation
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    place: Any = resource
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    assert isinstance(place, dict), operation
    assert operation["op"] == "add" or (operation["op"] == "replace" and last in place), operation
    place[last] = msgspec.json.decode(msgspec.json.encode(operation["value"]))


def _finish(resource: Resource, given: Kustomization) -> None:
    metadata = resource["metadata"]
    if given.namespace and resource["kind"] not in CLUSTER_WIDE:
        metadata["namespace"] = given.namespace
    for labels in given.labels:
        metadata["labels"] = {**metadata.get("labels", {}), **labels.pairs}
    pod = resource.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("containers", ()):
        for image in given.images:
            repository, tag = _parted(container["image"])
            if repository == image.name:
                container["image"] = ":".join(filter(None, (image.newName or repository, image.newTag or tag)))


def _parted(image: str) -> tuple[str, str]:
    """The host of a registry may have a colon of its own, before its port."""
    way, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{way}{slash}{name}", tag


def image_name(image: str) -> str:
    """Without where it is kept, and which one."""
    return _parted(image)[0].rpartition("/")[2]
