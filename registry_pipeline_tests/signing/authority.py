"""An authority of RFC 3161 time stamps, offline: a certificate of its own, and `openssl ts -reply`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = authority.pem
signer_key = authority.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """An authority, in a folder with its key."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "authority.pem"

    def answer(self, request: Path) -> Path:
        """Answer a request, in the file with the suffix .tsr beside it."""
        response = request.with_suffix(".tsr").resolve()
        files = ["-queryfile", str(request.resolve()), "-out", str(response)]
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "here", *files]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return response


def make_authority(folder: Path) -> Authority:
    """Make an authority in a folder, which must not exist."""
    folder.mkdir()
    (folder / "tsa.cnf").write_text(_CONFIGURATION, "utf-8")
    (folder / "serial").write_text("01\n", "utf-8")
    words = "req -x509 -newkey rsa:2048 -nodes -keyout authority.key -out authority.pem -days 3650 -subj /CN=authority"
    options = ["-addext", "extendedKeyUsage=critical,timeStamping"]
    subprocess.run(["openssl", *words.split(), *options], cwd=folder, check=True, capture_output=True)
    return Authority(folder)
