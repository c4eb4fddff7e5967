"""The text of a new registry-pipeline.toml: a comment for each key, and no key for what the repository lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from registry_pipeline.config import Adapter, Config, Repository
from registry_pipeline.pipeline.run_root_search import RunRoot

_HEAD: Final = """\
# What registry-pipeline reads and writes in this repository, written by `registry-pipeline init`.
# Every key is optional. Paths are relative to this file.
"""
_COMMENTS: Final = {
    "repository_id": "Distinguishes the runs of this repository from those of others. Keep it after the first build.",
    "publish_root": "Where sealed run folders are written.",
    "pointers": "The file that names the active run of each registry.",
    "operations_catalog": "Documents that define operations. The addendum has those of registry-pipeline itself.",
    "coverage_matrix": "Documents that state how far each operation is enforced.",
    "expected_versions": "The versions that this repository expects of itself.",
    "envelope_standard": "The standard that run.json follows here.",
    "threshold_sources": "Files that are searched in this order for the threshold version.",
    "history_start": "First day of the history of drift signals: the day of the first commit.",
}


def format_config(
    repository: Repository,
    repository_id_line: str,
    addenda: tuple[str, str],
    roots: Sequence[RunRoot],
    first_day: date | None,
) -> str:
    """Return the text of the toml: the run roots, the addenda (catalog, matrix), and the documents that exist."""
    default = repository.config

    def existing(*paths: str) -> tuple[str, ...]:
        return tuple(path for path in paths if (repository.root / path).exists())

    lines = {
        "repository_id": repository_id_line,
        "run_roots": None,
        "publish_root": f"publish_root = {_format_toml(default.publish_root)}",
        "pointers": f"pointers = {_format_toml(default.pointers)}",
        "operations_catalog": _format_list("operations_catalog", (*existing(*default.operations_catalog), addenda[0])),
        "coverage_matrix": _format_list("coverage_matrix", (*existing(*default.coverage_matrix), addenda[1])),
        **{
            key: f"{key} = {_format_toml(path)}"
            for key in ("expected_versions", "envelope_standard")
            for path in existing(getattr(default, key))
        },
    }
    thresholds = existing(*default.threshold_sources)
    if thresholds:
        lines["threshold_sources"] = _format_list("threshold_sources", thresholds)
    if first_day is not None:
        lines["history_start"] = f"history_start = {first_day.isoformat()}"
    parts = [
        _format_run_roots(default, roots) if line is None else f"# {_COMMENTS[key]}\n{line}\n"
        for key, line in lines.items()
    ]
    # Tables come last: a key after a table would belong to it.
    adapters = [_format_adapter(root.adapter) for root in roots if root.adapter is not None]
    return "\n".join([_HEAD, *parts, *adapters])


def _format_run_roots(default: Config, roots: Sequence[RunRoot]) -> str:
    """Return the key `run_roots` with what was found in each; as a comment if only the publish root exists."""
    others = [root.path for root in roots if root.path != default.publish_root]
    if not others:
        return (
            "# Folders whose subfolders are run folders. None was found. The defaults apply where they exist:\n"
            f"# {', '.join(default.run_roots)}. To name others:\n"
            f"# {_format_list('run_roots', (default.publish_root, 'runs'))}\n"
        )
    found = "".join(f"#   {root.path}: {root.to_text()}\n" for root in roots)
    line = _format_list("run_roots", (default.publish_root, *others))
    return f"# Folders whose subfolders are run folders. Found:\n{found}{line}\n"


def _format_adapter(adapter: Adapter) -> str:
    """Return the table of an adapter that the search inferred."""
    keys = {"root": adapter.root, "file": adapter.file, **adapter.fields()}
    return "".join(
        [
            f"# Where {adapter.file} has the facts of a run, for folders without a run.json.\n",
            "# The keys were inferred from the files that were found: check them.\n",
            "[[adapters]]\n",
            *(f"{key} = {_format_toml(text)}\n" for key, text in keys.items()),
        ]
    )


def _format_list(key: str, texts: Iterable[str]) -> str:
    return f"{key} = [{', '.join(map(_format_toml, texts))}]"


def _format_toml(text: str) -> str:
    # A basic string of TOML has the escapes of JSON, and all texts here are printable.
    return json.dumps(text, ensure_ascii=False)
