"""Read a repository from Python: its state, its runs, its registries, and what verifies.

    from registry_pipeline import open_repository

    repository = open_repository("tides")
    repository.status().health_state
    repository.registry("op_status_table").frame()

Nothing here changes the repository. The functions read what the commands of the same names read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from registry_pipeline.canonical import parse_instant
from registry_pipeline.config import Repository, find_repository
from registry_pipeline.errors import ConfigError, EvidenceError, NotFoundError
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pipeline.diff import RunDiff, compare_runs, find_pair, find_registry_of_run
from registry_pipeline.pipeline.health_page import read_days
from registry_pipeline.pipeline.log import read_log
from registry_pipeline.pipeline.runs import Order, RunDocument, RunQuery, read_run_document, read_runs
from registry_pipeline.pipeline.status import inspect_with_git, read_status
from registry_pipeline.pipeline.verify import Verification, check_runs, combine_verdicts
from registry_pipeline.pointers.find_runs import find_run, list_active_runs, list_all_runs
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.sealed_input import read_sealed_report
from registry_pipeline.registries.base.values import OperationCounts
from registry_pipeline.registries.catalog import catalog_of
from registry_pipeline.registries.system_health.build import HealthCondition, HealthName
from registry_pipeline.runs.pointer_file import read_pointers
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import asdict, replace, value_type

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]


class Table(Sequence[Record]):
    """Records in their order, which can become a pandas DataFrame or an Arrow table.

    Libraries that read Arrow streams take it as it is: `pyarrow.table(records)`, `polars.DataFrame(records)`.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        """Keep the records."""
        self._records: Final = tuple(records)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Table: ...

    def __getitem__(self, index: int | slice) -> Record | Table:
        """Return a record, or some of them."""
        return Table(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records."""
        return iter(self._records)

    def __repr__(self) -> str:
        """Return the number of records and the names of their fields."""
        return f"<Table: {len(self)} records of {', '.join(self.fields()) or 'no fields'}>"

    def fields(self) -> tuple[str, ...]:
        """Return the names of all fields, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for record in self._records for name in record))

    def frame(self) -> pd.DataFrame:
        """Return the records as a DataFrame: a row each, None for what is unknown, timestamps as text."""
        import pandas as pd  # noqa: PLC0415 - most callers need records only

        columns = list(self.fields())
        rows = [[record.get(name) for name in columns] for record in self._records]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the records as an Arrow stream: columns of text, numbers and flags; a list or an object is JSON text.

        This is the PyCapsule interface of Arrow.
        """
        import duckdb  # noqa: PLC0415 - as in `frame`

        columns = {name: [record.get(name) for record in self._records] for name in self.fields()}
        types = {name: _find_column_type(values) for name, values in columns.items()}
        connection = duckdb.connect(":memory:")
        declared = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in types.items())
        connection.execute(f"CREATE TABLE records ({declared or 'empty VARCHAR'})")
        if self._records and columns:
            rows = [[_to_column_value(record.get(name), types[name]) for name in columns] for record in self._records]
            connection.executemany(f"INSERT INTO records VALUES ({', '.join('?' * len(columns))})", rows)  # noqa: S608
        return connection.table("records").__arrow_c_stream__(requested_schema)


def _find_column_type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _to_column_value(value: Any, kind: str) -> Any:
    if value is None or kind != "VARCHAR" or isinstance(value, str):
        return value
    return json.dumps(value)


@value_type
class RepositoryStatus:
    """The health state with its conditions, the registries, the operations and the findings."""

    health_state: HealthName
    conditions: tuple[HealthCondition, ...]
    # As `registries` of `status --json`.
    registries: Table
    # None if no op_status_table is active.
    operations: OperationCounts | None
    # The number of run folders by seal state.
    runs_by_seal: Mapping[str, int]
    findings: tuple[Finding, ...]


@value_type
class ActiveRegistry:
    """The active snapshot of a registry, verified: the run, its root, and its files by name."""

    registry_id: str
    ref: SealedRef
    files: Mapping[str, bytes]
    relpath: str

    @property
    def run_id(self) -> str:
        """The run that the pointer file names."""
        return self.ref.run_id

    @property
    def root_sha256(self) -> str:
        """The root hash of that run."""
        return self.ref.manifest_sha256

    def document(self) -> Any:
        """Return the main artifact: the value of a JSON document, or the records of JSON lines.

        Raises:
            NotFoundError: it is neither.
        """
        data = self.files[self.relpath]
        if self.relpath.endswith(".jsonl"):
            return [json.loads(line) for line in data.splitlines() if line]
        if self.relpath.endswith(".json"):
            return json.loads(data)
        raise NotFoundError(f"{self.relpath} is no JSON document", "read its bytes from `files`")

    def records(self) -> Table:
        """Return the records of the main artifact; a document that is no list is one record."""
        document = self.document()
        return Table(document if isinstance(document, list) else [document])

    def frame(self) -> pd.DataFrame:
        """Return `records` as a DataFrame."""
        return self.records().frame()


class OpenRepository:
    """A repository that is open for reading; every call reads its present state."""

    def __init__(self, repository: Repository) -> None:
        """Read this repository."""
        self._repository: Final = repository

    @property
    def root(self) -> Path:
        """The root of the repository."""
        return self._repository.root

    def status(self, *, now: datetime | None = None) -> RepositoryStatus:
        """Return the state of the repository at a moment, by default now; active runs and the chain are verified."""
        status = read_status(self._repository, _find_now(now))
        inspection = status.inspection
        return RepositoryStatus(
            health_state=inspection.health.state,
            conditions=inspection.health.conditions,
            registries=Table(status.registries),
            operations=inspection.operations,
            runs_by_seal=status.count_by_state(),
            findings=status.findings,
        )

    def runs(
        self,
        *,
        operation: str | None = None,
        option: str | None = None,
        state: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        own: bool = False,
        order: Order = "newest",
        limit: int = 0,
    ) -> Table:
        """Return the records of the active run registry that match, without the runs of this tool unless `own`.

        Raises:
            NotFoundError: no run registry is active. EvidenceError: it does not verify. ConfigError: a time is invalid.
        """
        query = RunQuery(
            operations=frozenset(filter(None, [operation])),
            options=frozenset(filter(None, [option])),
            states=frozenset(filter(None, [state])),
            since=_parse_time(since),
            until=_parse_time(until),
            without_own=None if own else self._repository.config.publish_root,
        )
        return Table(read_runs(self._repository, query, order, limit).records)

    def verify(self, *runs: str, every: bool = False, jobs: int | None = None) -> Verification:
        """Verify runs by reading every byte; without names the active runs, or with `every` all run folders.

        The pointer file and the activation chain are verified too. Nothing to verify has the verdict `none`.

        Raises:
            NotFoundError: a name matches no run, or several.
        """
        repository = self._repository
        named = [find_run(repository, word) for word in runs]
        others = [] if runs and not every else (list_all_runs if every else list_active_runs)(repository)
        listed = [run for run in others if run not in named]
        processes = jobs or os.cpu_count() or 1
        checked = [run.verdict for run in check_runs([*named, *listed], repository, jobs=processes)]
        _, inspection, findings = inspect_with_git(repository, _find_now(None))
        result = combine_verdicts(
            checked[: len(named)],
            checked[len(named) :],
            findings,
            require_sealed=False,
            marked_bad=inspection.chain.marked_bad,
        )
        return replace(result, verified=any(v.verdict in ("pass", "fail") for v in checked))

    def show(self, run: str, registry: str | None = None) -> RunDocument:
        """Return a run with its verdict, inputs and files; `run` is a word as in `registry-pipeline show`."""
        return read_run_document(self._repository, find_run(self._repository, run, registry))

    def diff(self, first: str, second: str | None = None, *, registry: str | None = None) -> RunDiff:
        """Return the differences between two runs; without `second` those to the active run of the registry.

        Raises:
            NotFoundError: a name matches no run. EvidenceError: one does not verify. ConfigError: of two registries.
        """
        repository, catalog = self._repository, catalog_of(self._repository)
        before = find_run(repository, first, registry)
        if second is not None:
            return compare_runs(catalog, before, find_run(repository, second, registry))
        registry_id = registry or find_registry_of_run(catalog, before)
        if registry_id is None:
            raise ConfigError(f"{first} belongs to no registry", "name the run to compare it with")
        return compare_runs(catalog, *find_pair(repository, before, registry_id))

    def log(self, registry: str | None = None, *, limit: int = 0) -> Table:
        """Return activations and builds, the newest first, as `log --json`."""
        return Table(read_log(self._repository, registry, limit))

    def registry(self, registry_id: str) -> ActiveRegistry:
        """Return the active snapshot of a registry, verified.

        Raises:
            NotFoundError: there is no such registry, or no run of it is active. EvidenceError: the run does not verify.
        """
        spec = catalog_of(self._repository).spec_of(registry_id)
        ref = read_pointers(self._repository).active(registry_id)
        if ref is None:
            raise NotFoundError(f"no run of {registry_id} is active", "run `registry-pipeline build`")
        report = read_sealed_report(self._repository, spec, ref)
        return ActiveRegistry(registry_id, ref, report.kept, ref.relpath or next(iter(sorted(report.kept)), ""))

    def history(self, *, now: datetime | None = None) -> Table:
        """Return a record for each of the last 120 days that is sealed and verifies, the oldest first."""
        days = read_days(self._repository, _find_now(now).date())
        return Table([asdict(day) | {"day": str(day.day)} for day in days])

    def anchor(self) -> str | None:
        """Return the root hash of the last activation record, None if there is none; raises as `verify`."""
        chain = read_chain_state(self._repository)
        if chain.refuses:
            raise EvidenceError("the activation chain has an error", "run `registry-pipeline verify --chain`")
        return None if chain.head is None else chain.head.root


def open_repository(path: Path | str | None = None) -> OpenRepository:
    """Open a repository for reading: the folder at `path`, else the one that the command line would use.

    Raises:
        NotFoundError: there is none. ConfigError: its toml file is invalid.
    """
    return OpenRepository(find_repository(None if path is None else Path(path)))


def _find_now(now: datetime | None) -> datetime:
    if now is None:
        return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - an interface reads the clock
    if now.tzinfo is None:
        raise ConfigError(f"{now} has no time zone", "pass a datetime with a zone, such as UTC")
    return now.astimezone(UTC)


def _parse_time(moment: datetime | str | None) -> datetime | None:
    """Return a moment; a text is a UTC day or an instant with a zone."""
    if moment is None or isinstance(moment, datetime):
        return None if moment is None else _find_now(moment)
    parsed = parse_instant(f"{moment}T00:00:00Z" if len(moment) == len("2026-03-01") else moment)
    if parsed is None:
        raise ConfigError(f"{moment!r} is no time", "use 2026-03-01 or 2026-03-01T12:00:00Z")
    return parsed
