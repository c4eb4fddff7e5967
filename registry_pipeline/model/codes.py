"""The table of findings: every way in which evidence can fail, in one place (SPEC 2.2, 2.3, 4.1, 5, 6, 9-11).

A new way to fail starts as a row here, then a case, then code. `explain CODE` prints a row. The first word of the
clause names the contract; it also chooses the word that opens a text line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.model import codes_entries, codes_roles, codes_run_index
from registry_pipeline.model.finding import CodeRow, Finding, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

_REBUILD: Final = "rebuild it; never edit a sealed run"
_OLD: Final = "the folder was not sealed by this tool or was altered; rebuild it"
_NAME: Final = "rename the file before sealing"

_SEAL: Final = (
    (
        "FOLDER_NOT_DIRECTORY",
        _E,
        "folder",
        "the run is not a real directory",
        "name the run folder itself, not a link to it",
    ),
    ("NOT_REGULAR", _E, "tree", "neither a regular file nor a directory: {detail}", _REBUILD),
    ("TREE_TOO_DEEP", _E, "tree", "directories are nested deeper than 64", _REBUILD),
    ("UNLISTED_DIR", _E, "tree", "an empty directory, which no manifest can list", _REBUILD),
    ("UNLISTED_FILE", _E, "tree", "a file that the manifest does not list", _REBUILD),
    (
        "WARN_HARDLINK",
        _W,
        "tree",
        "the file has more than one name: a change through the other would break the seal",
        "copy the file instead of linking it",
    ),
    ("UNREADABLE", _E, "tree", "cannot be read: {detail}", "check permissions and the disk, then verify again"),
    ("RUN_JSON_MISSING", _E, "run.json", "there is no run.json", _REBUILD),
    ("RUN_JSON_NOT_REGULAR", _E, "run.json", "run.json is not a regular file", _REBUILD),
    ("RUN_JSON_TOO_LARGE", _E, "run.json", "run.json is larger than 64 MiB", _REBUILD),
    ("RUN_JSON_INVALID", _E, "run.json", "run.json is not JSON: {detail}", _REBUILD),
    ("RUN_JSON_DUPLICATE_KEY", _E, "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_NON_FINITE", _E, "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_SHAPE", _E, "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_NOT_SEALED", _E, "run.json", "the manifest does not list run.json", _REBUILD),
    (
        "RUN_ID_FOLDER_MISMATCH",
        _E,
        "run.json",
        "run.json names another run than its folder",
        "a renamed folder is not the run that was sealed; restore its name",
    ),
    ("MANIFEST_JSON_MISSING", _E, "manifest.json", "there is no manifest.json", _REBUILD),
    ("MANIFEST_JSON_NOT_REGULAR", _E, "manifest.json", "manifest.json is not a regular file", _REBUILD),
    ("MANIFEST_JSON_TOO_LARGE", _E, "manifest.json", "manifest.json is larger than 64 MiB", _REBUILD),
    ("MANIFEST_JSON_INVALID", _E, "manifest.json", "manifest.json is not JSON: {detail}", _REBUILD),
    ("MANIFEST_JSON_DUPLICATE_KEY", _E, "manifest.json", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_JSON_NON_FINITE", _E, "manifest.json", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_SHAPE", _E, "manifest.json", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_BYTES", _E, "manifest.json", "bytes is not a whole number from 0 to 2^53-1", _REBUILD),
    ("MANIFEST_SHA256_FORM", _E, "manifest.json", "sha256 is not 64 lower-case hexadecimal digits", _REBUILD),
    ("MANIFEST_ORDER", _E, "manifest.json", "entries are not strictly ascending by relpath", _REBUILD),
    (
        "MANIFEST_NOT_CANONICAL",
        _E,
        "manifest.json",
        "manifest.json is not the canonical text of its own content",
        _REBUILD,
    ),
    ("MANIFEST_PATH_TYPE", _E, "relpath", "relpath is not a non-empty string", _REBUILD),
    ("MANIFEST_PATH_NOT_UTF8", _E, "relpath", "the path cannot be written in UTF-8", _NAME),
    ("MANIFEST_PATH_TOO_LONG", _E, "relpath", "the path is longer than 1024 bytes, or a part of it than 255", _NAME),
    ("MANIFEST_PATH_CONTROL_CHAR", _E, "relpath", "the path has a control or invisible character", _NAME),
    (
        "MANIFEST_PATH_BAD_CHAR",
        _E,
        "relpath",
        "the path has a character that some file systems refuse: {detail}",
        _NAME,
    ),
    ("MANIFEST_PATH_ABSOLUTE", _E, "relpath", "the path is absolute", _NAME),
    ("MANIFEST_PATH_NOT_NFC", _E, "relpath", "the path is not in Unicode form NFC", _NAME),
    (
        "MANIFEST_PATH_DOUBLE_SPACE",
        _E,
        "relpath",
        "the path has two spaces in a row, which the hash file uses as its separator",
        _NAME,
    ),
    ("MANIFEST_PATH_DOT_COMPONENT", _E, "relpath", "a part of the path is empty, `.` or `..`", _NAME),
    (
        "MANIFEST_PATH_EDGE_SPACE_OR_DOT",
        _E,
        "relpath",
        "a part of the path begins or ends with a blank, or ends with a dot",
        _NAME,
    ),
    ("MANIFEST_PATH_DOS_DEVICE", _E, "relpath", "a part of the path is a device name on some systems", _NAME),
    ("MANIFEST_PATH_RESERVED", _E, "relpath", "the name is reserved for the seal itself", _NAME),
    ("PATH_COLLISION", _E, "relpath", "the path collides with {detail} where case is ignored", _NAME),
    ("FILE_MISSING", _E, "content", "a file that the manifest lists is missing", _REBUILD),
    ("SIZE_MISMATCH", _E, "content", "the file has another size than was sealed", _REBUILD),
    ("HASH_MISMATCH", _E, "content", "the file has another content than was sealed", _REBUILD),
    (
        "FILE_SPARSE",
        _E,
        "content",
        "it is nearly all holes, and hashing them could take for ever: stored are {detail}",
        "store it in full (`cp --sparse=never`) and verify again",
    ),
    (
        "FILE_CHANGED_WHILE_READING",
        _E,
        "content",
        "the file changed while it was read",
        "stop what writes to it and verify again",
    ),
    (
        "SEAL_BROKEN_EOL",
        _I,
        "content",
        "the content matches once its line ends are read as {detail}: a checkout converted them",
        "set `<publish_root>/** -text` in .gitattributes and check the folder out again",
    ),
    ("MANIFEST_SHA256_MISSING", _E, "MANIFEST.sha256", "there is no MANIFEST.sha256", _REBUILD),
    ("MANIFEST_SHA256_NOT_REGULAR", _E, "MANIFEST.sha256", "MANIFEST.sha256 is not a regular file", _REBUILD),
    ("MANIFEST_SHA256_TOO_LARGE", _E, "MANIFEST.sha256", "MANIFEST.sha256 is larger than 64 MiB", _OLD),
    ("HASHFILE_NOT_UTF8", _E, "MANIFEST.sha256", "MANIFEST.sha256 is not UTF-8", _OLD),
    ("HASHFILE_NEWLINES", _E, "MANIFEST.sha256", "MANIFEST.sha256: {detail}", _OLD),
    (
        "WARN_CRLF",
        _W,
        "MANIFEST.sha256",
        "every line of MANIFEST.sha256 ends in CRLF: a checkout converted it",
        "set `<publish_root>/** -text` in .gitattributes and check the folder out again",
    ),
    ("HASHFILE_LINE_FORM", _E, "MANIFEST.sha256", "the line is not `<sha256>  <relpath>`", _OLD),
    (
        "HASHFILE_ROOT_LINE",
        _E,
        "MANIFEST.sha256",
        "there must be exactly one ROOT_SHA256 line, the last: {detail}",
        _OLD,
    ),
    ("HASHFILE_DUPLICATE_LINE", _E, "MANIFEST.sha256", "the path stands in MANIFEST.sha256 twice", _OLD),
    ("HASHFILE_CONTENT", _E, "MANIFEST.sha256", "MANIFEST.sha256 and manifest.json disagree: {detail}", _OLD),
    ("HASHFILE_ORDER", _E, "MANIFEST.sha256", "the lines are in none of the three known orders", _OLD),
    ("ROOT_MISMATCH", _E, "root", "ROOT_SHA256 is not the hash of the file lines", _REBUILD),
    ("UNSEALED", _I, "state", "the folder has no seal file", "seal runs with this tool, or exclude the folder"),
    (
        "PARTIAL",
        _E,
        "state",
        "the folder has some seal files and lacks others",
        "it was left half-written or a seal file was removed; rebuild it",
    ),
)

_SCHEMA: Final = (
    (
        "ENVELOPE_INVALID",
        _E,
        "schema 2.3",
        "run.json does not have the envelope of a registry run: {detail}",
        "rebuild the registry",
    ),
    ("ARTIFACT_MISSING", _E, "schema 2.3", "the registry's artifact is not in the folder", "rebuild the registry"),
    (
        "SCHEMA_VIOLATION",
        _E,
        "schema 2.3",
        "{detail}",
        "rebuild the registry with a builder of the same version as the schema",
    ),
    ("SCHEMA_UNPARSABLE", _E, "schema 2.3", "the artifact cannot be parsed: {detail}", "rebuild the registry"),
    (
        "SCHEMA_UNKNOWN",
        _E,
        "schema 2.3",
        "no shipped schema judges {detail}",
        "use a version of registry-pipeline that knows this registry",
    ),
    (
        "INPUT_REF_MISSING",
        _E,
        "schema 2.3",
        "an input that run.json names is gone: {detail}",
        "restore the run folder from a backup or another clone",
    ),
    (
        "INPUT_ROOT_MISMATCH",
        _E,
        "schema 2.3",
        "an input that run.json names has another root now: {detail}",
        "the input was altered after it was used; rebuild from a sound one",
    ),
    (
        "INPUT_NOT_VERIFIED",
        _E,
        "schema 2.3",
        "an input that run.json names does not verify: {detail}",
        "see `registry-pipeline verify {run_id}`, then rebuild from a sound one",
    ),
)

_POINTER: Final = (
    ("POINTER_FILE_MISSING", _W, "pointer 5", "there is no pointer file", "run `registry-pipeline init`"),
    (
        "POINTER_SHAPE",
        _E,
        "pointer 5",
        "the pointer file: {detail}",
        "`registry-pipeline doctor --fix` writes back the state that is in force",
    ),
    (
        "POINTER_DUPLICATE_KEY",
        _E,
        "pointer 5",
        "the pointer file: {detail}",
        "`registry-pipeline doctor --fix` writes back the state that is in force",
    ),
    (
        "POINTER_DUPLICATE",
        _E,
        "pointer 5",
        "two pointers for one registry",
        "`registry-pipeline doctor --fix` writes back the state that is in force",
    ),
    (
        "POINTER_TRISTATE",
        _E,
        "pointer 5",
        'active_ref_known is not true, false or "unknown"',
        "`registry-pipeline doctor --fix` writes back the state that is in force",
    ),
    (
        "POINTER_REF",
        _E,
        "pointer 5",
        "active_ref is missing where the pointer is known",
        "activate a run for this registry",
    ),
    (
        "POINTER_RUN_ROOT",
        _E,
        "pointer 5",
        "run_root is not one of the configured run roots",
        "activate a run under a configured run root",
    ),
    (
        "POINTER_RUN_ID_FORM",
        _E,
        "pointer 5",
        "run_id is not the name of one folder",
        "activate a run by its folder name",
    ),
    (
        "POINTER_SHA_FORM",
        _E,
        "pointer 5",
        "manifest_sha256 is not 64 lower-case hexadecimal digits",
        "activate the run again",
    ),
    ("POINTER_PATH", _E, "pointer 5", "relpath is not a safe relative path", "activate the run again"),
    (
        "POINTER_NOT_PAYLOAD",
        _E,
        "pointer 5",
        "relpath does not name a sealed artifact of the run",
        "activate the run again",
    ),
    ("POINTER_ASOF", _E, "pointer 5", "active_asof_utc: {detail}", "activate the run again"),
    (
        "POINTER_RUN_MISSING",
        _E,
        "pointer 5",
        "the active run's folder is not there",
        "fetch the run folder, or `registry-pipeline build` makes and activates a new one",
    ),
    (
        "POINTER_SEAL_INVALID",
        _E,
        "pointer 5",
        "the active run does not verify: {detail}",
        "rebuild the registry and activate the new run",
    ),
    (
        "POINTER_ROOT_MISMATCH",
        _E,
        "pointer 5",
        "the active run has another root than the pointer says",
        "rebuild the registry and activate the new run",
    ),
    (
        "POINTER_REGISTRY_RUN_MISMATCH",
        _E,
        "pointer 5",
        "the active run belongs to another registry",
        "activate a run of this registry",
    ),
    (
        "POINTER_UNKNOWN_REGISTRY",
        _E,
        "pointer 5",
        "no registry of that name has a pointer",
        "`registry-pipeline registries` lists them",
    ),
    (
        "POINTER_MARKED_BAD",
        _E,
        "pointer 5",
        "the active run is marked bad: {detail}",
        "`registry-pipeline rollback --reason TEXT`, or activate a good run",
    ),
    (
        "POINTER_FOREIGN",
        _E,
        "pointer 5",
        "the active run belongs to another repository; {detail}",
        "`registry-pipeline build {registry}` makes a run of this repository; `activate {registry} {run_id} --allow-foreign --reason TEXT` accepts this one",
    ),
    (
        "POINTER_ORIGIN_UNKNOWN",
        _W,
        "pointer 5",
        "the active run states a repository_id and this repository has none, so they cannot be compared",
        "write the line `repository_id` back into registry-pipeline.toml; where there never was one, `registry-pipeline init` adds it",
    ),
    (
        "POINTER_INPUTS_MIXED",
        _W,
        "pointer 5",
        "built from another {detail} than the active one",
        "`registry-pipeline build {registry}` builds what depends on it too",
    ),
)

_CHAIN: Final = (
    (
        "CHAIN_NOT_STARTED",
        _I,
        "chain 5",
        "the pointer file is not yet chained",
        "the next change seals an `init` record first",
    ),
    (
        "CHAIN_LOST",
        _E,
        "chain 5",
        "the pointer file was written by this tool, and not one of its activation records exists",
        "restore the record folders from a backup or another clone; if they are lost for good, `registry-pipeline init --restart-chain --reason TEXT` seals a new first record that names the loss",
    ),
    (
        "CHAIN_RESTARTED",
        _I,
        "chain 5",
        "the chain was restarted here, and earlier records prove nothing any more: {detail}",
        "no action needed; compare the active runs with what you expect",
    ),
    (
        "CHAIN_RUN_MISSING",
        _E,
        "chain 5",
        "{detail} moved a pointer to this run, and its folder does not exist",
        "restore the folder from a backup or another clone; run folders are never deleted",
    ),
    (
        "CHAIN_RUN_RESEALED",
        _E,
        "chain 5",
        "{detail} moved a pointer to this run when it had another root",
        "restore the folder that was activated from a backup or another clone",
    ),
    (
        "CHAIN_RECORD_MISSING",
        _E,
        "chain 5",
        "an activation record is missing: {detail}",
        "restore the record's folder from a backup or another clone; if it is lost for good, `registry-pipeline init --restart-chain --reason TEXT`",
    ),
    (
        "CHAIN_RECORD_EDITED",
        _E,
        "chain 5",
        "an activation record does not verify: {detail}",
        "restore the record's folder from a backup or another clone",
    ),
    (
        "CHAIN_DETACHED",
        _E,
        "chain 5",
        "an activation record is not linked to the chain: {detail}",
        "restore the records that are missing, or `registry-pipeline doctor --fix --void RECORD --reason TEXT` takes it out",
    ),
    (
        "CHAIN_FORK",
        _E,
        "chain 5",
        "two activation records have one predecessor: {detail}",
        "`registry-pipeline doctor --fix --void RECORD --reason TEXT` takes one of the branches out",
    ),
    (
        "CHAIN_PENDING",
        _E,
        "chain 5",
        "a change was sealed and the pointer file was not yet replaced",
        "`registry-pipeline doctor --fix --finish` completes it, `doctor --fix --void --reason TEXT` takes it out",
    ),
    (
        "POINTER_REWOUND",
        _E,
        "chain 5",
        "the pointer file is an older state than the last record",
        "`registry-pipeline doctor --fix` writes back the state that the last record keeps",
    ),
    (
        "POINTER_EDITED",
        _E,
        "chain 5",
        "the pointer file is not the state that any record left",
        "`registry-pipeline doctor --fix` writes back the state that the last record keeps",
    ),
)

_ACTIVATION: Final = (
    (
        "ACTIVATE_NOT_VERIFIED",
        _E,
        "activation 5",
        "the run does not verify: {detail}",
        "rebuild the registry; never activate what does not verify",
    ),
    (
        "ACTIVATE_OUTSIDE_ROOTS",
        _E,
        "activation 5",
        "the run is not directly under a configured run root",
        "activate a run under one of the run roots",
    ),
    (
        "ACTIVATE_NO_POINTER",
        _E,
        "activation 5",
        "{detail} has no active pointer by design",
        "`registry-pipeline registries` tells why",
    ),
    (
        "ACTIVATE_OTHER_REGISTRY",
        _E,
        "activation 5",
        "the run belongs to another registry",
        "name the registry of the run",
    ),
    ("ACTIVATE_MARKED_BAD", _E, "activation 5", "the run is marked bad: {detail}", "activate a good run"),
    (
        "ACTIVATE_FOREIGN",
        _E,
        "activation 5",
        "the run belongs to another repository",
        "`registry-pipeline build {registry}` makes a run of this repository; `activate {registry} {run_id} --allow-foreign --reason TEXT` accepts this one",
    ),
    (
        "ACTIVATE_ORIGIN_UNKNOWN",
        _W,
        "activation 5",
        "whether the run belongs to this repository cannot be compared: {detail}",
        "`registry-pipeline init` gives a repository its id; runs that are built from then on state it",
    ),
    (
        "ACTIVATE_OLDER",
        _E,
        "activation 5",
        "the run describes an older instant than the active one",
        "going back is `registry-pipeline rollback --reason TEXT`",
    ),
    (
        "ACTIVATE_MIXED",
        _E,
        "activation 5",
        "after this move {detail}",
        "`registry-pipeline build {registry}` builds what depends on it too; or --allow-mixed with a reason",
    ),
    (
        "ACTIVATE_VERDICT_STALE",
        _E,
        "activation 5",
        "the verdict is of another content than the folder has now",
        "verify again",
    ),
    (
        "ACTIVATE_ROLLED_BACK",
        _W,
        "proposal 5",
        "a rollback moved away from this run, so that it is not proposed again",
        "`registry-pipeline build {registry}` makes a new one; only `activate` puts this one back",
    ),
)

_DOCTOR: Final = (
    (
        "REPORT_NOT_RENDERED",
        _W,
        "render 4.4",
        "the pointers moved, and the health report could not be rendered: {detail}",
        "done; only the report is missing; do not repeat the command: fix the cause, and the next build renders it",
    ),
    (
        "HASHES_VERIFIED",
        _I,
        "hashes 2.2",
        "{detail} the list in MANIFEST.sha256, which is no seal: no root is claimed",
        "seal runs with this tool; nothing tells whether the list itself was changed",
    ),
    (
        "CHAIN_ANCHOR_MISSING",
        _E,
        "anchor 5",
        "no activation record has the expected hash: the chain was cut or rewritten since it was noted",
        "restore the run folders from a backup or another clone; nothing here can be trusted until then",
    ),
    (
        "RUN_MARKED_BAD",
        _W,
        "marked 5",
        "the run is marked bad: {detail}",
        "it can never be activated; build a new one",
    ),
    (
        "DOCTOR_STAGING_LEFTOVER",
        _W,
        "doctor 2.4",
        "a process that is gone left a folder that was never published",
        "`registry-pipeline doctor --fix` moves it to quarantine",
    ),
    (
        "DOCTOR_INTENT_LEFTOVER",
        _W,
        "doctor 5",
        "the intent of a change that is in force, or that was never sealed, is left over",
        "`registry-pipeline doctor --fix` removes it; so does the next change",
    ),
    (
        "DOCTOR_TEMPORARY_LEFTOVER",
        _W,
        "doctor 5",
        "a killed writer left a temporary file, which never took the name of the file that it was for",
        "`registry-pipeline doctor --fix` removes it; so does the next change of that file",
    ),
    (
        "DOCTOR_LINE_ENDS",
        _W,
        "doctor 1",
        "git may convert line ends here, which breaks seals and hashes: its attribute `text` is {detail}",
        "`registry-pipeline init` writes the lines that .gitattributes lacks; a later line there must not undo them",
    ),
    (
        "DOCTOR_NOT_IGNORED",
        _W,
        "doctor 1",
        "git does not ignore this state, which is no evidence",
        "`registry-pipeline init` writes the lines that .gitignore lacks",
    ),
)

_HISTORY: Final = (
    (
        "RUN_REMOVED",
        _E,
        "history 4.1",
        "a run that {detail} has is gone",
        "restore the folder, or `registry-pipeline activate run_registry RUN --accept-removed --reason TEXT`",
    ),
    (
        "RUN_RESEALED",
        _E,
        "history 4.1",
        "a run has another root now than in {detail}",
        "restore the folder; run folders are never rewritten",
    ),
    (
        "RUN_LEFT_OUT",
        _E,
        "history 4.1",
        "a run that {lister} has is not gone, and is left out: {detail}",
        "make the folder readable in its place, then `registry-pipeline build run_registry`",
    ),
    (
        "TRACKED_MISSING",
        _E,
        "history 4.1",
        "the commit at HEAD has {detail}, and the working tree has not",
        "`git restore --source=HEAD --staged --worktree PATH` brings it back; if it is meant to go, commit that",
    ),
    (
        "RUN_HISTORY_UNKNOWN",
        _W,
        "history 4.1",
        "there is no previous run registry to compare with: {detail}",
        "the next build compares with the one that becomes active now",
    ),
    (
        "RUN_FOLDER_LINK",
        _W,
        "scan 4.1",
        "a run folder that is a link is skipped",
        "move the real folder under the run root",
    ),
    ("RUN_FOLDER_UNREADABLE", _W, "scan 4.1", "a run folder cannot be read: {detail}", "check its permissions"),
    (
        "RUN_ROOT_UNREADABLE",
        _W,
        "scan 4.1",
        "a run root cannot be read: {detail}",
        "check its permissions, or configure another run root",
    ),
)

_ADAPTER: Final = (
    (
        "ADAPTER_UNUSED",
        _W,
        "adapter 1",
        "no run folder under this root has a {detail} and no run.json",
        "mend `file` of the adapter in registry-pipeline.toml, or take the adapter out",
    ),
    (
        "ADAPTER_FIELD_NOT_FOUND",
        _W,
        "adapter 1",
        "no envelope has what the adapter looks for ({detail})",
        "mend the field of the adapter in registry-pipeline.toml, or take it out",
    ),
    (
        "ADAPTER_RUN_ID_MISMATCH",
        _W,
        "adapter 1",
        "the envelope names another run than its folder",
        "see whether the folder was copied or renamed; if that field is no folder name, take run_id out of the adapter",
    ),
)

_CONFIG: Final = (
    (
        "CONFIG_HISTORY_START",
        _I,
        "config 1",
        "history_start is not set, so that drift_signals_daily has no partitions",
        "set history_start in registry-pipeline.toml",
    ),
    (
        "CONFIG_PUBLISH_ROOT_LINK",
        _W,
        "config 1",
        "a symbolic link on the path of publish_root ({detail}): nothing can be sealed there",
        "replace the link with the folder that it points to, or set publish_root to a folder without links",
    ),
    (
        "CONFIG_GIT_UNREADABLE",
        _E,
        "config 1",
        "the commit and the state of the working tree are unknown: {detail}",
        "install git, or repair what the message names",
    ),
    (
        "DIAGNOSTICS_NOT_RECORDED",
        _I,
        "diagnostics 9",
        "{detail}",
        "the verdict stands without it; see `registry-pipeline roles diagnostics`",
    ),
    (
        "CATALOG_MISSING",
        _E,
        "catalog 4.2",
        "the document cannot be read: {detail}",
        "name an existing document in registry-pipeline.toml",
    ),
    ("CATALOG_MALFORMED", _E, "catalog 4.2", "{detail}", "mend the document"),
    (
        "CATALOG_EMPTY",
        _W,
        "catalog 4.2",
        "the document defines no operation",
        "write operations as `### OP-A01: Name` under `## Option A`",
    ),
    (
        "CATALOG_CONTRADICTION",
        _W,
        "catalog 4.2",
        "{detail}: the first definition holds",
        "make the two documents agree",
    ),
    (
        "CATALOG_OPTION_UNKNOWN",
        _W,
        "catalog 4.2",
        "{detail} has no configured option and is left out",
        "add the option to `options`, or mend the document",
    ),
)

_CAPTURE: Final = (
    (
        "CAPTURE_MISSING",
        _W,
        "capture 3",
        "the source cannot be read: {detail}",
        "restore it, or name another by {key} in registry-pipeline.toml",
    ),
    ("CAPTURE_MALFORMED", _W, "capture 3", "the source is malformed: {detail}", "mend the source file"),
    (
        "CAPTURE_VERSION_NOT_BUMPED",
        _W,
        "capture 3",
        "the content changed and its version did not",
        "raise `version` in the source file",
    ),
    (
        "CAPTURE_ENTRY_REMOVED",
        _W,
        "capture 3",
        "the active snapshot lists {detail}, and the source no longer does",
        "an applied migration stays in the ledger: put the entry back, or revert it by a migration of its own",
    ),
    (
        "CAPTURE_LATEST_INVALID",
        _W,
        "capture 3",
        "LATEST.txt names no folder beside it: {detail}",
        "let it hold one line, the name of a folder that lies beside it",
    ),
    (
        "CAPTURE_LEFT_OUT",
        _W,
        "capture 3",
        "left out of the capture: {detail}",
        "rename or move it if it belongs there",
    ),
    (
        "CAPTURE_SCHEMA_UNUSABLE",
        _W,
        "capture 1",
        "the schema that [captured.{registry}] names cannot judge: {detail}",
        "mend it, or take `schema` out of registry-pipeline.toml",
    ),
)

_DELTA: Final = (
    (
        "DELTA_PREFIX_BROKEN",
        _E,
        "delta 4.5",
        "the log does not begin with the bytes of its previous log {previous}",
        "`registry-pipeline mark-bad RUN --reason TEXT` settles it; the next build continues the log before",
    ),
    (
        "DELTA_PREVIOUS_UNKNOWN",
        _W,
        "delta 4.5",
        "that the log begins with its previous log cannot be shown: {detail}",
        "restore the previous log's folder from a backup or another clone",
    ),
    ("DELTA_LINE", _E, "delta 4.5", "the line is no edge of this log: {detail}", _REBUILD),
    (
        "DELTA_ORDER",
        _E,
        "delta 4.5",
        "the edge stands behind one of a greater registry_id and run_id that was appended with it",
        _REBUILD,
    ),
    ("DELTA_CHAIN", _E, "delta 4.5", "the edge does not lead on from the registry's edge before it", _REBUILD),
    ("DELTA_DUPLICATE", _E, "delta 4.5", "a second edge leads to the same snapshot", _REBUILD),
    (
        "DELTA_TWO_HEADS",
        _E,
        "delta 4.5",
        "each of these logs goes on as if the other were not there: {detail}",
        "keep one and take out the other, as by `registry-pipeline mark-bad {run_id} --reason TEXT`",
    ),
    (
        "DELTA_HEAD_NOT_VERIFIED",
        _E,
        "delta 4.5",
        "the log that would be continued does not verify: {detail}",
        "restore its folder, or `registry-pipeline mark-bad {run_id} --reason TEXT` to continue the log before it",
    ),
    (
        "DELTA_SNAPSHOT_NOT_VERIFIED",
        _W,
        "delta 4.5",
        "a run that belongs to a registry does not verify and is left out: {detail}",
        "see `registry-pipeline verify {run_id}`",
    ),
    (
        "DELTA_SNAPSHOT_UNKNOWN",
        _W,
        "delta 4.5",
        "a snapshot that {detail} names cannot be read, so that its changes are unknown",
        "restore the folder from a backup or another clone; what is logged stays as it is",
    ),
    (
        "DELTA_FOREIGN",
        _W,
        "delta 4.5",
        "a run of another repository is left out of the log: {detail}",
        "take the folder out of the run roots; or `registry-pipeline activate REGISTRY RUN --allow-foreign --reason TEXT` accepts it",
    ),
    (
        "DELTA_LATE",
        _W,
        "delta 4.5",
        "it arrived after the newer {detail} was logged; its edge leads from the snapshot logged last",
        "nothing is to be done: the log tells the order of arrival",
    ),
)


def _rows() -> Mapping[str, CodeRow]:
    seal = [(code, sev, f"seal 2.2 {clause}", message, hint) for code, sev, clause, message, hint in _SEAL]
    rest = [*_SCHEMA, *_DELTA, *_POINTER, *_CHAIN, *_ACTIVATION, *_DOCTOR, *_HISTORY, *_ADAPTER, *_CONFIG, *_CAPTURE]
    content = [*codes_roles.ROWS, *codes_entries.ROWS, *codes_run_index.ROWS]
    return MappingProxyType({row[0]: CodeRow(*row) for row in [*seal, *rest, *content]})


CODES: Final = _rows()
"""Every code with its row."""

COULD_NOT_CHECK: Final = frozenset({"CONFIG_GIT_UNREADABLE", "RR030"})
"""Errors that say that something could not be checked, not that it is invalid: exit code 7 instead of 3."""


def finding(
    code: str,
    path: str,
    *,
    location: str | None = None,
    expected: object = None,
    got: object = None,
    severity: Severity | None = None,
    **words: str,
) -> Finding:
    """Return the finding of a code at a place; `words` fill the message and hint of its row.

    Raises:
        KeyError: the code has no row, or a word of its message is missing (a bug of the caller).
    """
    row = CODES[code]
    return Finding(
        code=code,
        severity=row.severity if severity is None else severity,
        path=path,
        location=location,
        message=row.message.format(**words),
        expected=None if expected is None else str(expected),
        got=None if got is None else str(got),
        clause=row.clause,
        hint=row.hint.format(**words),
    )
