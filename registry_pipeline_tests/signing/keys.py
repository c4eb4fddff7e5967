"""SSH keys for tests, and an agent that holds one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry_pipeline.signing.ssh import NAMESPACE


@dataclass(frozen=True)
class Key:
    """A key pair, and the name under which it may be allowed to sign."""

    principal: str
    path: Path

    @property
    def public(self) -> str:
        """The type and the text of the public key."""
        return " ".join(self.path.with_suffix(".pub").read_text("utf-8").split()[:2])

    def line(self, options: str = f'namespaces="{NAMESPACE}"') -> str:
        """Return the line of a file of allowed signers that permits this key."""
        return f"{self.principal} {options} {self.public}\n"

    def sign(self, document: Path, namespace: str = NAMESPACE) -> bytes:
        """Return a signature of a file, made without any code of this project."""
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.path)]
        return subprocess.run(command, input=document.read_bytes(), capture_output=True, check=True).stdout


def make_key(folder: Path, name: str, kind: str = "ed25519") -> Key:
    """Make a key pair without a passphrase."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return Key(f"{name}@example.org", path)


@contextmanager
def running_agent(folder: Path, key: Key) -> Iterator[str]:
    """Run an agent that has a key, and yield the value of SSH_AUTH_SOCK."""
    socket = folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
    try:
        # The first line is printed when the agent listens.
        assert agent.stdout is not None
        agent.stdout.readline()
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(key.path)], env=environment, check=True, capture_output=True)
        yield str(socket)
    finally:
        agent.terminate()
        agent.communicate()
