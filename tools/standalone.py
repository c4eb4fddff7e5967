"""Pack the standalone verifier and the modules that it imports into one file, `registry-verify.pyz`.

Needs Python alone. The same sources give the same bytes. It fails if a module of it imports a third-party package.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
import zipfile
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MODULE: Final = "registry_pipeline.seal.standalone"
# The oldest time that a zip archive can state.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MAIN: Final = """\
import sys

if sys.version_info < (3, 11):
    sys.stderr.write("error: registry-verify.pyz needs Python 3.11 or newer\\n")
    sys.exit(2)
from {module} import main

sys.exit(main(version={version!r}))
"""


def find_modules() -> dict[str, Path]:
    """Return the files of all modules that the verifier can import, by their path in the archive.

    Raises:
        SystemExit: one of them imports a third-party package.
    """
    # Only the project is searched: the modules of the standard library end up among those that are not found.
    finder = ModuleFinder(path=[str(ROOT)])
    finder.import_hook(MODULE, None, ["main"])
    others = {name.partition(".")[0] for name in finder.badmodules} - sys.stdlib_module_names - {"registry_pipeline"}
    if others:
        raise SystemExit(f"{MODULE} imports {', '.join(sorted(others))}, which a bare Python does not have")
    files = [Path(file) for module in finder.modules.values() if (file := getattr(module, "__file__", None))]
    return {file.relative_to(ROOT).as_posix(): file for file in sorted(files)}


def write_archive(target: Path) -> None:
    """Write the archive; it can be executed by its name, too."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    files = {"__main__.py": _MAIN.format(module=MODULE, version=version).encode()}
    files |= {name: path.read_bytes() for name, path in find_modules().items()} | {
        "LICENSE": (ROOT / "LICENSE").read_bytes()
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        # Stored: how well zlib compresses differs between its versions.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    target.chmod(0o755)


def main() -> None:
    """Write the archive that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", type=Path, default=ROOT / "dist/registry-verify.pyz")
    target: Path = parser.parse_args().target
    write_archive(target)
    print(f"written: {target}")


if __name__ == "__main__":
    main()
