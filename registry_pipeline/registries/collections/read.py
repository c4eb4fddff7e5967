"""Read a member of a collection, checked before anything is sealed.

A member that is malformed is refused: a finding, and inputs without files. The other members are sealed all the same.
"""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.findings.display import list_some, printable
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, RegistrySpec, SourceContext
from registry_pipeline.registries.collections.members import PACK_FOLDER, Member, read_identity
from registry_pipeline.registries.collections.pack_check import PackInputs, check_pack
from registry_pipeline.values import replace


def read_range(repository: Repository, spec: RegistrySpec, member: Member) -> BuildInputs:
    """Capture the results of one range of days; each line is a record."""
    capture = CaptureReader(spec.registry_id, repository, SourceContext())
    name = member.source.rpartition("/")[2]
    if member.problem:
        capture.refuse("CAPTURE_MALFORMED", member.source, detail=f"it is {member.problem}")
    else:
        capture.capture_file(member.source, name)
    return capture.make_build_inputs(capture.files.get(name, b"").count(b"\n"))


def read_pack(repository: Repository, spec: RegistrySpec, member: Member) -> BuildInputs:
    """Capture the files of an evidence pack, checked against its pack_sha256.txt."""
    capture = CaptureReader(spec.registry_id, repository, SourceContext())
    if member.problem:
        capture.refuse("CAPTURE_MALFORMED", member.source, detail=printable(member.problem))
        return capture.make_build_inputs()
    for path, *_ in member.identity:
        capture.capture_file(f"{member.source}/{path}", path, check_schema=False)
    if capture.refused:
        return capture.make_build_inputs()
    if read_identity(repository, spec, member) != member.identity:
        capture.refuse("CAPTURE_MALFORMED", member.source, detail="it changed while it was read; build it again")
    check = check_pack(capture.files)
    # One finding for each kind of problem: a pack has hundreds of files.
    for code in sorted({code for code, _ in check.problems}):
        details = [detail for other, detail in check.problems if other == code]
        capture.refuse(code, member.source, detail=printable(list_some(details, "; ")))
    gathered = capture.make_build_inputs()
    if gathered.inputs is None:
        return gathered
    return replace(gathered, inputs=PackInputs(member.member_id, PACK_FOLDER, capture.files, check))
