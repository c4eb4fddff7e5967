"""An authority of RFC 3161 time stamps, offline: a certificate of its own, and `openssl ts -reply`."""

from __future__ import annotations

import base64
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


def replace_status(response: Path, text: str) -> bytes:
    """Return an answer with another status text, which nobody signs, around its token."""
    length = 4  # the answer is longer than 255 bytes, so its length has two bytes
    body = response.read_bytes()[length:]
    token = body[2 + body[1] :]
    status = _encode(0x30, _encode(0x02, b"\0") + _encode(0x30, _encode(0x0C, text.encode())))
    return _encode(0x30, status + token)


def _encode(tag: int, content: bytes) -> bytes:
    """Return a value in DER."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


EXPIRED_CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIIBTzCB9qADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWF1dGhvcml0
eTAeFw0yNjExMjMyMTU1MTBaFw0yNjExMjMyMTU2MTNaMBQxEjAQBgNVBAMMCWF1
dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNQ1vxmniieyZ+raxcmM
4eTonEEGxyzkJkQh3qeuP22qD083MGndJ8jfSOK7CNW0bIPSk4PKKvQg4P1/sRS3
aF2jOTA3MBYGA1UdJQEB/wQMMAoGCCsGAQUFBwMIMB0GA1UdDgQWBBQ7nVAkqbIi
9iTHb5ZsRKhCM6tJazAKBggqhkjOPQQDAgNIADBFAiB0rZf/hC2bO75OJvk4POXB
oMgdlF3DhPXJnb2XLKEGggIhAKV1cEdFe/D5CfSRfbRrMKjVh5nLJpMyJqC0BMXr
KFlZ
-----END CERTIFICATE-----
"""
"""Of an authority, for one minute."""
EXPIRED_RESPONSE = base64.b64decode(
    """
MIIDJzADAgEAMIIDHgYJKoZIhvcNAQcCoIIDDzCCAwsCAQMxDzANBglghkgBZQMEAgEFADBtBgsqhkiG9w0BCRABBKBeBFwwWgIBAQYDKgMEMD
EwDQYJYIZIAWUDBAIBBQAEIKurq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urAgECGA8yMDI2MTEyMzIxNTYxMFoCCQDOcHb82U7en6CC
AVMwggFPMIH2oAMCAQICAQEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJYXV0aG9yaXR5MB4XDTI2MTEyMzIxNTUxMFoXDTI2MTEyMzIxNTYxM1
owFDESMBAGA1UEAwwJYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1DW/GaeKJ7Jn6trFyYzh5OicQQbHLOQmRCHep64/baoP
Tzcwad0nyN9I4rsI1bRsg9KTg8oq9CDg/X+xFLdoXaM5MDcwFgYDVR0lAQH/BAwwCgYIKwYBBQUHAwgwHQYDVR0OBBYEFDudUCSpsiL2JMdvlm
xEqEIzq0lrMAoGCCqGSM49BAMCA0gAMEUCIHStl/+ELZs7vk4m+Tg85cGgyB2UXcOE9cmdvZcsoQaCAiEApXVwR0V78PkJ9JF9tGswqNWHmcsm
kzImoLQExesoWVkxggEtMIIBKQIBATAZMBQxEjAQBgNVBAMMCWF1dGhvcml0eQIBATANBglghkgBZQMEAgEFAKCBpDAaBgkqhkiG9w0BCQMxDQ
YLKoZIhvcNAQkQAQQwHAYJKoZIhvcNAQkFMQ8XDTI2MTEyMzIxNTYxMFowLwYJKoZIhvcNAQkEMSIEIJHNJb/lTIo7qZN5Gp9n87V4scrRmXrA
9UGZUa0IGlAGMDcGCyqGSIb3DQEJEAIvMSgwJjAkMCIEINsKM+UHEXeM9nCNJS8pinchB41e01+uZxvQUU3IQrSLMAoGCCqGSM49BAMCBEcwRQ
IhALHSFu1bQ4+pKUekRlfJ83+ZPLKCUsPfKoIBk2hM5LGyAiAoD2GZw1xkcfb7bI0HEI503hcJG2jsk9Dx4JH0ssb5+A==
"""
)
"""Its answer within that minute, for a hash of 32 bytes `ab`."""
LATE_RESPONSE = base64.b64decode(
    """
MIIDKDADAgEAMIIDHwYJKoZIhvcNAQcCoIIDEDCCAwwCAQMxDzANBglghkgBZQMEAgEFADBtBgsqhkiG9w0BCRABBKBeBFwwWgIBAQYDKgMEMD
EwDQYJYIZIAWUDBAIBBQAEIKurq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urAgEDGA8yMDI2MTEyMzIxNTYxNVoCCQDOcHb82U7en6CC
AVMwggFPMIH2oAMCAQICAQEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJYXV0aG9yaXR5MB4XDTI2MTEyMzIxNTUxMFoXDTI2MTEyMzIxNTYxM1
owFDESMBAGA1UEAwwJYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1DW/GaeKJ7Jn6trFyYzh5OicQQbHLOQmRCHep64/baoP
Tzcwad0nyN9I4rsI1bRsg9KTg8oq9CDg/X+xFLdoXaM5MDcwFgYDVR0lAQH/BAwwCgYIKwYBBQUHAwgwHQYDVR0OBBYEFDudUCSpsiL2JMdvlm
xEqEIzq0lrMAoGCCqGSM49BAMCA0gAMEUCIHStl/+ELZs7vk4m+Tg85cGgyB2UXcOE9cmdvZcsoQaCAiEApXVwR0V78PkJ9JF9tGswqNWHmcsm
kzImoLQExesoWVkxggEuMIIBKgIBATAZMBQxEjAQBgNVBAMMCWF1dGhvcml0eQIBATANBglghkgBZQMEAgEFAKCBpDAaBgkqhkiG9w0BCQMxDQ
YLKoZIhvcNAQkQAQQwHAYJKoZIhvcNAQkFMQ8XDTI2MTEyMzIxNTYxNVowLwYJKoZIhvcNAQkEMSIEIMM8YCybYTFj8wObSfchh93m06bIR+TT
nxqoAwYdRnGiMDcGCyqGSIb3DQEJEAIvMSgwJjAkMCIEINsKM+UHEXeM9nCNJS8pinchB41e01+uZxvQUU3IQrSLMAoGCCqGSM49BAMCBEgwRg
IhANFUz6TkEr9hpiISwR24I2e7/K/+Fx62R80OzJ8CDBTjAiEAigIdwYrdb+MhiAJF+RpwGQCUAChB2TuSd/w/KwVuGiU=
"""
)
"""Its answer after that minute."""
