"""registry_pipeline: a verifiable record of the automated runs of a repository.

`open_repository` reads one from Python; the command `registry-pipeline` does everything. The types are in
`__init__.pyi`.
"""

from __future__ import annotations

__all__ = ["ActiveRegistry", "OpenRepository", "RepositoryStatus", "Table", "open_repository"]


def __getattr__(name: str) -> object:
    # Commands import this package too, and must not pay for what only Python programs use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as the rest

    return getattr(import_module("registry_pipeline.api"), name)
