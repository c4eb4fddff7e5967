"""A process that runs command lines as other users: one JSON request a line on stdin, one JSON answer a line on stdout.

Every command runs in a fork that takes the user id, the group and the umask of the request before it begins. All
modules are imported before: the interpreter may be installed where only root can read. A server that was not started
by root keeps its own user and group, and sets the umask.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import registry_pipeline
from registry_pipeline.cli.invoke import run

_NEVER_IMPORTED = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
_THIRD_PARTY = ("duckdb", "rich.console", "rich.table", "yaml")
_PACKAGES = (
    "concurrent.futures",
    "email",
    "encodings",
    "importlib",
    "importlib.resources",
    "multiprocessing",
    "urllib",
)


def module_names() -> Iterator[str]:
    """Yield every module that a command may import; Dagster's are not among them."""
    yield from sorted(sys.stdlib_module_names - _NEVER_IMPORTED)
    yield from _THIRD_PARTY
    for package in _PACKAGES:
        folders = importlib.import_module(package).__path__
        yield from (module.name for module in pkgutil.iter_modules(folders, f"{package}."))
    for module in pkgutil.walk_packages(registry_pipeline.__path__, "registry_pipeline."):
        if not module.name.startswith(("registry_pipeline.def", "registry_pipeline.__main__")):
            yield module.name


def import_all() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in module_names():
            try:
                importlib.import_module(name)
            except ImportError:
                if name.startswith("registry_pipeline"):
                    raise  # a module of the standard library may be of another operating system


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a fork and return its exit code and output."""
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            os.dup2(to_out, 1)
            os.dup2(to_err, 2)
            # Those of the server belong to its own descriptors.
            sys.stdin, sys.stdout, sys.stderr = (
                os.fdopen(os.dup(n), m) for n, m in ((nothing, "r"), (1, "w"), (2, "w"))
            )
            for descriptor in (out, err, to_out, to_err):
                os.close(descriptor)
            if os.geteuid() == 0:
                os.setgroups([request["group"]])
                os.setgid(request["uid"])
                os.setuid(request["uid"])
            os.umask(request["umask"])
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            code = run(request["words"])
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:  # noqa: BLE001 - the answer must say what went wrong: nothing may come out of a fork
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(to_out)
    os.close(to_err)
    with os.fdopen(out, "rb") as stdout, os.fdopen(err, "rb") as complained:
        texts = stdout.read().decode(), complained.read().decode()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "out": texts[0], "err": texts[1]}


def main() -> None:
    import_all()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
