"""The entry of starting weights in a server's fedward.yml; the rest of the file stays byte for byte."""

from typing import Any

import yaml

from fedward.errors import FedwardError

SECTION = "weights"


def with_entry(text: str, name: str, file: str, sha256: str) -> str:
    """`text` with `name` under `weights:`, added or changed; FedwardError where its form leaves no sure place for it.

    A new entry comes first in the section, where neither comments nor commas can follow the wrong line.
    """
    entry = f'{_key(name)}: {{file: "{file}", sha256: "{sha256}"}}'
    values = {"file": file, "sha256": sha256}
    changed = _insert(text, name, entry, values)
    if changed is None or not _adds_only(text, changed, name, values):
        raise FedwardError(f"its form is not one that can be changed safely: write under '{SECTION}:' by hand: {entry}")
    return changed


def _adds_only(text: str, changed: str, name: str, values: dict[str, str]) -> bool:
    """Whether `changed` reads as `text` with that entry, all else being equal."""
    expected = yaml.safe_load(text)
    expected[SECTION] = {**(expected.get(SECTION) or {}), name: values}
    try:
        return bool(yaml.safe_load(changed) == expected)
    except yaml.YAMLError:
        return False


def _insert(text: str, name: str, entry: str, values: dict[str, str]) -> str | None:
    newline = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, yaml.SafeLoader)
    found = _entry_of(root, SECTION)
    if found is None:
        end = "" if text.endswith("\n") else newline
        return f"{text}{end}{SECTION}:{newline}  {entry}{newline}"
    key, section = found
    if isinstance(section, yaml.ScalarNode) and not section.value:  # `weights:` with nothing below
        at = text.find("\n", key.end_mark.index)
        if at < 0:
            return f"{text}{newline}  {entry}{newline}"
        return f"{text[: at + 1]}  {entry}{newline}{text[at + 1 :]}"
    if not isinstance(section, yaml.MappingNode):
        return None
    if (own := _entry_of(section, name)) is not None:
        return _with_scalars(text, own[1], values)
    at = section.start_mark.index
    if section.flow_style:
        return f"{text[: at + 1]}{entry}{', ' if section.value else ''}{text[at + 1 :]}"
    at -= section.start_mark.column
    return f"{text[:at]}{' ' * section.start_mark.column}{entry}{newline}{text[at:]}"


def _with_scalars(text: str, node: yaml.Node, values: dict[str, str]) -> str | None:
    """`text` with the values of the mapping `node` changed, the later ones first so that marks stay right."""
    places = [(key, _entry_of(node, key)) for key in values]
    marks = [(found[1].start_mark.index, found[1].end_mark.index, key) for key, found in places if found is not None]
    for start, end, key in sorted(marks, reverse=True):
        text = f'{text[:start]}"{values[key]}"{text[end:]}'
    return text if len(marks) == len(values) else None


def _entry_of(node: Any, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == name), None)


def _key(name: str) -> str:
    return name if yaml.safe_load(name) == name else f'"{name}"'  # null, 1.0, on
