"""The table of finding codes: every problem that a command can report, one row a line.

A row has six columns:

- code: the permanent name. Programs and tests use it, so it never changes.
- severity: `_E` error, `_W` warning or `_I` info. A caller may lower it for one finding.
- family: the group of the code. It chooses the word that starts a text line (`PREFIXES` in `findings.finding`).
- clause: a heading of docs/reference/specification.md, where the rule is described.
- message: what is wrong, as a lower-case fragment without a final full stop. The caller fills the {placeholders}.
- hint: what the user can do.

To add a code: add a row here, then a case for it under `registry_pipeline_tests/cases`, then the code that reports it
with `finding("CODE", path, ...)`. `registry-pipeline explain CODE` prints a row; `make docs` writes all of them to
docs/reference/findings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from registry_pipeline.findings.finding import CodeRow, Finding, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO
# Hints that several rows share.
_REBUILD: Final = "rebuild the run; never edit a sealed run"
_PACK_AGAIN: Final = "pack the run folder again: `tar -C RUN_ROOT -czf RUN.tar.gz RUN`"
_NOT_OURS: Final = "the folder was sealed by another tool or was changed; rebuild the run"
_RENAME: Final = "rename the file before the run is sealed"
_REBUILD_REGISTRY: Final = "rebuild the registry"
_FIX_POINTERS: Final = "run `registry-pipeline doctor --fix` to restore the active state of the last record"
_RESTORE_RUN: Final = "restore the folder, or accept the loss: `registry-pipeline activate run_registry latest --accept-removed --allow-mixed --reason TEXT`, then `registry-pipeline build`"
_ACTIVATE_AGAIN: Final = "activate the run again"
_ALLOW_FOREIGN: Final = "run `registry-pipeline build` to make runs of this repository, or `registry-pipeline activate {registry} {run_id} --allow-foreign --reason TEXT` to accept this run"
_NO_EOL_CONVERSION: Final = "run `registry-pipeline init` to add `-text` for each run root to .gitattributes; then delete the folder and restore it with `git checkout -- FOLDER`"
_CORRECT_LATER: Final = "append a later record of the run with the correct value"
_REMOVE_LINE: Final = "remove the line, which is not a record, and append its record again"
_SET_CLOCK: Final = "set the clock of the machine that wrote the record"
_ADD_INSTANCE: Final = "correct the name, or run `registry-pipeline entries add --type module_instance` first"
# fmt: off
_ROWS: Final[tuple[tuple[str, Severity, str, str, str, str], ...]] = (
    # The file tree of a run folder.
    ("FOLDER_NOT_DIRECTORY", _E, "seal", "Verification", "the run is not a real directory", "pass the run folder itself, not a link to it"),
    ("NOT_REGULAR", _E, "seal", "File tree", "neither a regular file nor a directory: {detail}", _REBUILD),
    ("TREE_TOO_DEEP", _E, "seal", "File tree", "directories are nested deeper than 64 levels", _REBUILD),
    ("UNLISTED_DIR", _E, "seal", "File tree", "the directory is empty, and a manifest cannot list empty directories", _REBUILD),
    ("UNLISTED_FILE", _E, "seal", "File tree", "the manifest does not list this file", _REBUILD),
    ("WARN_HARDLINK", _W, "seal", "File tree", "the file has more than one hard link: a write through another link would break the seal", "copy the file instead of linking it"),
    ("UNREADABLE", _E, "seal", "File tree", "cannot be read: {detail}", "check the permissions and the disk, then verify again"),
    # An archive of a run folder.
    ("ARCHIVE_INVALID", _E, "seal", "Archives", "the archive cannot be verified: {detail}", _PACK_AGAIN),
    ("ARCHIVE_PATH", _E, "seal", "Archives", "the archive has an entry that cannot be unpacked; its path is {detail}", _PACK_AGAIN),
    ("ARCHIVE_DUPLICATE", _E, "seal", "Archives", "the path of the entry is that of an earlier entry, or lies below an earlier file", _PACK_AGAIN),
    ("ARCHIVE_NOT_UNPACKED", _E, "seal", "Archives", "the archive cannot be unpacked on this machine: {detail}", "set TMPDIR to a folder with enough free space, then verify again"),
    # Archives of run folders: export, import, and those that the toml names.
    ("ARCHIVE_MISSING", _E, "archive", "Archived runs", "no archive has the path in `archives` of registry-pipeline.toml", "restore the archive, correct the path, or remove it from `archives`"),
    ("ARCHIVE_OUTSIDE_ROOTS", _E, "archive", "Archived runs", "the folder {detail} of the archive is in no run root", "add its parent folder to `run_roots` in registry-pipeline.toml; pack folders with `registry-pipeline export`, or with `tar` in the root of the repository"),
    ("ARCHIVE_CONFLICT", _E, "archive", "Archived runs", "another archive contains the run {detail} with another root hash", "verify both archives, and remove the wrong one from `archives` in registry-pipeline.toml"),
    ("EXPORT_NOT_SEALED", _E, "archive", "Export", "only sealed folders are archived, and this one is {detail}", "see `registry-pipeline seal --help`"),
    ("EXPORT_RUN_NEEDED", _E, "archive", "Export", "the run must stay a folder: {detail}", "leave it out; --older-than does so by itself"),
    ("IMPORT_RUN_EXISTS", _E, "archive", "Import", "the folder exists and is not the run of the archive", "verify the folder and the archive; move the wrong folder away, then import again"),
    ("IMPORT_RECORD", _E, "archive", "Import", "the archive contains an activation record, which would change the chain", "restore records from a backup of the run root, not from an archive"),
    # run.json as a file of the seal.
    ("RUN_JSON_MISSING", _E, "seal", "run.json", "run.json is missing", _REBUILD),
    ("RUN_JSON_NOT_REGULAR", _E, "seal", "run.json", "run.json is not a regular file", _REBUILD),
    ("RUN_JSON_TOO_LARGE", _E, "seal", "run.json", "run.json is larger than 64 MiB", _REBUILD),
    ("RUN_JSON_INVALID", _E, "seal", "run.json", "run.json is not valid JSON: {detail}", _REBUILD),
    ("RUN_JSON_DUPLICATE_KEY", _E, "seal", "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_NON_FINITE", _E, "seal", "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_SHAPE", _E, "seal", "run.json", "run.json: {detail}", _REBUILD),
    ("RUN_JSON_NOT_SEALED", _E, "seal", "run.json", "the manifest does not list run.json", _REBUILD),
    ("RUN_ID_FOLDER_MISMATCH", _E, "seal", "run.json", "the run_id in run.json differs from the folder name", "restore the original folder name; a renamed folder does not verify"),
    # manifest.json.
    ("MANIFEST_JSON_MISSING", _E, "seal", "Manifest", "manifest.json is missing", _REBUILD),
    ("MANIFEST_JSON_NOT_REGULAR", _E, "seal", "Manifest", "manifest.json is not a regular file", _REBUILD),
    ("MANIFEST_JSON_TOO_LARGE", _E, "seal", "Manifest", "manifest.json is larger than 64 MiB", _REBUILD),
    ("MANIFEST_JSON_INVALID", _E, "seal", "Manifest", "manifest.json is not valid JSON: {detail}", _REBUILD),
    ("MANIFEST_JSON_DUPLICATE_KEY", _E, "seal", "Manifest", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_JSON_NON_FINITE", _E, "seal", "Manifest", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_SHAPE", _E, "seal", "Manifest", "manifest.json: {detail}", _REBUILD),
    ("MANIFEST_BYTES", _E, "seal", "Manifest", "bytes is not an integer from 0 to 2^53-1", _REBUILD),
    ("MANIFEST_SHA256_FORM", _E, "seal", "Manifest", "sha256 is not 64 lower-case hexadecimal digits", _REBUILD),
    ("MANIFEST_ORDER", _E, "seal", "Manifest", "the entries are not in strictly ascending order of relpath", _REBUILD),
    ("MANIFEST_NOT_CANONICAL", _E, "seal", "Manifest", "manifest.json is not in canonical form", _REBUILD),
    # Paths in a manifest.
    ("MANIFEST_PATH_TYPE", _E, "seal", "Path rules", "relpath is not a non-empty string", _REBUILD),
    ("MANIFEST_PATH_NOT_UTF8", _E, "seal", "Path rules", "the path cannot be encoded as UTF-8", _RENAME),
    ("MANIFEST_PATH_TOO_LONG", _E, "seal", "Path rules", "the path is longer than 1024 bytes, or one of its components is longer than 255 bytes", _RENAME),
    ("MANIFEST_PATH_CONTROL_CHAR", _E, "seal", "Path rules", "the path contains a control character or an invisible character", _RENAME),
    ("MANIFEST_PATH_BAD_CHAR", _E, "seal", "Path rules", "the path contains a character that some file systems do not allow: {detail}", _RENAME),
    ("MANIFEST_PATH_ABSOLUTE", _E, "seal", "Path rules", "the path is absolute", _RENAME),
    ("MANIFEST_PATH_NOT_NFC", _E, "seal", "Path rules", "the path is not in Unicode normalization form NFC", _RENAME),
    ("MANIFEST_PATH_DOUBLE_SPACE", _E, "seal", "Path rules", "the path contains two consecutive spaces, which are the separator of MANIFEST.sha256", _RENAME),
    ("MANIFEST_PATH_DOT_COMPONENT", _E, "seal", "Path rules", "a component of the path is empty, `.` or `..`", _RENAME),
    ("MANIFEST_PATH_EDGE_SPACE_OR_DOT", _E, "seal", "Path rules", "a component of the path starts or ends with a space, or ends with a dot", _RENAME),
    ("MANIFEST_PATH_DOS_DEVICE", _E, "seal", "Path rules", "a component of the path is a Windows device name", _RENAME),
    ("MANIFEST_PATH_RESERVED", _E, "seal", "Path rules", "the name is reserved for the files of the seal", _RENAME),
    ("PATH_COLLISION", _E, "seal", "Path rules", "the path is the same as {detail} on a file system that ignores case", _RENAME),
    # File content compared with the manifest.
    ("FILE_MISSING", _E, "seal", "File content", "a file that the manifest lists is missing", _REBUILD),
    ("SIZE_MISMATCH", _E, "seal", "File content", "the size of the file differs from the manifest", _REBUILD),
    ("HASH_MISMATCH", _E, "seal", "File content", "the content of the file differs from the manifest", _REBUILD),
    ("FILE_SPARSE", _E, "seal", "File content", "the file is sparse and too slow to hash: it stores only {detail}", "store the file in full (`cp --sparse=never`) and verify again"),
    ("FILE_CHANGED_WHILE_READING", _E, "seal", "File content", "the file changed while it was read", "stop the program that writes to it and verify again"),
    ("SEAL_BROKEN_EOL", _I, "seal", "File content", "the content matches after its line endings are converted to {detail}: a git checkout converted them", _NO_EOL_CONVERSION),
    # MANIFEST.sha256.
    ("MANIFEST_SHA256_MISSING", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256 is missing", _REBUILD),
    ("MANIFEST_SHA256_NOT_REGULAR", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256 is not a regular file", _REBUILD),
    ("MANIFEST_SHA256_TOO_LARGE", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256 is larger than 64 MiB", _NOT_OURS),
    ("HASHFILE_NOT_UTF8", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256 is not valid UTF-8", _NOT_OURS),
    ("HASHFILE_NEWLINES", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256: {detail}", _NOT_OURS),
    ("WARN_CRLF", _W, "seal", "MANIFEST.sha256 and the root hash", "every line of MANIFEST.sha256 ends with CRLF: a git checkout converted the line endings", _NO_EOL_CONVERSION),
    ("HASHFILE_LINE_FORM", _E, "seal", "MANIFEST.sha256 and the root hash", "the line does not have the form `<sha256>  <relpath>`", _NOT_OURS),
    ("HASHFILE_ROOT_LINE", _E, "seal", "MANIFEST.sha256 and the root hash", "the file must have exactly one ROOT_SHA256 line, as its last line: {detail}", _NOT_OURS),
    ("HASHFILE_DUPLICATE_LINE", _E, "seal", "MANIFEST.sha256 and the root hash", "the path is duplicated in MANIFEST.sha256", _NOT_OURS),
    ("HASHFILE_CONTENT", _E, "seal", "MANIFEST.sha256 and the root hash", "MANIFEST.sha256 does not agree with manifest.json: {detail}", _NOT_OURS),
    ("HASHFILE_ORDER", _E, "seal", "MANIFEST.sha256 and the root hash", "the lines are not in one of the three known orders", _NOT_OURS),
    ("ROOT_MISMATCH", _E, "seal", "MANIFEST.sha256 and the root hash", "ROOT_SHA256 is not the hash of the file lines", _REBUILD),
    # The state of the seal.
    ("UNSEALED", _I, "seal", "Seal states", "the folder has no seal files", "seal the folder with the command `seal`, or exclude it"),
    ("PARTIAL", _E, "seal", "Seal states", "the folder has only some of the seal files", "sealing was interrupted or a seal file was removed; rebuild the run"),
    # Sealing existing folders.
    ("SEAL_OUTSIDE_ROOTS", _E, "sealing", "Sealing existing folders", "the folder is not directly under a run root", "move it to one of `run_roots` in registry-pipeline.toml, or add its parent folder there"),
    ("SEAL_FILE_EXISTS", _E, "sealing", "Sealing existing folders", "the folder has a seal file already: {detail}", "run `registry-pipeline verify {folder}` to check it; a seal is never replaced"),
    ("SEAL_REGISTRY_RUN", _E, "sealing", "Sealing existing folders", "run.json names the registry {detail}, and only `build` seals runs of a registry", "run `registry-pipeline build` to make a new run; remove `registry_id` if the run belongs to no registry"),
    ("SEAL_NOT_WRITTEN", _E, "sealing", "Sealing existing folders", "the seal files could not be written, and the folder is as it was: {detail}", "free some space on the disk, or make the folder writable for you, then seal again"),
    # Envelope, artifact and inputs of a registry run.
    ("ENVELOPE_INVALID", _E, "schema", "run.json", "run.json does not have the envelope of a registry run: {detail}", _REBUILD_REGISTRY),
    ("ARTIFACT_MISSING", _E, "schema", "Schema validation", "the folder does not contain the artifact of the registry", _REBUILD_REGISTRY),
    ("SCHEMA_VIOLATION", _E, "schema", "Schema validation", "{detail}", "rebuild the registry with a builder of the same version as the schema"),
    ("SCHEMA_UNPARSABLE", _E, "schema", "Schema validation", "the artifact cannot be parsed: {detail}", _REBUILD_REGISTRY),
    ("SCHEMA_UNKNOWN", _E, "schema", "Schema validation", "this version of registry-pipeline has no schema for {detail}", "use a version of registry-pipeline that knows it, or check it in the repository whose registry-pipeline.toml describes it"),
    ("INPUT_REF_MISSING", _E, "schema", "Inputs", "an input that run.json names is missing: {detail}", "restore the run folder from a backup or another clone"),
    ("INPUT_ROOT_MISMATCH", _E, "schema", "Inputs", "the root hash of an input differs from the one in run.json: {detail}", "the input changed after it was used; restore it, or rebuild from a valid one"),
    ("INPUT_NOT_VERIFIED", _E, "schema", "Inputs", "an input that run.json names does not verify: {detail}", "run `registry-pipeline verify {run_id}` for the details, then rebuild from a valid input"),
    # registry_delta_log.
    ("DELTA_PREFIX_BROKEN", _E, "delta", "registry_delta_log", "the log does not start with the bytes of its previous log {previous}", "mark this log bad with `registry-pipeline mark-bad RUN --reason TEXT`; the next build then continues the previous log"),
    ("DELTA_PREVIOUS_UNKNOWN", _W, "delta", "registry_delta_log", "cannot check that the log starts with its previous log: {detail}", "restore the folder of the previous log from a backup or another clone"),
    ("DELTA_LINE", _E, "delta", "registry_delta_log", "the line is not a valid edge of this log: {detail}", _REBUILD),
    ("DELTA_ORDER", _E, "delta", "registry_delta_log", "edges that were appended together are not sorted by registry_id and run_id", _REBUILD),
    ("DELTA_CHAIN", _E, "delta", "registry_delta_log", "the edge does not start where the previous edge of its registry ends", _REBUILD),
    ("DELTA_DUPLICATE", _E, "delta", "registry_delta_log", "an earlier edge leads to the same snapshot", _REBUILD),
    ("DELTA_TWO_HEADS", _E, "delta", "registry_delta_log", "several delta logs could be continued, and none of them continues another: {detail}", "keep one and exclude the others, for example with `registry-pipeline mark-bad {run_id} --reason TEXT`"),
    ("DELTA_HEAD_NOT_VERIFIED", _E, "delta", "registry_delta_log", "the log to continue does not verify: {detail}", "restore its folder, or run `registry-pipeline mark-bad {run_id} --reason TEXT` to continue the previous log"),
    ("DELTA_SNAPSHOT_NOT_VERIFIED", _W, "delta", "registry_delta_log", "a run of a registry does not verify and is not logged: {detail}", "run `registry-pipeline verify {run_id}` for the details"),
    ("DELTA_SNAPSHOT_UNKNOWN", _W, "delta", "registry_delta_log", "a snapshot that {detail} names cannot be read, so its changes are unknown", "restore the folder from a backup or another clone; logged edges do not change"),
    ("DELTA_FOREIGN", _W, "delta", "registry_delta_log", "a run of another repository is not logged: {detail}", "move the folder out of the run roots, or run `registry-pipeline activate {registry} {run_id} --allow-foreign --allow-mixed --reason TEXT` to accept it"),
    ("DELTA_LATE", _W, "delta", "registry_delta_log", "the run arrived after the newer run {detail} was logged; its edge starts at the last logged snapshot", "no action needed: the log records the order of arrival"),
    # The pointer file.
    ("POINTER_FILE_MISSING", _W, "pointer", "Pointer file", "the pointer file is missing", "run `registry-pipeline init`"),
    ("POINTER_SHAPE", _E, "pointer", "Pointer file", "the pointer file: {detail}", _FIX_POINTERS),
    ("POINTER_DUPLICATE_KEY", _E, "pointer", "Pointer file", "the pointer file: {detail}", _FIX_POINTERS),
    ("POINTER_DUPLICATE", _E, "pointer", "Pointer file", "{registry} has two pointers", _FIX_POINTERS),
    ("POINTER_TRISTATE", _E, "pointer", "Pointer file", 'active_ref_known of {registry} is not true, false or "unknown"', _FIX_POINTERS),
    ("POINTER_REF", _E, "pointer", "Pointer file", "active_ref_known of {registry} is true, but active_ref is missing", "activate a run of this registry"),
    ("POINTER_RUN_ROOT", _E, "pointer", "Pointer file", "run_root of {registry} is not one of the configured run roots", "activate a run in a configured run root"),
    ("POINTER_RUN_ID_FORM", _E, "pointer", "Pointer file", "run_id of {registry} is not a valid folder name", "activate a run by its folder name"),
    ("POINTER_SHA_FORM", _E, "pointer", "Pointer file", "manifest_sha256 of {registry} is not 64 lower-case hexadecimal digits", _ACTIVATE_AGAIN),
    ("POINTER_PATH", _E, "pointer", "Pointer file", "relpath of {registry} is not a safe relative path", _ACTIVATE_AGAIN),
    ("POINTER_NOT_PAYLOAD", _E, "pointer", "Pointer file", "relpath of {registry} does not name a sealed artifact of the run", _ACTIVATE_AGAIN),
    ("POINTER_ASOF", _E, "pointer", "Pointer file", "active_asof_utc of {registry}: {detail}", _ACTIVATE_AGAIN),
    ("POINTER_RUN_MISSING", _E, "pointer", "Pointer file", "the folder of the active run of {registry} is missing", "restore the run folder, or run `registry-pipeline build` to make and activate a new run"),
    ("POINTER_SEAL_INVALID", _E, "pointer", "Pointer file", "the active run of {registry} does not verify: {detail}", "rebuild the registry and activate the new run"),
    ("POINTER_ROOT_MISMATCH", _E, "pointer", "Pointer file", "the root hash of the active run of {registry} differs from the one in the pointer", "rebuild the registry and activate the new run"),
    ("POINTER_REGISTRY_RUN_MISMATCH", _E, "pointer", "Pointer file", "the active run of {registry} belongs to another registry", "activate a run of this registry"),
    ("POINTER_UNKNOWN_REGISTRY", _E, "pointer", "Pointer file", "no registry with this name has a pointer", "run `registry-pipeline registries` to list the registries"),
    ("POINTER_MARKED_BAD", _E, "pointer", "Pointer file", "the active run of {registry} is marked bad: {detail}", "run `registry-pipeline rollback --reason TEXT`, or activate another run"),
    ("POINTER_FOREIGN", _E, "pointer", "Pointer file", "the active run of {registry} belongs to another repository; {detail}", _ALLOW_FOREIGN),
    ("POINTER_ORIGIN_UNKNOWN", _W, "pointer", "Pointer file", "the active run of {registry} has a repository_id and this repository has none, so they cannot be compared", "restore the line `repository_id` in registry-pipeline.toml; if it never had one, run `registry-pipeline init` to add it"),
    ("POINTER_INPUTS_MIXED", _W, "pointer", "Consistency", "{registry} was built from a run of {upstream} that is not active", "run `registry-pipeline build {rebuilt}`, which also builds the registries that depend on it"),
    # The activation chain.
    ("CHAIN_NOT_STARTED", _I, "chain", "Chain", "the pointer file has no activation record yet", "no action needed; the next change writes an `init` record first"),
    ("CHAIN_LOST", _E, "chain", "Chain", "this tool wrote the pointer file, but all of its activation records are missing", "restore the record folders from a backup or another clone; if they cannot be restored, `registry-pipeline init --restart-chain --reason TEXT` writes a new first record that states the loss"),
    ("CHAIN_RESTARTED", _I, "chain", "Chain", "the chain was restarted here, and earlier records no longer count: {detail}", "no action needed; check that the active runs are the ones that you expect"),
    ("CHAIN_RUN_MISSING", _E, "chain", "Chain", "{detail} moved a pointer to this run, but its folder is missing", "restore the folder from a backup or another clone; never delete run folders"),
    ("CHAIN_RUN_RESEALED", _E, "chain", "Chain", "{detail} moved a pointer to this run, and its root hash has changed since", "restore the folder that was activated from a backup or another clone"),
    ("CHAIN_RECORD_MISSING", _E, "chain", "Chain", "an activation record is missing: {detail}", "restore the folder of the record from a backup or another clone; if it cannot be restored, run `registry-pipeline init --restart-chain --reason TEXT`"),
    ("CHAIN_RECORD_EDITED", _E, "chain", "Chain", "an activation record does not verify: {detail}", "restore the folder of the record from a backup or another clone"),
    ("CHAIN_DETACHED", _E, "chain", "Chain", "an activation record is not linked to the chain: {detail}", "restore the missing records, or run `registry-pipeline doctor --fix --void RECORD --reason TEXT` to void this one"),
    ("CHAIN_FORK", _E, "chain", "Chain", "two activation records have the same predecessor: {detail}", "run `registry-pipeline doctor --fix --void RECORD --reason TEXT` to void one of the branches"),
    ("CHAIN_MOVES_WRONG", _E, "chain", "Chain", "an activation record does not say which pointers it changes: its moves differ from {detail}", "restore the record folders from a backup or another clone; if they cannot be restored, run `registry-pipeline init --restart-chain --reason TEXT`"),
    ("CHAIN_CHECKPOINT_WRONG", _E, "chain", "Chain", "a checkpoint does not say what the records before it say: {detail}", "restore the record folders from a backup or another clone; if they cannot be restored, run `registry-pipeline init --restart-chain --reason TEXT`"),
    ("CHAIN_PENDING", _E, "chain", "Chain", "an activation record was written, but the pointer file was not replaced", "run `registry-pipeline doctor --fix --finish` to complete the change, or `registry-pipeline doctor --fix --void --reason TEXT` to void it"),
    ("POINTER_REWOUND", _E, "chain", "Chain", "the pointer file has an older state than the last activation record", _FIX_POINTERS),
    ("POINTER_EDITED", _E, "chain", "Chain", "the pointer file does not have the state of any activation record", _FIX_POINTERS),
    # Activation and candidates.
    ("ACTIVATE_NOT_VERIFIED", _E, "activation", "Activation", "the run does not verify: {detail}", "rebuild the registry; a run that does not verify cannot be activated"),
    ("ACTIVATE_OUTSIDE_ROOTS", _E, "activation", "Activation", "the run is not directly in a configured run root", "activate a run in one of the run roots"),
    ("ACTIVATE_NO_POINTER", _E, "activation", "Activation", "{detail} has no active pointer by design", "run `registry-pipeline registries` to see the reason"),
    ("ACTIVATE_OTHER_REGISTRY", _E, "activation", "Activation", "the run belongs to another registry", "pass the registry of the run"),
    ("ACTIVATE_MARKED_BAD", _E, "activation", "Activation", "the run is marked bad: {detail}", "activate another run"),
    ("ACTIVATE_FOREIGN", _E, "activation", "Activation", "the run belongs to another repository", _ALLOW_FOREIGN),
    ("ACTIVATE_ORIGIN_UNKNOWN", _W, "activation", "Activation", "cannot check whether the run belongs to this repository: {detail}", "run `registry-pipeline init` to give the repository an id; runs that are built afterwards contain it"),
    ("ACTIVATE_OLDER", _E, "activation", "Activation", "the as-of time of the run is earlier than that of the active run", "use `registry-pipeline rollback --reason TEXT` to go back"),
    ("ACTIVATE_MIXED", _E, "activation", "Consistency", "after this change {registry} would depend on a run of {upstream} that is not active", "run `registry-pipeline build {rebuilt}`, which also builds the registries that depend on it, or use --allow-mixed with a reason"),
    ("ACTIVATE_VERDICT_STALE", _E, "activation", "Activation", "the folder changed after the run was verified", "verify the run again"),
    ("ACTIVATE_UNSIGNED", _E, "activation", "Signatures", "`[signing]` requires signatures for {registry}", "add --sign; if others must sign, `--prepare FILE` writes the record for them and `--signature FILE` takes their signatures"),
    ("ACTIVATE_ROLLED_BACK", _W, "proposal", "Activation", "a rollback deactivated this run, so it is not activated automatically", "run `registry-pipeline build {registry}` to make a new run, or `registry-pipeline activate {registry} {run_id} --reason TEXT` to activate this one again"),
    # Other results of commands, and what doctor finds.
    ("REPORT_NOT_RENDERED", _W, "render", "system_health_report", "the pointers moved, but the health report could not be rendered: {detail}", "do not repeat the command: the change is complete and only the report is missing; fix the cause, then `registry-pipeline report` renders it"),
    ("LOG_NOT_EXTENDED", _W, "render", "registry_delta_log", "the delta log could not be extended: {detail}", "do not repeat the command: pointers that it moved stay moved; fix the cause, and the next build extends the log"),
    ("HASHES_VERIFIED", _I, "hashes", "Lists of hashes", "{detail} the list in MANIFEST.sha256; the list is not a seal and states no root hash", "seal runs with this tool; nothing proves that the list itself was not changed"),
    ("CHAIN_ANCHOR_MISSING", _E, "anchor", "Anchor", "no activation record has the expected hash: the chain was shortened or rewritten after the hash was noted", "restore the run folders from a backup or another clone, and do not trust this repository until then"),
    ("ANCHOR_INVALID", _E, "anchor", "Anchor", "an anchor proves nothing: {detail}", "find out who changed it; the other anchors still count"),
    ("ANCHOR_VOIDED", _E, "anchor", "Anchor", "the record of the anchor was voided: a head that was published is no longer part of the chain", "find out with `registry-pipeline log` who voided it and why; if it was right, `registry-pipeline anchor` prints a newer hash, and `anchor --write --accept-voided` makes newer anchors"),
    ("ANCHOR_SUPERSEDED", _W, "anchor", "Anchor", "the record of the anchor was voided; a newer tag or line of the file covers the void", "no action needed if the void was right; `registry-pipeline log` shows it"),
    ("ANCHOR_NONE", _E, "anchor-missing", "Anchor", "there is no anchor of the kind {kind} that covers a record of the chain, so nothing was compared", "run `registry-pipeline anchor --write`; a time stamp counts when the answer of the authority is in the folder"),
    ("SIGNATURE_BAD", _E, "signature", "Signatures", "a signature does not fit: {detail}", "do not trust who is said to have made this; compare the folder with another clone"),
    ("SIGNER_NOT_ALLOWED", _E, "signature", "Signatures", "signed by {detail}, which no line of the allowed signers permits at that time", "if the key is the right one, add it to the file of allowed signers, for the namespace registry-pipeline"),
    ("SIGNATURE_MISSING", _E, "signature", "Signatures", "the active run of {registry} was not activated with the signatures that `[signing]` requires", "check the run, then `registry-pipeline build {registry} --force --sign` to build and activate it again"),
    ("RUN_MARKED_BAD", _W, "marked", "Marking a run bad", "the run is marked bad: {detail}", "build a new run; this one can never be activated"),
    ("DOCTOR_STAGING_LEFTOVER", _W, "doctor", "Publishing a run folder", "a process ended before it published this folder", "run `registry-pipeline doctor --fix` to move it to quarantine"),
    ("DOCTOR_INTENT_LEFTOVER", _W, "doctor", "Recovery", "an intent file is left over from a change that is complete or was never written", "run `registry-pipeline doctor --fix` to remove it; the next change also removes it"),
    ("DOCTOR_TEMPORARY_LEFTOVER", _W, "doctor", "Recovery", "a process that was killed left this temporary file", "run `registry-pipeline doctor --fix` to remove it; the next change of the same file also removes it"),
    ("DOCTOR_LINE_ENDS", _W, "doctor", "Line endings and ignored files", "git may convert line endings here, which breaks seals and hashes: its attribute `text` is {detail}", "run `registry-pipeline init` to add the missing lines to .gitattributes; a later line in it must not override them"),
    ("DOCTOR_LINE_ENDS_CONVERTED", _E, "doctor", "Line endings and ignored files", "the line endings of {detail} were converted, as by a git checkout, so the seals do not match", "run `registry-pipeline init` to protect them; then delete the converted folders that git tracks and restore them with `git checkout -- FOLDER`; rebuild nothing"),
    ("DOCTOR_NOT_IGNORED", _W, "doctor", "Line endings and ignored files", "git does not ignore this path, which contains temporary state and no evidence", "run `registry-pipeline init` to add the missing lines to .gitignore"),
    # Removed runs, and the scan of the run roots.
    ("RUN_REMOVED", _E, "history", "Run history", "a run that is in {detail} is missing", _RESTORE_RUN),
    ("RUN_RESEALED", _E, "history", "Run history", "the root hash of a run differs from the one in {detail}", "restore the folder; never rewrite run folders"),
    ("RUN_EXCLUDED", _E, "history", "Run history", "a run that is in {lister} is excluded by {detail}", "remove the glob from `exclude` in registry-pipeline.toml, or accept the loss: `registry-pipeline activate run_registry latest --accept-removed --allow-mixed --reason TEXT`, then `registry-pipeline build`"),
    ("RUN_LEFT_OUT", _E, "history", "Run history", "a run that is in {lister} exists, but is not listed: {detail}", "make the folder readable at its original location, then run `registry-pipeline build run_registry`"),
    ("TRACKED_MISSING", _E, "history", "Working tree state", "the commit at HEAD contains {detail}, but the working tree does not", "run `git restore --source=HEAD --staged --worktree {path}` to restore it; if the removal is intended, commit it"),
    ("RUN_HISTORY_UNKNOWN", _W, "history", "Run history", "the runs were not compared with a previous run registry: {detail}", "no action needed in a first build; otherwise check that no run folder was removed, because the next build compares with the run registry that becomes active now"),
    ("RUN_FOLDER_LINK", _W, "scan", "run_registry", "a run folder that is a link is skipped", "move the real folder into the run root"),
    ("RUN_FOLDER_UNREADABLE", _W, "scan", "run_registry", "a run folder cannot be read: {detail}", "check its permissions"),
    ("RUN_ROOT_MISSING", _W, "scan", "run_registry", "a run root that registry-pipeline.toml names does not exist", "correct its path in `run_roots`, restore the folder, or remove it from `run_roots`"),
    ("RUN_ROOT_UNREADABLE", _W, "scan", "run_registry", "a run root cannot be read: {detail}", "check its permissions, or configure another run root"),
    # Shards.
    ("SHARD_INVALID", _E, "scan", "Shards", "the newest run of the shard {shard} is not used: {detail}", "see `registry-pipeline verify {path}`; restore the folder, or launch the partition in Dagster to build the shard again"),
    ("VERDICT_MISSING", _E, "scan", "Shards", "{detail} of the shard have no verdict", "wait for the sensor of `run_verification`, or launch the partition in Dagster; then execute the check again"),
    ("VERDICT_OLD", _E, "scan", "Shards", "the shard must be verified again: {detail}", "switch on the sensor of `run_verification`, or launch the partition in Dagster; then execute the check again"),
    ("VERDICT_WITHOUT_RUN", _W, "scan", "Shards", "{detail} of the shard name what neither exists nor is in an archive", "restore it; if it was removed on purpose, launch the partition, or, of a month without any folder, export the run of its verdicts"),
    # Adapters.
    ("ADAPTER_UNUSED", _W, "adapter", "Adapters", "no run folder in this root has a {detail} and no run.json", "correct `file` of the adapter in registry-pipeline.toml, or its `path_pattern`, or remove the adapter"),
    ("ADAPTER_FIELD_NOT_FOUND", _W, "adapter", "Adapters", "no envelope has the field that the adapter reads ({detail})", "correct the field of the adapter in registry-pipeline.toml, or remove the field"),
    ("ADAPTER_RUN_ID_MISMATCH", _W, "adapter", "Adapters", "the run id in the envelope differs from the folder name", "check whether the folder was copied or renamed; if the field is not a folder name, remove run_id from the adapter"),
    # Configuration.
    ("CONFIG_HISTORY_START", _I, "config", "drift_signals_daily", "history_start is not set, so drift_signals_daily has no partitions", "set history_start in registry-pipeline.toml"),
    ("CONFIG_REGISTRY_DISABLED", _I, "config", "Registries in use", "the registry is disabled in registry-pipeline.toml, so it is not built", "remove it from `disabled`, or add it to `enabled`, to build it"),
    ("CONFIG_REGISTRY_UNKNOWN", _E, "config", "Registries in use", "`{key}` names {name}, which {detail}", "correct the name; `registry-pipeline registries` lists all of them"),
    ("CONFIG_REGISTRY_INVALID", _E, "config", "Own registries", "{name} describes no registry: {detail}", "correct it; until then this registry and what depends on it are not in the catalog, and nothing is built"),
    ("CONFIG_PACKAGE_INVALID", _E, "config", "Own registries", "the package {name} of `registry_packages` cannot be used: {detail}", "install or correct the package, or remove it from `registry_packages`"),
    ("CONFIG_STALE_LIMIT_UNUSED", _W, "config", "op_status_table", "`[stale_days.{key}]` has a limit for {name}, but {detail}", "correct the name, or remove the line"),
    ("CONFIG_PUBLISH_ROOT_LINK", _W, "config", "Publishing a run folder", "the path of publish_root ({detail}) contains a symbolic link, so no run can be published there", "replace the link with the folder that it points to, or set publish_root to a folder without links"),
    ("REPOSITORY_UNREADABLE", _E, "config", "Overview", "the repository cannot be read: {detail}", "restore the folder, or correct the path"),
    ("CONFIG_GIT_UNREADABLE", _E, "config", "Working tree state", "the commit and the state of the working tree are unknown: {detail}", "install git, or fix the cause that the message names"),
    ("DIAGNOSTICS_NOT_RECORDED", _I, "diagnostics", "Diagnostics", "{detail}", "the verdict is valid without it; see `registry-pipeline roles diagnostics`"),
    # The operations catalog.
    ("CATALOG_MISSING", _E, "catalog", "Operations catalog", "the document cannot be read: {detail}", "name an existing document in registry-pipeline.toml"),
    ("CATALOG_MALFORMED", _E, "catalog", "Operations catalog", "{detail}", "correct the document"),
    ("CATALOG_EMPTY", _W, "catalog", "Operations catalog", "the document defines no operations", "write operations as `### OP-A01: Name` under `## Option A`"),
    ("CATALOG_CONTRADICTION", _W, "catalog", "Operations catalog", "{detail}; the first definition is used", "make the two documents agree"),
    ("CATALOG_OPTION_UNKNOWN", _W, "catalog", "Operations catalog", "{detail} has no configured option and is not listed", "add the option to `options` in registry-pipeline.toml, or correct the document"),
    # Captured registries.
    ("CAPTURE_MISSING", _W, "capture", "Captured registries", "the source cannot be read: {detail}", "restore the source, or set {key} in registry-pipeline.toml to another one"),
    ("CAPTURE_MALFORMED", _W, "capture", "Captured registries", "the source is malformed: {detail}", "correct the source file"),
    ("CAPTURE_VERSION_NOT_BUMPED", _W, "capture", "Captured registries", "the content changed, but its version did not", "increase `version` in the source file"),
    ("CAPTURE_ENTRY_REMOVED", _W, "capture", "Captured registries", "the active snapshot lists {detail}, but the source does not", "restore the entry, because an applied migration stays in the ledger; to undo it, add a migration that reverts it"),
    ("CAPTURE_LATEST_INVALID", _W, "capture", "Captured registries", "LATEST.txt does not name a folder beside it: {detail}", "write one line into LATEST.txt: the name of a folder beside it"),
    ("CAPTURE_LEFT_OUT", _W, "capture", "Captured registries", "not captured: {detail}", "rename or move it if it belongs to the source"),
    ("CAPTURE_PACK_HASHES_INVALID", _W, "capture", "Evidence packs", "pack_sha256.txt cannot be used: {detail}; the pack is not sealed", "write the pack again with the tool that made it"),
    ("CAPTURE_PACK_FILE_MISSING", _W, "capture", "Evidence packs", "the hashes of the pack list files that it lacks: {detail}; the pack is not sealed", "restore the files, or write the pack again"),
    ("CAPTURE_PACK_FILE_UNLISTED", _W, "capture", "Evidence packs", "the hashes of the pack do not list these files: {detail}; the pack is not sealed", "move the files out of the pack, or write the pack again"),
    ("CAPTURE_PACK_HASH_MISMATCH", _W, "capture", "Evidence packs", "the files of the pack differ from its hashes: {detail}; the pack is not sealed", "restore the files, or write the pack again"),
    ("CAPTURE_SCHEMA_UNUSABLE", _W, "capture", "Captured registries", "the schema that [{table}.{registry}] names cannot be used: {detail}", "correct the schema, or `schema` in registry-pipeline.toml"),
    # Collections.
    ("COLLECTION_INDEX_INVALID", _E, "capture", "Collections", "the index is invalid: {detail}", _REBUILD),
    ("COLLECTION_LINE_REMOVED", _E, "capture", "Collections", "the index lacks lines of its previous index {previous}: {detail}", "mark this index bad with `registry-pipeline mark-bad RUN --reason TEXT`; the next build then continues the previous index"),
    ("COLLECTION_PREVIOUS_UNKNOWN", _W, "capture", "Collections", "cannot check that the index continues its previous index: {detail}", "restore the folder of the previous index from a backup or another clone"),
    ("COLLECTION_PACK_DIFFERS", _E, "capture", "Evidence packs", "the record of the pack and the sealed files differ: {detail}", _REBUILD),
    ("COLLECTION_RUN_MISSING", _W, "capture", "Collections", "the folders of listed runs are missing: {detail}", "restore the folders; the next build seals members again whose newest folder is missing"),
    ("COLLECTION_RUN_NOT_VERIFIED", _W, "capture", "Collections", "the run does not verify and is not used: {detail}", "run `registry-pipeline verify {run_id}` for the details; `registry-pipeline mark-bad {run_id} --reason TEXT` excludes it"),
    ("COLLECTION_NOT_SEALED", _W, "capture", "Collections", "the members could not all be sealed: {detail}", "do not repeat the command for the sake of pointers: they stay moved; fix the cause, and the next build seals the rest"),
    # Role packs (rules of `registry-pipeline roles rules`).
    # {published} starts with a space and names the baseline; it is empty if the baseline has no part in the finding.
    ("RR001", _E, "roles", "Role rules", "role_id {id} was published and is missing{published}", "restore {id}; to retire a role, set its lifecycle to deprecated"),
    ("RR002", _E, "roles", "Role rules", "contract_id {id} was published and is missing{published}", "restore {id}; contracts are permanent, also those of a deprecated role"),
    ("RR003", _E, "roles", "Role rules", "the surface of {id} changed under the same contract_id{published}{detail}", "add {next} with the new surface and restore {kept}"),
    ("RR004", _E, "roles", "Role rules", "role_id {id} appears {times} in the pack", "give each role a unique id"),
    ("RR005", _E, "roles", "Role rules", "contract_id {id} appears {times} in the pack", "give each contract a unique id"),
    ("RR006", _E, "roles", "Role rules", "{member} {id} does not have the form [a-z0-9_]{{1,64}}", "use 1 to 64 lower-case letters, digits and underscores"),
    ("RR007", _E, "roles", "Role rules", "contract_id {id} does not have the form ROLE:<role_id>:X|C:<ver>", "write it like {example}; a version is 1 to 4294967295 without leading zeros"),
    ("RR008", _E, "roles", "Role rules", "contract_id {id} does not name {role}, the role that contains it", "move the contract to the role that it names, or add one that names {role}"),
    ("RR009", _E, "roles", "Role rules", "contract_id {id} does not belong in {member}", "list X contracts in extract_contracts and C contracts in produce_contracts"),
    ("RR010", _E, "roles", "Role rules", "alias {id} of role {role} is {detail}{published}", "choose an alias that is not and never was an id or alias of another role"),
    ("RR011", _E, "roles", "Role rules", "alias {id} was published for role {role} and {detail}{published}", "restore the alias of role {role}"),
    ("RR012", _W, "roles", "Role rules", "role {id} was deprecated and is active again{published}", "keep it deprecated, or have the change approved by a waiver"),
    ("RR013", _W, "roles", "Role rules", "contract_id {id} is new, but its predecessor {expected_id} is missing", "number versions without gaps"),
    ("RR014", _E, "roles", "Role rules", "contract_id {id} is new, but lower than the highest published version {highest}{published}", "add {next} instead"),
    ("RR015", _W, "roles", "Role rules", "contract_id {id} is new, but has the same surface as {other}", "remove it until the surface changes"),
    ("RR016", _W, "roles", "Role rules", "contract_version in the schema_json of {id} is {detail}", "set it to the version at the end of the contract_id"),
    ("RR017", _E, "roles", "Role rules", "{detail}", "save the file as UTF-8 without a byte order mark"),
    ("RR018", _E, "roles", "Role rules", "{detail}{where}", "write integers up to 9007199254740991 (2^53-1) and numbers that a double can represent; write others as strings"),
    ("RR019", _E, "roles", "Role rules", "{detail}{where}", "write both halves of the surrogate pair, or the character itself"),
    ("RR020", _E, "roles", "Role rules", "{what}: {detail}", 'see "Role registry" in docs/reference/specification.md for the fields of a role pack'),
    ("RR021", _E, "roles", "Role rules", "{member} {change}{published}{detail}", "keep the published pack_id, and never decrease pack_version"),
    ("RR022", _W, "roles", "Role rules", "contract_id {id} was added to role {role}, which is deprecated", "add it to the role that replaces {role}"),
    ("RR026", _W, "roles", "Role rules", "the definition of role {id} changed outside its contracts{published}{detail}", "check that the users of the role agree; a waiver records that they do"),
    ("RR027", _E, "roles", "Role rules", "{detail}{where}", "keep one of the two"),
    ("RR028", _E, "roles", "Role rules", "the file is not valid JSON: {detail}", "correct the file at that location"),
    ("RR029", _E, "roles", "Role rules", "{detail}", "nest arrays and objects at most 64 levels deep"),
    ("RR030", _E, "roles", "Role registry", "the role pack could not be checked: {detail}", "restore the file, fetch the git history, or name a baseline with --baseline"),
    ("RR031", _I, "roles", "Role registry", "first publish: no baseline contains the pack, so only the rules for the pack itself were checked", "commit the pack to the baseline branch; from then on its ids are permanent"),
    ("RR032", _W, "roles", "Waivers", "the waiver {id} matches no finding", "remove it"),
    ("RR033", _W, "roles", "Waivers", "the waiver {id} expired on {detail}", "fix the finding that it waived, or have the waiver approved again"),
    ("RR034", _E, "roles", "Waivers", "the waiver is invalid: {detail}", "give fingerprint, reason, approver and expires (YYYY-MM-DD); RR001 to RR005 cannot be waived"),
    ("RR035", _E, "roles", "Role rules", "role_id {id} was removed and added again {detail}{published}", "give the new role a new id; to undo a removal, restore the role unchanged"),
    ("RR036", _E, "roles", "Role rules", "the registry document does not match the pack that it was made from", "rebuild the registry; never edit a sealed run"),
    # Registry entries. When each rule applies: WHEN in `entries.coordination`.
    ("EN001", _E, "entries", "Entry rules", "{detail}", "correct the entry; its schema is {schema}"),
    ("EN002", _E, "entries", "Entry rules", "{detail}", "{advice}"),
    ("EN003", _W, "entries", "Entry rules", "the schema cannot be used: {detail}", "correct it, or remove it and run `registry-pipeline init --entries`"),
    ("EN010", _E, "entries", "Entry rules", "the module_type {name} is not registered{meant}", "correct the name, or run `registry-pipeline entries add --type module_type` first"),
    ("EN011", _E, "entries", "Entry rules", "the parent_module {detail}", "name another parent, or none"),
    ("EN012", _E, "entries", "Entry rules", "the dependency {detail}", "correct the name, or add the edge to inbound and outbound of the two module types"),
    ("EN013", _W, "entries", "Entry rules", "the edge {edge} is declared on one side only", "declare it as outbound of the first type and as inbound of the second"),
    ("EN014", _E, "entries", "Entry rules", "the module instance {name} is not registered{meant}", _ADD_INSTANCE),
    ("EN015", _E, "entries", "Entry rules", "the lifecycle {name} is not approved", "run `registry-pipeline entries add --update --approved-by NAME` to record who approved it"),
    ("EN016", _E, "entries", "Entry rules", "the maturity {name} is not configured{meant}", "use a value of `[entries] maturity` in registry-pipeline.toml, or add it there"),
    ("EN020", _E, "entries", "Entry rules", "{other} has the same scope and topic {name}, and no priority decides which comes first", "give each of them a different priority, or another topic"),
    ("EN021", _E, "entries", "Entry rules", "the related document {detail}", "name a file of this repository by its path from the root"),
    ("EN022", _W, "entries", "Entry rules", "the owner {detail}", "correct module_id, or move the file"),
    ("EN023", _E, "entries", "Entry rules", "the stage {name} is not configured{meant}", "use a stage of `[entries] stages` in registry-pipeline.toml"),
    ("EN030", _E, "entries", "Entry rules", "the module {name} in its scope is not registered{meant}", _ADD_INSTANCE),
    ("EN031", _E, "entries", "Entry rules", "the ability {name} that it calls is not registered{meant}", "correct the name, or add that ability first or in the same call"),
    ("EN032", _I, "entries", "Entry rules", "{detail}", "mention it in a route of the module if people or agents should find it"),
    ("EN033", _W, "entries", "Entry rules", "the hook {detail}", "bind a hook that is registered for this event"),
    ("EN040", _W, "entries", "Entry rules", "the ability_scope {name} matches no ability", "correct the pattern, or add the ability"),
    ("EN041", _E, "entries", "Entry rules", "the ability {name} in its ability_scope is not registered{meant}", "correct the name, or add that ability first"),
    ("EN042", _E, "entries", "Entry rules", "the {field} {name} is not allowed{meant}", "use one of the expected values"),
    ("EN043", _W, "entries", "Entry rules", "{field} has no effect on {event}", "remove it, or choose an event before the ability is called"),
    ("EN050", _W, "entries", "Entry rules", "the file name does not match the key of its entry", "rename the file; nothing else refers to its name"),
    ("EN060", _E, "entries", "Entry rules", "{referrer} still refers to {name}", "remove or change the reference first or in the same call"),
    ("EN070", _W, "entries", "Entry rules", "the document differs from the one that this version generates", "run `registry-pipeline init --entries` to write it again; first move away a file of your own"),
    ("EN080", _I, "entries", "Entry rules", "{name} names no module, so the rules about its modules had nothing to check", "name the module in {field} if one owns it; otherwise no action is needed"),
    ("EN090", _W, "entries", "Entry rules", "an override by --no-check is active: {detail}", "fix what it names, then write the entry again without --no-check"),
    # Run index and overrides log: lines.
    ("RI001", _E, "run-index", "Run index", "the line is not valid JSON: {detail}", _REMOVE_LINE),
    ("RI002", _E, "run-index", "Run index", "the line starts with a byte order mark", "remove the byte order mark, and leave the rest of the line unchanged"),
    ("RI003", _E, "run-index", "Run index", "the line is ambiguous: {detail}", _REMOVE_LINE),
    ("RI004", _W, "run-index", "Run index", "the line is blank", "remove it; a log has one record a line"),
    ("RI005", _W, "run-index", "Run index", "the line ends with CRLF", "stop git from converting line endings: `<path of the log> -text` in .gitattributes"),
    ("RI006", _E, "run-index", "Run index", "the line is too long for a record", "write long texts into the run log file"),
    ("RI007", _W, "run-index", "Run index", "the log ends with an incomplete record, which is ignored: {detail}", "a write is in progress or was interrupted; the next append repairs the log"),
    ("RI008", _W, "run-index", "Run index", "an interrupted write left an incomplete record at the end of the log, which was moved to a file: {detail}", "look at the file, and append its records again"),
    ("RI009", _I, "run-index", "Run index", "the newline after the last record was missing and was added", "no action needed"),
    # Run index and overrides log: fields of records.
    ("RI010", _E, "run-index", "Run index", "not a valid record: {detail}", "a run index contains RUN records, an overrides log contains OVERRIDE and OVERRIDE_UPDATE records"),
    ("RI011", _E, "run-index", "Run index", "the required field {detail} is missing", "add the field"),
    ("RI012", _E, "run-index", "Run index", "the value is not allowed: {detail}", "leave a field out if its value is not known; null is not a value"),
    ("RI013", _E, "run-index", "Run index", "unknown key {detail}", "use a field of `registry-pipeline run-index rules`, or allow the key in `extra_keys` of [run_index]"),
    ("RI014", _E, "run-index", "Run index", "the value is not {detail}", "`ids` of [run_index] chooses the form of ids, dash or ulid"),
    ("RI015", _E, "run-index", "Run index", "{detail} with a date or time that does not exist", "run `registry-pipeline run-index start` to make an id"),
    ("RI016", _E, "run-index", "Run index", "the value is not a UTC timestamp {detail}", "write UTC to the minute or to the second, with a date that exists"),
    ("RI017", _E, "run-index", "Run index", "run_log_filepath_abs is not an absolute path", "start it with / or with a drive and a slash, as in C:\\"),
    ("RI018", _E, "run-index", "Run index", "the run log file cannot be read: {detail}", "run `registry-pipeline run-index start` to write one; fill in the fields between its two `---` lines"),
    # Run index: records of one run compared with each other and with the clock.
    ("RI020", _W, "run-index", "Run index", "last_updated_utc is earlier than created_utc", _SET_CLOCK),
    ("RI021", _W, "run-index", "Run index", "the record has a timestamp in the future", "set the clock of the machine that wrote the record; until that time the record stays the current one"),
    ("RI022", _W, "run-index", "Run index", "the record comes after a record with a newer timestamp, so it is not the current one", "if it should be the current one, append it again with a later last_updated_utc or update_utc"),
    ("RI023", _W, "run-index", "Run index", "the record is a duplicate of line {detail}", "no action needed; one copy is enough"),
    ("RI024", _E, "run-index", "Run index", "two runs have the same id: the record on line {detail} has the same run_id and created_utc", "give one of the runs another id before you append it"),
    ("RI025", _E, "run-index", "Run index", "{detail} compared with the previous record, and `corrects` does not name it", "append a later record that states the value and names the field in `corrects`"),
    ("RI026", _W, "run-index", "Run index", "`corrects` names {detail}, which did not change", "no action needed; name only fields that a record changes"),
    # Run index: gates of the current record of a run.
    ("RI030", _E, "run-index", "Run index", "qa_gate2 is PASS without {detail}", "append a later record with work_id and version_ids"),
    ("RI031", _E, "run-index", "Run index", "qa_gate2 is PASS although {detail} is FAIL, and no valid override allows it", "append an override with `registry-pipeline overrides append`, or correct the record"),
    ("RI032", _W, "run-index", "Run index", "qa_gate2 is PASS without the Final Save field {detail}", _CORRECT_LATER),
    ("RI034", _W, "run-index", "Run index", "the run log file is missing on the machine that wrote the record", "restore the file, or append a later record with its new path"),
    ("RI035", _E, "run-index", "Run index", "the run has {detail}, but no scripture_packet_id to link it to", "append a later record with scripture_packet_id"),
    ("RI036", _W, "run-index", "Run index", "the song index does not list {detail}", "add it to the song index, or correct the record"),
    ("RI037", _W, "run-index", "Run index", "the song index names another run for {detail}", "make the song index and the run index agree"),
    ("RI038", _W, "run-index", "Run index", "the song index cannot be read, so links to it were not checked: {detail}", "correct `song_index` of [run_index] or the file that it names"),
    ("RI039", _W, "run-index", "Run index", "the song index names a run for {detail}, but that run does not list it", "make the song index and the run index agree"),
    # The overrides log.
    ("RI040", _E, "run-index", "Overrides log", "the override does not state what it is for: {detail}", "state the hook, scene, packet or scope that the override is for"),
    ("RI041", _E, "run-index", "Overrides log", "the log does not contain the override that the update names", "append the override, or correct the id"),
    ("RI042", _E, "run-index", "Overrides log", "the override_id is already used on line {detail} with different content", "give each override a unique id; record later changes as OVERRIDE_UPDATE"),
    ("RI043", _W, "run-index", "Overrides log", "the run index does not contain the run of the override", "append the run, or void the override"),
    ("RI044", _E, "run-index", "Overrides log", "the {detail} of the override differs from that of its run", "void the override and append one that matches the run"),
    ("RI045", _W, "run-index", "Overrides log", "the update is older than the override", _SET_CLOCK),
    # Append-only: a log compared with a baseline or with another copy.
    ("RI050", _E, "run-index", "Run index", "a line of {detail} was removed or changed", "restore it; correct a run with a later record, an override with an update"),
    ("RI051", _E, "run-index", "Run index", "a line of {detail} was moved before a line that it followed", "restore the order; records can only be appended"),
    ("RI052", _I, "run-index", "Run index", "{detail} does not contain this log, so every line is new", "no action needed"),
    ("RI053", _W, "run-index", "Run index", "a line of {detail} that was not a record was removed", "no action needed if it was removed on purpose"),
    ("RI060", _E, "run-index", "Run index", "the two logs contain the same lines in a different order", "one of them was edited: find it with `registry-pipeline run-index check --baseline REF`"),
    ("RI070", _I, "run-index", "Run index", "the side index was not used: {detail}", "no action needed: the log itself was read; if this happens again, remove the side index file"),
)
# fmt: on

CODES: Final[Mapping[str, CodeRow]] = MappingProxyType({row[0]: CodeRow(*row) for row in _ROWS})
"""Every row of the table by its code, in the order of the table."""
COULD_NOT_CHECK: Final = frozenset(
    {"ANCHOR_NONE", "ARCHIVE_NOT_UNPACKED", "CONFIG_GIT_UNREADABLE", "REPOSITORY_UNREADABLE", "RR030"}
)
"""Errors that say that something could not be checked, not that it is invalid: exit code 7 instead of 3."""


def rows_of_family(family: str) -> tuple[CodeRow, ...]:
    """Return the rows of a family, in the order of the table."""
    return tuple(row for row in CODES.values() if row.family == family)


def family_of(finding: Finding) -> str:
    """Return the family of a finding's code, or "" if the table does not have the code."""
    row = CODES.get(finding.code)
    return "" if row is None else row.family


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
    """Return a finding of a code about `path`; `words` fill the placeholders of message and hint, `path` of the hint.

    Raises:
        KeyError: the table does not have the code, or a placeholder has no word (a bug of the caller).
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
        hint=row.hint.format(**words, path=path),
    )
