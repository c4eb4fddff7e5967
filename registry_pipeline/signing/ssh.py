"""Sign bytes with an SSH key, and check signatures against a file of allowed signers: both with `ssh-keygen -Y`.

The form of a signature is PROTOCOL.sshsig of OpenSSH; that of the file is the section ALLOWED SIGNERS of ssh-keygen(1).
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import Final, Literal

from registry_pipeline.errors import RefusedError
from registry_pipeline.signing.process import SIGNING_LIMIT_SECONDS, find_last_line, hold_in_memory, run_program
from registry_pipeline.values import value_type

NAMESPACE: Final = "registry-pipeline"
"""What a signature is for: ssh-keygen accepts one for git or for a file in no other place."""
PROGRAM: Final = "ssh-keygen"
FIRST_LINE: Final = b"-----BEGIN SSH SIGNATURE-----"
"""How a signature begins."""
LITERAL: Final = "key::"
KEY_TYPES: Final = ("ssh-", "ecdsa-", "sk-")
"""How the text of a public key begins; git's `user.signingKey` may also have `key::` before it."""

Verdict = Literal["good", "unknown", "bad"]


@value_type
class CheckedSignature:
    """A signature: `good` by an allowed signer, by an `unknown` key, or `bad`: not one of these bytes.

    `principal` is the name in the file of allowed signers, `key` the type and the fingerprint.
    """

    verdict: Verdict
    principal: str | None = None
    key: str | None = None

    @property
    def shown(self) -> str:
        """The signer in a message."""
        return self.principal or self.key or "nobody"


def is_signature_of(data: bytes, signature: bytes) -> bool:
    """Return whether any key made this signature of these bytes; raises as `AllowedSigners.check`."""
    return _find_signing_key(data, signature) is not None


def find_literal(key: str) -> str | None:
    """Return the public key that is stated as a text instead of a path, as git's `user.signingKey` may; else None."""
    # A path can begin like the type of a key, but the text of a key has a blank after it.
    is_literal = key.startswith(LITERAL) or (key.startswith(KEY_TYPES) and " " in key)
    return key.removeprefix(LITERAL) if is_literal else None


@value_type
class SshSigner:
    """A key: the path of a file, or the text of a public key whose private one an agent has."""

    key: str
    program: str = PROGRAM

    def sign(self, data: bytes) -> bytes:
        """Return a signature of the bytes; the program may ask for a passphrase or for a touch.

        Raises:
            NotFoundError: ssh-keygen is not installed, or does not end.
            RefusedError: it made no signature; nothing was changed.
        """
        literal = find_literal(self.key)
        command = [self.program, "-Y", "sign", "-n", NAMESPACE]
        if literal is None:
            done = run_program([*command, "-f", self.key], data, limit=SIGNING_LIMIT_SECONDS)
        else:
            with hold_in_memory(f"{literal}\n".encode()) as number:
                command += ["-U", "-f", f"/dev/fd/{number}"]
                done = run_program(command, data, files=[number], limit=SIGNING_LIMIT_SECONDS)
        if done.returncode != 0 or not done.stdout.startswith(FIRST_LINE):
            raise RefusedError(
                f"the key {self.key} did not sign: {find_last_line(done.stderr)}",
                "check the key, its passphrase and the agent with `ssh-add -l`, or leave out --sign",
            )
        return done.stdout


@value_type
class AllowedSigners:
    """The content of the file that says which keys may sign under which name, and of a file of revoked keys."""

    lines: bytes
    revoked: bytes | None = None

    def check(self, data: bytes, signature: bytes, moment: datetime, *, namespace: str = NAMESPACE) -> CheckedSignature:
        """Return whose signature of the bytes it is, by the lines of the file that are valid at a moment.

        Raises:
            NotFoundError: ssh-keygen is not installed, or does not end.
        """
        # ssh-keygen reads the time in the time zone of the process.
        at = f"-Overify-time={moment:%Y%m%d%H%M%S}"
        with hold_in_memory(signature) as given, hold_in_memory(self.lines) as lines, ExitStack() as stack:
            files, revoked = [given, lines], list[str]()
            if self.revoked is not None:
                files.append(stack.enter_context(hold_in_memory(self.revoked)))
                revoked = ["-r", f"/dev/fd/{files[-1]}"]
            common = ["-s", f"/dev/fd/{given}", "-f", f"/dev/fd/{lines}", at]
            found = run_program([PROGRAM, "-Y", "find-principals", *common], files=files)
            for principal in found.stdout.decode("utf-8", "replace").splitlines() if found.returncode == 0 else ():
                verify = [PROGRAM, "-Y", "verify", *common, *revoked, "-I", principal, "-n", namespace]
                done = run_program(verify, data, files=files)
                if done.returncode == 0:
                    return CheckedSignature("good", principal, _find_key(done.stdout))
        key = _find_signing_key(data, signature, namespace)
        return CheckedSignature("bad" if key is None else "unknown", key=key)


def _find_signing_key(data: bytes, signature: bytes, namespace: str = NAMESPACE) -> str | None:
    """Return the key that made a signature of these bytes, whether or not it is allowed; None if none did."""
    with hold_in_memory(signature) as number:
        command = [PROGRAM, "-Y", "check-novalidate", "-s", f"/dev/fd/{number}", "-n", namespace]
        done = run_program(command, data, files=[number])
    return _find_key(done.stdout) if done.returncode == 0 else None


def _find_key(output: bytes) -> str:
    """Return the type and the fingerprint of the key, of what ssh-keygen prints about a good signature."""
    return output.decode("utf-8", "replace").strip().rpartition(" with ")[2].replace(" key ", " ")
