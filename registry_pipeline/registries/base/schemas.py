"""The JSON Schemas of a registry: those that ship, or those of a registry of the repository's own."""

from __future__ import annotations

from functools import lru_cache

from registry_pipeline import schema
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.schema import Validator, make_validator, shipped_validator

_KEPT_VALIDATORS = 64


def has_schema(spec: RegistrySpec, name: str) -> bool:
    """Return whether the schema file that a row names exists."""
    return name in dict(spec.own_schemas) if spec.is_own else schema.has_schema(name)


def read_schema_bytes(spec: RegistrySpec, name: str) -> bytes:
    """Return the bytes of a schema file that a row names.

    Raises:
        NotFoundError: the schema does not ship.
        KeyError: the row of an own registry does not have it.
    """
    return dict(spec.own_schemas)[name] if spec.is_own else schema.schema_bytes(name)


def make_schema_validator(spec: RegistrySpec, name: str) -> Validator:
    """Return the validator of a schema that a row names; raise ValueError if it is unusable."""
    return _make_own_validator(read_schema_bytes(spec, name)) if spec.is_own else shipped_validator(name)


@lru_cache(_KEPT_VALIDATORS)
def _make_own_validator(data: bytes) -> Validator:
    return make_validator(data)
