"""Templates are merged over FLARE's rendered defaults: by key, components by their id."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.kits.templates import deep_merge, template

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def test_mappings_are_merged_and_other_values_replaced():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert deep_merge(base, {"a": {"y": [3]}, "c": 2}) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 2}


def test_components_are_merged_by_id_in_their_order():
    base = {"components": [{"id": "one", "path": "a.A"}, {"id": "two", "path": "b.B"}, {"id": "log", "path": "c.C"}]}
    patch = {"components": [{"id": "two", "path": "x.X"}, {"id": "log", "remove": True}, {"id": "new", "path": "n.N"}]}
    assert [(c["id"], c["path"]) for c in deep_merge(base, patch)["components"]] == [
        ("one", "a.A"),
        ("two", "x.X"),
        ("new", "n.N"),
    ]


def test_another_class_takes_none_of_the_formers_arguments():
    base = {"storage": {"path": "a.A", "args": {"root_dir": "/elsewhere"}}}
    patch = {"storage": {"path": "b.B", "args": {"folder": "store"}}}
    assert deep_merge(base, patch) == patch


def test_the_one_server_is_merged_into_the_one_server():
    assert deep_merge({"servers": [{"a": 1, "b": 2}]}, {"servers": [{"b": 3}]}) == {"servers": [{"a": 1, "b": 3}]}


@given(MAPPINGS, MAPPINGS)
def test_merging_leaves_its_arguments_alone_and_twice_is_once(base, patch):
    kept = json.dumps([base, patch])
    merged = deep_merge(base, patch)
    assert json.dumps([base, patch]) == kept
    assert deep_merge(merged, patch) == merged
    assert deep_merge(base, {}) == base


@pytest.mark.parametrize("kind", ["hospital", "server"])
def test_the_templates_are_in_the_package(kind):
    assert "components" in json.loads(template(kind, "resources.json").read_text())
