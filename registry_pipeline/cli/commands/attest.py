"""`attest`: export a sealed run as a signed in-toto statement."""

from __future__ import annotations

from pathlib import Path

import click

from registry_pipeline.canonical import json_line
from registry_pipeline.cli.completion import complete_run
from registry_pipeline.cli.exit_codes import ExitCode, exit_code_of
from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter, format_finding
from registry_pipeline.cli.run_argument import find_named_run
from registry_pipeline.config import find_repository
from registry_pipeline.files.atomic_write import overwrite_file, refuse_missing_folder
from registry_pipeline.pipeline.attestation import attest_run
from registry_pipeline.pipeline.page_folder import refuse_evidence
from registry_pipeline.signing.keys import find_envelope_signer


@command(
    "attest",
    ("attest latest", "the newest run, signed with the key of the environment or of git"),
    ("attest latest --key attestation_key -o latest.intoto.jsonl", "with a key of its own, into a file"),
)
@click.argument("word", metavar="RUN|PATH", shell_complete=complete_run)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The ed25519 private key; default: REGISTRY_PIPELINE_SIGNING_KEY, or git's user.signingKey.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the envelope to this file.",
)
def attest_command(reporter: Reporter, word: str, key: Path | None, output: Path | None) -> int:
    """Export a signed statement of where a run comes from.

    Verifies the run as `verify RUN` does, and prints one line of JSON: a DSSE envelope with an in-toto Statement v1.
    Its subjects are the root hash of the run and every sealed file. Its predicate is SLSA provenance of what run.json
    states: builder, inputs with their hashes, commit, times. What run.json does not state is absent.

    The key is an OpenSSH or PEM file with an ed25519 key and no passphrase. Needs the extra `attest` of the
    installation. The same run and key give the same bytes. Exits 3 if the run does not verify, is marked bad, or the
    chain is invalid; 5 if the key cannot sign an envelope, only an agent has it, or the run belongs to another
    repository; 7 if the run, the key or the extra is missing. Nothing is written then.
    """
    if output is None and reporter.settings.format not in ("text", "json"):
        raise click.UsageError(f"--format {reporter.settings.format} prints no envelope: add -o FILE")
    repository = find_repository(reporter.settings.repo)
    if output is not None:
        refuse_missing_folder(output)
        refuse_evidence(repository, output, "attestations")
    signer = find_envelope_signer(repository, key)
    attestation = attest_run(repository, find_named_run(repository, word), signer)
    verdict, findings = attestation.verdict, attestation.findings
    envelope = b"" if attestation.envelope is None else json_line(attestation.envelope)
    if output is not None and envelope:
        overwrite_file(output, envelope)
    if reporter.settings.format == "text" and output is None and envelope:
        # Only the envelope: it is for a file or another program.
        for finding in findings:
            reporter.note(format_finding(finding))
        reporter.print_bytes(envelope)
        return ExitCode.FINE

    def print_text(page: Page) -> None:
        page.findings(findings)
        if attestation.envelope is None:
            page.line("refused: nothing was signed", style="bold red")
        else:
            page.line(f"attested  {verdict.path} {verdict.root_sha256}", style="bold")
            page.line(f"key       {signer.key}, keyid {signer.keyid}")

    document = {
        "path": verdict.path,
        "run_id": verdict.run_id,
        "root_sha256": verdict.root_sha256,
        "key": signer.key,
        "keyid": signer.keyid,
        "output": None if output is None or not envelope else str(output),
        "envelope": attestation.envelope,
        "findings": [finding.to_json() for finding in findings],
    }
    reporter.print_result(document, findings, print_text)
    return exit_code_of(findings)
