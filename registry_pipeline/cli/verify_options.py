"""The options of `verify`, and which of them contradict each other."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.values import value_type


@value_type
class VerifyOptions:
    """The options of `verify`, as click parsed them."""

    names: tuple[str, ...]
    all_folders: bool
    active: bool
    pointers: bool
    chain: bool
    expect: str | None
    anchors: bool
    signed: bool
    allowed_signers: Path | None
    authorities: Path | None
    inputs: bool
    baseline: str | None
    only: str | None
    require_sealed: bool
    strict: bool
    jobs: int | None
    fail_on: tuple[str, ...]

    @property
    def includes_pointers(self) -> bool:
        """Whether the pointer file and the chain are checked, too."""
        return self.all_folders or self.active or self.pointers

    @property
    def needs_repository(self) -> bool:
        """Whether anything but named runs is verified."""
        others = (
            self.chain
            or self.signed
            or self.inputs
            or self.baseline is not None
            or bool(set(self.fail_on) - {"warning"})
        )
        return self.includes_pointers or others

    def refuse_contradictions(self) -> None:
        """Raise a usage error if nothing is to be verified, or an option lacks another one that it needs."""
        if not (self.names or self.includes_pointers or self.chain) and self.baseline is None:
            raise click.UsageError("name a run, or add --all, --active, --pointers, --chain or --baseline REF")
        if self.expect and not self.chain:
            raise click.UsageError("--expect needs --chain")
        if self.anchors and not self.chain:
            raise click.UsageError("--anchors needs --chain")
        if self.signed and not (self.names or self.includes_pointers or self.chain):
            raise click.UsageError("--signed needs --chain, or runs: name one, or add --all or --active")
        if self.allowed_signers is not None and not (self.signed or self.anchors):
            raise click.UsageError("--allowed-signers needs --signed or --anchors")
        if self.authorities is not None and not self.anchors:
            raise click.UsageError("--authorities needs --anchors")
        if self.inputs and not (self.names or self.all_folders or self.active):
            raise click.UsageError("--inputs needs runs: name one, or add --all or --active")
        if self.require_sealed and not self.all_folders:
            raise click.UsageError("--require-sealed needs --all; a named folder must be sealed anyway")
