"""A light immutable value type: `@value_type` is used like `@dataclass(frozen=True, slots=True)`.

Unlike a dataclass it compiles nothing at import: see docs/decisions/0015-value-type.md. Imports the standard library
only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")
MISSING: Final = object()
"""The default of a field that has none."""
# Most classes of a command are constructed a few times: compiling (0.1 ms) costs more than that many loops.
_INTERPRETED_CALLS: Final = 16


class FieldInfo:
    """The default of a field, and whether the field takes part in comparisons. A subclass may describe more."""

    __slots__ = ("compare", "default", "default_factory")

    def __init__(self, default: Any, default_factory: Any, compare: bool) -> None:
        self.default = default
        self.default_factory = default_factory
        self.compare = compare


def field(*, default: Any = MISSING, default_factory: Callable[[], Any] | None = None, compare: bool = True) -> Any:
    """Describe a field: a default, a function that makes one, or no part in `==`, hash and ordering."""
    return FieldInfo(default, default_factory, compare)


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_type(cls: type[_T], /) -> type[_T]: ...


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_type(*, eq: bool = True, order: bool = False) -> Callable[[type[_T]], type[_T]]: ...


def value_type(cls: type[Any] | None = None, /, *, eq: bool = True, order: bool = False) -> Any:
    """Return `cls` as an immutable class with slots, one per annotation.

    The class has no base class. Every annotation of its body is a field; there are no class variables and there is no
    `__post_init__`. With `eq=False` instances are compared by identity; with `order=True` they can be sorted by field.
    """
    if cls is None:
        return lambda decorated: _make_class(decorated, eq=eq, order=order)
    return _make_class(cls, eq=eq, order=order)


def replace(instance: _T, /, **changes: Any) -> _T:
    """Return a copy of a value with some of its fields changed; raise TypeError for an unknown field."""
    kept = {name: getattr(instance, name) for name in fields(type(instance)) if name not in changes}
    return type(instance)(**kept, **changes)


def fields(cls: type) -> tuple[str, ...]:
    """Return the names of the fields of a value class, in order; raises as `field_infos`."""
    return tuple(field_infos(cls))


def field_infos(cls: type) -> Mapping[str, FieldInfo]:
    """Return the description of each field, in order; raise TypeError if the class is no value class."""
    infos: Mapping[str, FieldInfo] | None = getattr(cls, "__value_fields__", None)
    if infos is None:
        raise TypeError(f"{cls.__name__} is not a value class")
    return infos


def asdict(instance: object) -> dict[str, Any]:
    """Return the fields of a value by name; values inside it, in tuples, lists and mappings too, become dicts."""
    return {name: _to_plain(getattr(instance, name)) for name in fields(type(instance))}


def _to_plain(content: Any) -> Any:
    if hasattr(type(content), "__value_fields__"):
        return asdict(content)
    if isinstance(content, (list, tuple)):
        return type(content)(_to_plain(item) for item in content)
    if isinstance(content, Mapping):
        return {key: _to_plain(item) for key, item in content.items()}
    return content


def _make_class(cls: type[Any], *, eq: bool, order: bool) -> type[Any]:
    """Return a new class with slots for the fields of `cls`; raise TypeError if `cls` cannot be a value class."""
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__}: a value class has no base class")
    body = dict(cls.__dict__)
    names = tuple(cls.__annotations__)
    described = {name: _make_field_info(body.pop(name, MISSING)) for name in names}
    _refuse_required_after_default(cls.__name__, described)
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    # A class gets slots only while it is created, so it is created again, as dataclasses do.
    body |= {
        "__slots__": names,
        "__match_args__": names,
        "__value_fields__": described,
        "__setattr__": _raise_immutable,
        "__delattr__": _raise_immutable,
        "__reduce__": _reduce,
    }
    body.setdefault("__repr__", _repr)
    compared = tuple(name for name in names if described[name].compare)
    if eq:
        _add_comparison(body, compared)
    if order:
        _add_ordering(body, compared)
    made = type(cls.__name__, (), body)
    made.__init__ = _make_first_init(made, described)  # type: ignore[misc]  # the instance's type, not a method call
    return made


def _make_field_info(default: Any) -> FieldInfo:
    return default if isinstance(default, FieldInfo) else FieldInfo(default, None, compare=True)


def _refuse_required_after_default(class_name: str, described: Mapping[str, FieldInfo]) -> None:
    defaulted = ""
    for name, each in described.items():
        if each.default is not MISSING or each.default_factory is not None:
            defaulted = name
        elif defaulted:
            raise TypeError(f"{class_name}: field {name} without a default follows {defaulted} with one")


def _make_first_init(cls: type[Any], described: Mapping[str, FieldInfo]) -> Callable[..., None]:
    """Return an `__init__` that sets the fields in a loop, and replaces itself by a compiled one after some calls."""
    names = tuple(described)
    calls = 0

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - installed under this name
        nonlocal calls
        calls += 1
        given = dict(zip(names, args, strict=False)) | kwargs
        # Wrong arguments go to the compiled function, which raises Python's own TypeError.
        well_formed = len(given) == len(args) + len(kwargs) and len(args) <= len(names)
        if calls > _INTERPRETED_CALLS or not well_formed or not _fill_defaults(given, described):
            init = cls.__init__ = _compile_init(cls, described)
            init(self, *args, **kwargs)
            return
        for name in names:
            object.__setattr__(self, name, given[name])

    return __init__


def _fill_defaults(given: dict[str, Any], described: Mapping[str, FieldInfo]) -> bool:
    """Add the missing defaults to `given`; return whether it then has all fields and no other."""
    for name, each in described.items():
        if name not in given:
            if each.default_factory is not None:
                given[name] = each.default_factory()
            elif each.default is not MISSING:
                given[name] = each.default
            else:
                return False
    return len(given) == len(described)


def _compile_init(cls: type[Any], described: Mapping[str, FieldInfo]) -> Callable[..., None]:
    """Return an `__init__` with one parameter and one statement for each field."""
    names: dict[str, Any] = {"MISSING": MISSING}
    parameters, lines = ["self"], []
    for name, each in described.items():
        names[f"_set_{name}"] = getattr(cls, name).__set__  # the slot: faster than object.__setattr__
        content = name
        if each.default_factory is not None:
            names[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=MISSING")
            content = f"_make_{name}() if {name} is MISSING else {name}"
        elif each.default is not MISSING:
            names[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f" _set_{name}(self, {content})")
    source = f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or " pass")
    exec(source, names)  # noqa: S102 - the text holds field names of our own classes only
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


def _add_comparison(body: dict[str, Any], compared: tuple[str, ...]) -> None:
    key = _make_key_function(compared)

    def __eq__(self: Any, other: object) -> Any:  # noqa: N807
        if self.__class__ is other.__class__:
            return self is other or key(self) == key(other)
        return NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(key(self))

    body.setdefault("__eq__", __eq__)
    if body.get("__hash__") is None:
        body["__hash__"] = __hash__


def _add_ordering(body: dict[str, Any], compared: tuple[str, ...]) -> None:
    key = _make_key_function(compared)

    def __lt__(self: Any, other: Any) -> Any:  # noqa: N807
        return key(self) < key(other) if self.__class__ is other.__class__ else NotImplemented

    def __le__(self: Any, other: Any) -> Any:  # noqa: N807
        return key(self) <= key(other) if self.__class__ is other.__class__ else NotImplemented

    # Python finds > and >= by exchanging the operands.
    body |= {"__lt__": __lt__, "__le__": __le__}


def _make_key_function(compared: tuple[str, ...]) -> Callable[[Any], Any]:
    return attrgetter(*compared) if compared else lambda _instance: ()


def _raise_immutable(self: object, name: str, _content: object = None) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be changed")


def _repr(self: Any) -> str:
    content = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__value_fields__)
    return f"{type(self).__qualname__}({content})"


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    # pickle and copy would set the fields one by one otherwise.
    return type(self), tuple(getattr(self, name) for name in self.__value_fields__)
