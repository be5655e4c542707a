"""Plain values and back: strictly by annotation, by stored name, every refusal with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from dreamfoundry.serialization import Reader, stored_fields, to_plain


@dataclass(frozen=True)
class Wheel:
    STORED_NAMES: ClassVar[Mapping[str, str]] = {"diameter_m": "size"}

    diameter_m: float
    spokes: int = 8


@dataclass(frozen=True)
class Cart:
    wheels: tuple[Wheel, ...]
    num_wheels: int = field(init=False)
    notes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_wheels", len(self.wheels))


def read_wheel(reader: Reader, cls: type, value: Any, where: str) -> Wheel:
    return Wheel(**value)


READER = Reader(read_wheel, LookupError)


def test_plain_values_have_stored_names_all_the_way_down() -> None:
    cart = Cart((Wheel(0.5), Wheel(0.6, 10)), {"spare": (Wheel(0.4),)})

    assert to_plain(cart) == {
        "wheels": [{"size": 0.5, "spokes": 8}, {"size": 0.6, "spokes": 10}],
        "num_wheels": 2,
        "notes": {"spare": [{"size": 0.4, "spokes": 8}]},
    }


def test_a_field_is_found_by_its_stored_name_and_says_where_its_value_comes_from() -> None:
    assert list(stored_fields(Wheel)) == ["size", "spokes"]
    assert stored_fields(Wheel)["size"].name == "diameter_m"
    assert [name for name, one in stored_fields(Cart).items() if one.is_required or one.is_derived] == [
        "wheels",
        "num_wheels",
    ]
    assert stored_fields(Cart)["num_wheels"].is_derived


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (float, 3, 3.0),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[float, str], [1, "a"], (1.0, "a")),
        (Mapping[str, float], {"a": 1}, {"a": 1.0}),
        (Literal["a", "b"], "b", "b"),
        (float | None, None, None),
        (float | None, 2, 2.0),
        (object, {"any": ["thing"]}, {"any": ["thing"]}),
        (tuple[Wheel, ...], [{"diameter_m": 0.5}], (Wheel(0.5),)),
    ],
)
def test_a_value_becomes_its_annotated_type(kind: Any, value: object, expected: object) -> None:
    read = READER.read(kind, value, "key")

    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, True, "key = True: must be of type int"),
        (int, 1.0, "key = 1.0: must be of type int"),
        (int, "1", "key = '1': must be of type int"),
        (float, True, "key = True: must be of type float"),
        (float, float("inf"), "key = inf: must be a finite number"),
        (str, 3, "key = 3: must be of type str"),
        (Literal["a", "b"], "c", "key = 'c': must be one of 'a', 'b'"),
        (tuple[int, ...], "ab", "key = 'ab': must be a list"),
        (tuple[int, ...], [1, "2"], "key[1] = '2': must be of type int"),
        (tuple[int, int], [1], "key = [1]: must have 2 items"),
        (Mapping[str, int], [], "key = []: must be an object"),
        (Mapping[str, int], {"a": "1"}, "key.a = '1': must be of type int"),
    ],
)
def test_a_value_of_another_type_is_refused_with_place_value_and_rule(kind: Any, value: object, message: str) -> None:
    with pytest.raises(LookupError) as refused:
        READER.read(kind, value, "key")

    assert str(refused.value) == message
