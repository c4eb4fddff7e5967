"""The words that commands print beside the codes of findings: verdicts, states, and the starts of lines.

A row has three columns: the word as it is printed, its meaning, and a heading of docs/reference/specification.md.
`registry-pipeline explain WORD` prints a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.values import value_type


@value_type
class WordRow:
    """One row of the table."""

    word: str
    meaning: str
    clause: str


# fmt: off
_ROWS: Final = (
    # Verdicts, and the states of seals.
    ("pass", "every check passed", "Verification"),
    ("fail", "at least one check failed; the findings say which", "Verification"),
    ("partial", "the folder has some of the seal files, but not all: sealing was interrupted, or a file was removed", "Seal states"),
    ("unsealed", "the folder has no seal file, so nothing can be verified", "Seal states"),
    ("sealed", "the folder has both seal files; only `verify` says whether they match its content", "Seal states"),
    ("none", "nothing existed that could be verified, which is neither a pass nor a failure", "Verification"),
    ("missing", "the pointer names a run whose folder does not exist", "Pointer file"),
    ("warn", "every check passed, with warnings", "Verification"),
    ("legacy", "the run has no envelope, or names no operation", "run_registry"),
    ("warned", "the run registry has a warning about the run", "run_registry"),
    ("archived", "the folder of the run was removed, and an archive of `archives` in registry-pipeline.toml contains it", "Archived runs"),
    # The lines of `export` and `import`.
    ("exported", "the runs that were written into the archive, which was read back and verified", "Export"),
    ("left", "the number of runs that were not exported, and why", "Export"),
    ("removable", "the folders that their owner may remove after the steps above; no command deletes them", "Export"),
    ("importable", "a run of the archive whose folder is missing, so that `import` would make it", "Import"),
    ("imported", "a run of the archive whose folder was made", "Import"),
    ("exists", "a run of the archive whose folder exists with the same root hash; it was skipped", "Import"),
    # The lines of `attest`.
    ("attested", "the run that was verified and signed, with its root hash", "Attestations"),
    ("key", "the key that signed: its type and fingerprint, and its id in the envelope", "Attestations"),
    # The table and the lines of `build`.
    ("moved", "the registry has a new run, and its pointer was moved to it", "Activation"),
    ("proposed", "limits for `[stale_days]` that fit how often operations run", "op_status_table"),
    ("unchanged", "the content is that of an earlier run, so no new run was sealed", "Unchanged registries"),
    ("up", "up to date: no registry has changed since its active run, so nothing was sealed", "Unchanged registries"),
    ("dry", "the command printed what it would do, and wrote nothing", "Files that commands write"),
    ("would", "what the command would do without --dry-run", "Files that commands write"),
    ("stays", "a run was sealed, and no pointer was moved to it", "Activation"),
    ("activated", "the number of pointers that moved, and the activation record that says so", "Activation"),
    ("replaced", "a run that was active before this build and that did not verify, or belongs to another repository", "Activation"),
    ("refused", "nothing was changed; the findings say why", "Activation"),
    # Health states.
    ("HEALTHY", "no condition degrades the repository", "Health states"),
    ("DEGRADED_NON_BLOCKING", "something differs from what is expected, and nothing that is active is invalid", "Health states"),
    ("UNKNOWN", "what is needed to know the state is not active, so something worse may be hidden", "Health states"),
    ("DEGRADED_BLOCKING", "an active run is invalid or missing", "Health states"),
    ("RECOVERY_REQUIRED", "the pointer file or the chain has an error, and nothing can be activated until it is repaired", "Health states"),
    # The lines of `status`.
    ("active", "the runs that the pointer file names; no run is active because of its name or age", "Pointer file"),
    ("changed", "the last change of the pointers: when, by whom, which registries and why; in `diff`, what differs in both runs", "Activation record"),
    ("since", "the number of run folders whose names are later than the last change of the pointers", "Run id"),
    ("not", "the newest run of a registry is not the active one", "Activation"),
    ("outdated", "ages in the active op_status_table are those of an earlier day; a build counts them again", "system_health_report"),
    ("next", "the command to run next", "Health states"),
    ("operations", "the operations of the active op_status_table, counted by state", "op_status_table"),
    ("drift", "of an operation: its last run was of another commit, or of a dirty tree; of the repository: a version differs from the expected one", "drift_signals"),
    ("C3", "a coverage level, from C0 (not stated) to C5: operations from C3 on count as enforced", "Operations catalog"),
    ("runs", "the run folders in all run roots, counted by their seal files; nothing is verified", "Seal states"),
    ("growth", "the runs of this tool: how many folders, bytes and seconds of scan time builds added", "Growth"),
    ("month", "the folders, bytes and scan time of the runs of this tool, by the month in their names", "Growth"),
    # The lines of `verify`, `log`, `show`, `diff` and `doctor`.
    ("inputs", "the number of runs that were followed because others were built from them", "Inputs"),
    ("signed", "a record or run with signatures, and by whom; then how many there are, and how many others", "Signatures"),
    ("anchored", "up to which activation record the anchors of a kind cover the chain", "Anchor"),
    ("waiting", "a request for a time stamp to which no authority has answered yet", "Anchor"),
    ("baseline", "the number of run folders of a git commit that were compared", "Run history"),
    ("built", "a run that a build sealed; as a kind, a registry that is computed from others or from the repository", "Registry table"),
    ("activate", "an activation record that moved pointers to new runs", "Activation record"),
    ("rollback", "an activation record that moved pointers back", "Rollback"),
    ("mark_bad", "an activation record by which a run can never be activated again", "Marking a run bad"),
    ("init", "the first activation record of a chain", "Activation record"),
    ("void", "an activation record that takes others out of the chain", "Recovery"),
    ("checkpoint", "an activation record that says what all earlier ones say", "Chain"),
    ("recorded", "the activation record of this change", "Activation record"),
    ("upstream", "a run that this one was built from", "Inputs"),
    ("previous", "a run that this one was compared with, or that it continues", "Inputs"),
    ("from", "the older of the two compared runs", "Inputs"),
    ("to", "the newer of the two compared runs", "Inputs"),
    ("+", "in the newer run only", "Inputs"),
    ("-", "in the older run only; in a table, not applicable", "Inputs"),
    ("~", "in both runs, with other content", "Inputs"),
    ("files", "the number of files that differ between the two compared runs", "Inputs"),
    ("nothing", "there is nothing to report or to change; the rest of the line says what was looked for", "Recovery"),
    ("fixed", "a repair that `doctor --fix` made", "Recovery"),
    ("--fail-on", "whether a condition of this option failed, passed, or is unknown", "Exit codes"),
    # The lines of `seal` and `init`.
    ("sealable", "the folder can be sealed; nothing was written", "Sealing existing folders"),
    ("found", "the run roots that a search of the repository found", "Repository"),
    ("written", "the files that the command made or changed", "Files that commands write"),
    ("adopted", "the pointer file of an older tool now has an activation record", "Recovery"),
    # The states of pointer file and chain.
    ("committed", "the pointer file has the state of the last activation record", "Chain"),
    ("pending", "an activation record was sealed, and the pointer file was not replaced yet", "Chain"),
    ("rewound", "the pointer file has an older state than the last activation record", "Chain"),
    ("edited", "the pointer file does not have the state of any activation record", "Chain"),
    ("broken", "an activation record does not verify, or is not linked to the chain", "Chain"),
    ("lost", "this program wrote the pointer file, and every activation record is missing", "Chain"),
    ("not_chained", "the pointer file has no activation record yet", "Chain"),
    # The kinds of registries.
    ("captured", "a registry that is a sealed copy of a document", "Captured registries"),
    ("rendered", "a registry, or a report, that is made from the active runs and is never active itself", "system_health_report"),
    ("record", "the registry of the changes of the pointer file", "Activation record"),
    ("collection", "a registry of many members, each sealed by itself", "Registry table"),
    ("external", "a registry outside of the repository, which proves nothing about it", "Registry table"),
    # States of operations.
    ("observed", "at least one run names the operation", "op_status_table"),
    ("stale", "the last run of the operation is as old as its limit in `[stale_days]`, or older", "op_status_table"),
    ("drifting", "the code of the operation changed since its latest run", "op_status_table"),
    ("unobserved", "no run names the operation, and every run names another one", "op_status_table"),
    # Severities.
    ("error", "the severity of a finding that makes a verdict fail", "Findings"),
    ("warning", "the severity of a finding that needs attention and fails nothing", "Findings"),
    ("info", "the severity of a finding that needs no action", "Findings"),
)
# fmt: on

WORDS: Final[Mapping[str, WordRow]] = MappingProxyType({row[0]: WordRow(*row) for row in _ROWS})
"""Every row of the table by its word."""
