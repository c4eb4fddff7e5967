"""`@value_type` behaves as a frozen dataclass with slots does, as far as the project uses one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from registry_pipeline.values import asdict, field, fields, replace, value_type

CALLS = 40  # more than the calls after which `__init__` is compiled


@value_type
class Ref:
    run_id: str
    root: str | None = None
    names: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.root}/{self.run_id}"


@dataclass(frozen=True, slots=True)
class DataclassRef:
    run_id: str
    root: str | None = None


@value_type
class Pair:
    left: int
    right: object = field(default=None, compare=False)


@value_type(order=True)
class Version:
    major: int
    minor: int = 0


@value_type(eq=False)
class Identity:
    name: str


@value_type
class Empty:
    pass


@pytest.mark.parametrize("calls", [1, CALLS])
def test_fields_are_given_by_position_by_name_or_by_default(calls: int) -> None:
    @value_type
    class Local:
        one: int
        two: int = 2
        many: list[int] = field(default_factory=list)

    for _ in range(calls):
        first, second = Local(1), Local(two=3, one=1, many=[4])
        assert (first.one, first.two, first.many) == (1, 2, [])
        assert (second.one, second.two, second.many) == (1, 3, [4])
        assert Local(1, 5, [6]).many == [6]
        assert Local(1).many is not first.many


@pytest.mark.parametrize("calls", [0, CALLS])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("a", "b", "c"), {}), (("a",), {"run_id": "b"}), (("a",), {"rot": "b"}), ((), {"root": "b"})],
)
def test_wrong_arguments_raise_what_python_raises(calls: int, args: tuple[str, ...], kwargs: dict[str, str]) -> None:
    @value_type
    class Local:
        run_id: str
        root: str | None = None

    for _ in range(calls):
        Local("a")
    with pytest.raises(TypeError) as expected:
        DataclassRef(*args, **kwargs)
    with pytest.raises(TypeError) as caught:
        Local(*args, **kwargs)

    of_dataclass = str(expected.value).replace("DataclassRef.", "Local.")
    assert str(caught.value).split(".<locals>.")[-1] == of_dataclass


def test_an_instance_cannot_be_changed_and_has_no_dict() -> None:
    ref = Ref("a")

    with pytest.raises(AttributeError, match="immutable"):
        ref.run_id = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del ref.run_id
    with pytest.raises(AttributeError):
        ref.other = "b"  # type: ignore[attr-defined]
    assert not hasattr(ref, "__dict__")
    assert ref.place == "None/a"


def test_values_are_compared_by_class_and_content() -> None:
    assert Pair(1) == Pair(1)
    assert hash(Pair(1)) == hash(Pair(1))
    assert Pair(1) != Pair(2)
    assert Pair(1, "a") == Pair(1, "b")
    others: list[object] = [Version(1), (1, None), "Pair"]
    assert Pair(1) not in others
    assert Empty() == Empty()
    assert len({Version(1), Version(1, 0), Version(1, 1)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ref("a"))


def test_a_class_may_be_compared_by_identity() -> None:
    one, other = Identity("a"), Identity("a")

    assert one != other
    assert len({one, other}) == 2


def test_an_ordered_class_is_sorted_by_its_fields() -> None:
    versions = [Version(2), Version(1, 5), Version(1)]

    assert sorted(versions) == [Version(1), Version(1, 5), Version(2)]
    assert Version(2) > Version(1, 5) >= Version(1, 5) <= Version(2)
    with pytest.raises(TypeError):
        assert Version(1) < Pair(2)  # type: ignore[operator]
    with pytest.raises(TypeError):
        assert Pair(1) < Pair(2)  # type: ignore[operator]


def test_the_representation_is_that_of_a_dataclass() -> None:
    assert repr(Ref("a", "b")) == "Ref(run_id='a', root='b', names={})"
    assert repr(DataclassRef("a")) == f"Dataclass{Ref('a')!r}".replace(", names={}", "")
    assert repr(Empty()) == "Empty()"


def test_values_are_pickled_and_copied() -> None:
    ref = Ref("a", "b", {"c": [1]})

    assert pickle.loads(pickle.dumps(ref)) == ref  # noqa: S301 - what was just written
    assert copy.copy(ref) == ref
    assert copy.deepcopy(ref).names["c"] is not ref.names["c"]
    assert pickle.loads(pickle.dumps(Empty())) == Empty()  # noqa: S301


def test_replace_changes_a_copy() -> None:
    ref = Ref("a")

    assert replace(ref, root="b") == Ref("a", "b")
    assert ref == Ref("a")
    with pytest.raises(TypeError, match="unexpected keyword"):
        replace(ref, rot="b")


def test_fields_and_asdict_follow_the_order_of_the_class() -> None:
    assert fields(Ref) == ("run_id", "root", "names")
    assert asdict(Ref("a", None, {"b": (Pair(1),)})) == {
        "run_id": "a",
        "root": None,
        "names": {"b": ({"left": 1, "right": None},)},
    }
    with pytest.raises(TypeError, match="not a value class"):
        fields(DataclassRef)


def test_a_class_that_cannot_be_a_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no base class"):

        @value_type
        class Derived(Empty):
            pass

    with pytest.raises(TypeError, match="without a default follows"):

        @value_type
        class Unordered:
            one: int = 1
            two: int  # type: ignore[misc]
