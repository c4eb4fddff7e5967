"""An archive of a run folder has the findings and the verdict of the folder, and unpacking it harms nothing."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.config import Config, Repository
from registry_pipeline.files.path_policy import find_collisions, path_codes
from registry_pipeline.runs.archive import unpack_archive, verify_runs
from registry_pipeline.runs.archive_index import read_archive_index
from registry_pipeline.runs.archive_reader import ArchiveError
from registry_pipeline.runs.archive_writer import write_archive
from registry_pipeline.runs.scan import read_run_folders
from registry_pipeline.runs.sealed_run import SealReport
from registry_pipeline.runs.verify import verify_folder
from registry_pipeline_tests.cases.layout import Case, find_cases
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.runs.case_specs import RUN_ID, sealed_files, verify_case, write_tree

# Archives have no sockets, holes and faults, `tarfile` follows no link, and these steps replace the folder itself.
_NOT_PACKED = {
    "pack",
    "fill_disk",
    "deny",
    "grow",
    "link",
    "fifo",
    "socket",
    "truncate",
    "link_folder",
    "replace_folder",
}


def _make_tar(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    """Return an archive with a sealed run, then other entries."""
    file = io.BytesIO()
    files = [(f"{RUN_ID}/{relpath}", data) for relpath, data in sealed_files().items()]
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in (*files, *entries):
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return file.getvalue()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def verify(tmp_path: Path, scratch: Path) -> Callable[[bytes, str], SealReport]:
    def run(data: bytes, name: str = "x.tar") -> SealReport:
        (tmp_path / name).write_bytes(data)
        (report,) = verify_runs(tmp_path / name, display_path="X")
        assert list(scratch.iterdir()) == []
        return report

    return run


def _codes(report: SealReport) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in report.findings]


_PACKABLE = [
    case for case in find_cases("seal") if not _NOT_PACKED & {step["op"] for step in case.arguments.get("steps", ())}
]


@pytest.mark.parametrize("case", _PACKABLE, ids=lambda case: case.name)
def test_an_archive_has_the_findings_of_its_folder(case: Case, tmp_path: Path) -> None:
    folder = verify_case(case, tmp_path / "a")

    archive = verify_case(case, tmp_path / "b", {"op": "pack"})

    # A hard link out of the folder is an ordinary file in an archive.
    expected = [entry for entry in _codes(folder) if entry[0] != "WARN_HARDLINK"]
    assert (archive.verdict, archive.run_id, archive.root_sha256, _codes(archive)) == (
        folder.verdict,
        folder.run_id,
        folder.root_sha256,
        expected,
    )


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz"])
def test_each_suffix_is_read(name: str, verify: Callable[..., SealReport]) -> None:
    data = _make_tar()

    report = verify(data if name == "x.tar" else gzip.compress(data), name)

    assert (report.verdict, report.run_id, report.path) == ("pass", RUN_ID, "X")


def test_without_a_folder_in_it_the_name_of_the_archive_is_that_of_the_run(
    tmp_path: Path, verify: Callable[..., SealReport]
) -> None:
    write_tree(tmp_path / "any", sealed_files())
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(tmp_path / "any", ".")

    assert verify(file.getvalue(), f"{RUN_ID}.tar").verdict == "pass"
    assert _codes(verify(file.getvalue())) == [("RUN_ID_FOLDER_MISMATCH", "X/run.json")]


def test_a_folder_far_below_the_root_is_found(verify: Callable[..., SealReport]) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for relpath, data in sealed_files().items():
            info = tarfile.TarInfo(f"./backup/.codex/RUNS/{RUN_ID}/{relpath}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

    assert verify(file.getvalue()).verdict == "pass"


def test_a_hard_link_between_files_of_the_archive_is_a_warning_as_in_the_folder(
    tmp_path: Path, verify: Callable[..., SealReport]
) -> None:
    folder = tmp_path / RUN_ID
    write_tree(folder, sealed_files({"a": b"x", "b": b"x"}))
    (folder / "b").unlink()
    (folder / "b").hardlink_to(folder / "a")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(folder, RUN_ID)

    report = verify(file.getvalue())

    assert (report.verdict, _codes(report)) == ("pass", [("WARN_HARDLINK", "X/a"), ("WARN_HARDLINK", "X/b")])


def test_nothing_is_written_outside_the_temporary_folder(tmp_path: Path, verify: Callable[..., SealReport]) -> None:
    link = tarfile.TarInfo(f"{RUN_ID}/out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    paths = ("../up", "/" + str(tmp_path / "absolute").lstrip("/"), f"{RUN_ID}/../../up", f"{RUN_ID}/out/through")

    report = verify(_make_tar(link, *((path, b"x") for path in paths)))

    assert report.verdict == "fail"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "x.tar"]


def test_a_header_of_any_size_is_refused_before_it_is_in_memory(verify: Callable[..., SealReport]) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**40

    report = verify(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(2**21)), "x.tar.gz")

    assert [finding.message for finding in report.findings] == [
        "the archive cannot be verified: the header of an entry has more than 1048576 bytes"
    ]


def test_many_headers_of_one_entry_count_together(verify: Callable[..., SealReport]) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**19
    comment = b"%d comment=" % 2**19
    headers = header.tobuf() + comment + b"x" * (2**19 - len(comment) - 1) + b"\n"

    assert _codes(verify(headers * 3 + _make_tar())) == [("ARCHIVE_INVALID", "X")]
    assert verify(headers + _make_tar()).verdict == "pass"


def test_the_number_of_entries_does_not_count_in_memory(verify: Callable[..., SealReport]) -> None:
    folder = tarfile.TarInfo(RUN_ID)
    folder.type = tarfile.DIRTYPE
    data = folder.tobuf() * 10_000 + _make_tar()
    tracemalloc.start()

    verdict = verify(data).verdict

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (verdict, most < 2**21) == ("pass", True)


@pytest.mark.parametrize("target", ["absent", RUN_ID, f"{RUN_ID}/later", "../x", ""])
def test_a_hard_link_to_no_earlier_file_of_the_archive_is_not_made(
    target: str, verify: Callable[..., SealReport]
) -> None:
    link = tarfile.TarInfo(f"{RUN_ID}/copy")
    link.type, link.linkname = tarfile.LNKTYPE, target

    assert _codes(verify(_make_tar(link, (f"{RUN_ID}/later", b"x")))) == [
        ("NOT_REGULAR", "X"),
        ("UNLISTED_FILE", "X/later"),
    ]


def test_an_archive_that_needs_more_than_the_free_space_could_not_be_checked(verify: Callable[..., SealReport]) -> None:
    large = tarfile.TarInfo(f"{RUN_ID}/large")
    large.size = 2**60

    assert _codes(verify(large.tobuf(tarfile.GNU_FORMAT))) == [("ARCHIVE_NOT_UNPACKED", "X")]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["os.mkdir", "shutil.copyfileobj", "tempfile.mkdtemp"])
def test_a_refused_write_is_could_not_check_and_says_why(
    call: str, error: int, verify: Callable[..., SealReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    data, real = _make_tar(), os.mkdir
    # `tempfile` makes its own folder with the same call.
    in_archive = lambda path, *more: refuse() if RUN_ID in str(path) else real(path, *more)  # noqa: E731
    monkeypatch.setattr(call, in_archive if call == "os.mkdir" else refuse)

    report = verify(data)

    assert [finding.message for finding in report.findings] == [
        f"the archive cannot be unpacked on this machine: {os.strerror(error)}"
    ]


@pytest.mark.parametrize("size", [-512, -1])
def test_an_entry_of_a_negative_size_ends_the_reading(size: int, verify: Callable[..., SealReport]) -> None:
    header = bytearray(tarfile.TarInfo(f"{RUN_ID}/x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:]))

    report = verify(bytes(header) + _make_tar())

    assert [finding.message for finding in report.findings] == [
        f"the archive cannot be verified: the size of '{RUN_ID}/x' is {size}"
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"not a tar", "truncated header"),
        (bytes(10240), "it contains nothing instead of one run folder"),
        (_make_tar()[:2048], "the end marker is missing: it is cut off, or a header is damaged"),
        (_make_tar() + b"x", "other data follows the end marker"),
    ],
)
def test_what_is_no_whole_archive_is_one_finding(data: bytes, message: str, verify: Callable[..., SealReport]) -> None:
    report = verify(data)

    assert [finding.message for finding in report.findings] == [f"the archive cannot be verified: {message}"]


def test_a_file_that_is_no_gzip_is_one_finding(verify: Callable[..., SealReport]) -> None:
    assert _codes(verify(_make_tar(), "x.tar.gz")) == [("ARCHIVE_INVALID", "X")]


def test_a_pipe_with_the_name_of_an_archive_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tar.gz")

    assert _codes(*verify_runs(tmp_path / "x.tar.gz", display_path="X")) == [("FOLDER_NOT_DIRECTORY", "X")]


@given(data=st.data())
@examples(60)
def test_an_archive_with_any_changed_bytes_gives_findings_and_passes_only_with_the_sealed_content(
    data: st.DataObject,
) -> None:
    whole = bytearray(_make_tar())
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[position] = data.draw(st.integers(0, 255))
    packed = gzip.compress(bytes(whole), mtime=0) if data.draw(st.booleans()) else bytes(whole)
    cut = packed[: data.draw(st.integers(0, len(packed)))] if data.draw(st.booleans()) else packed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("x.tar" if packed[:2] != b"\x1f\x8b" else "x.tar.gz")
        path.write_bytes(cut)
        (report,) = verify_runs(path)

    # The root commits to every name and byte, so a pass with this root has the sealed content.
    original = sealed_files()["MANIFEST.sha256"].decode().split()[-1]
    assert (report.verdict == "pass") <= (report.root_sha256 == original and not report.findings)


OTHER_ID = "2026-01-11__000000__other"


def _pack_two(*entries: tuple[str, bytes]) -> bytes:
    """Return an archive with two sealed runs in one run root, then other entries."""
    files = [(f"RUNS/{RUN_ID}/{relpath}", data) for relpath, data in sealed_files().items()]
    files += [(f"RUNS/{OTHER_ID}/{relpath}", data) for relpath, data in sealed_files(run_id=OTHER_ID).items()]
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (*files, *entries):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _verify_two(tmp_path: Path, data: bytes) -> list[tuple[str, str, str]]:
    (tmp_path / "x.tar").write_bytes(data)
    reports = verify_runs(tmp_path / "x.tar", display_path="X")
    return [(report.path, report.run_id, report.verdict) for report in reports]


_BOTH = [(f"X/RUNS/{run_id}", run_id, "pass") for run_id in sorted((RUN_ID, OTHER_ID))]


def test_every_run_of_an_archive_of_several_has_a_report(tmp_path: Path) -> None:
    assert _verify_two(tmp_path, _pack_two()) == _BOTH


def test_an_entry_that_is_left_out_fails_the_archive_and_not_its_runs(tmp_path: Path) -> None:
    assert _verify_two(tmp_path, _pack_two(("../up", b"x"))) == [("X", "x", "fail"), *_BOTH]
    assert not (tmp_path.parent / "up").exists()


def test_a_changed_run_fails_alone(tmp_path: Path) -> None:
    reports = _verify_two(tmp_path, _pack_two((f"RUNS/{OTHER_ID}/more", b"x")))

    assert {path: verdict for path, _, verdict in reports} == {
        f"X/RUNS/{RUN_ID}": "pass",
        f"X/RUNS/{OTHER_ID}": "fail",
    }


def test_runs_of_several_roots_are_found_at_any_depth(tmp_path: Path) -> None:
    more = [(f"deep/er/{OTHER_ID}/{relpath}", data) for relpath, data in sealed_files(run_id=OTHER_ID).items()]

    reports = _verify_two(tmp_path, _pack_two(*more))

    assert [path for path, _, _ in reports] == [*(path for path, _, _ in _BOTH), f"X/deep/er/{OTHER_ID}"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("../up", b"")], "path or size of the entry '../up' is unsafe"),
        ([(f"RUNS/{RUN_ID}/run.json", b"{}")], f"the path 'RUNS/{RUN_ID}/run.json' occurs twice"),
        ([("RUNS/notes/a.txt", b"")], "the folder RUNS/notes is not sealed"),
        (
            [(f"RUNS/{RUN_ID}/more", b"")],
            f"the files of RUNS/{RUN_ID} do not have the root hash that its MANIFEST.sha256 states",
        ),
        ([("top.txt", b"")], "the folder . is not sealed"),
    ],
)
def test_an_index_refuses_what_is_no_archive_of_sealed_runs(
    entries: list[tuple[str, bytes]], message: str, tmp_path: Path
) -> None:
    (tmp_path / "x.tar").write_bytes(_pack_two(*entries))

    with pytest.raises(ArchiveError) as caught:
        read_archive_index(str(tmp_path / "x.tar"))

    assert (caught.value.code, str(caught.value)) == ("ARCHIVE_INVALID", message)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_an_index_refuses_links_and_devices(kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo(f"{RUN_ID}/out")
    entry.type, entry.linkname = kind, f"{RUN_ID}/run.json"
    (tmp_path / "x.tar").write_bytes(_make_tar(entry))

    with pytest.raises(ArchiveError, match=r"the entry .* is "):
        read_archive_index(str(tmp_path / "x.tar"))


_NAMES = st.text("abcdeé-. ", min_size=1, max_size=6).filter(lambda name: not path_codes(name))
_TREES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), max_size=5
).filter(lambda files: "run.json" not in files and not find_collisions(sorted(files)))


@given(trees=st.lists(_TREES, min_size=1, max_size=3), suffix=st.sampled_from([".tar", ".tgz", ".tar.gz"]))
@examples(40)
def test_written_and_unpacked_runs_are_the_same_and_the_index_is_what_a_scan_reads(
    trees: list[dict[str, bytes]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("law")
    folders = []
    for number, files in enumerate(trees):
        run_id = f"2026-01-{number + 10}__000000__law"
        write_tree(root / "runs" / run_id, sealed_files(files, run_id=run_id))
        folders.append(f"runs/{run_id}")
    first, again = root / f"a{suffix}", root / f"b{suffix}"
    write_archive(first, root, folders)
    write_archive(again, root, reversed(folders))

    assert first.read_bytes() == again.read_bytes()
    (root / "out").mkdir()
    unpacked = unpack_archive(str(first), str(root / "out"), "X")
    assert ([run.relpath for run in unpacked.runs], unpacked.findings) == (folders, ())
    for run in unpacked.runs:
        before = {path.relative_to(root / run.relpath): path for path in (root / run.relpath).rglob("*")}
        after = {path.relative_to(run.folder): path for path in Path(run.folder).rglob("*")}
        assert before.keys() == after.keys()
        assert all(path.is_dir() or path.read_bytes() == after[name].read_bytes() for name, path in before.items())
        expected = verify_folder(root / run.relpath)
        assert (expected.verdict, run.verify("X").root_sha256) == ("pass", expected.root_sha256)
    assert read_archive_index(str(first)) == read_run_folders(Repository(root, Config()), ["runs"]).runs
