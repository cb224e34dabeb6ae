"""The templates of a kit's local/ folder, and how they are merged over FLARE's rendered defaults."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


def template(kind: str, name: str) -> Traversable:
    """The template file `name` of a `hospital` or `server` kit."""
    return files("fedward") / "workspace_templates" / kind / name


def deep_merge(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `patch`: mappings are merged, `components` by their id, other values replaced.

    A mapping with a `path` is a component: another class has other arguments, so it is replaced as a whole.
    A component of the patch with `"remove": true` takes the one of that id away. A list of one mapping (FLARE's
    `servers`) is merged into the base's one mapping.
    """
    merged = dict(base)
    for key, value in patch.items():
        old = base.get(key)
        if key == "components" and isinstance(old, list):
            merged[key] = _merge_components(old, value)
        elif isinstance(old, dict) and isinstance(value, dict) and "path" not in value:
            merged[key] = deep_merge(old, value)
        elif _one_mapping(old) and _one_mapping(value):
            merged[key] = [deep_merge(old[0], value[0])]  # type: ignore[index]
        else:
            merged[key] = value
    return merged


def _one_mapping(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)


def _merge_components(base: list[dict[str, Any]], patch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {component["id"]: component for component in base}
    for component in patch:
        if component.get("remove"):
            by_id.pop(component["id"], None)
        else:
            by_id[component["id"]] = component
    return list(by_id.values())
