"""What a command found, in the form that the formats for other programs need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from registry_pipeline.cli.exit_codes import ConditionResult
from registry_pipeline.findings.finding import Finding, Severity
from registry_pipeline.values import field, value_type


@value_type
class Message:
    """Something to show that is no finding, such as a condition of `--fail-on`."""

    title: str
    severity: Severity
    text: str


@value_type
class Report:
    """The result of a command for other programs.

    Attributes:
        command: the command with its group, such as `registry-pipeline roles check`.
        conditions: the results of `--fail-on`.
        checked: the paths that were checked, each with the reason if it was skipped, otherwise "".
        failure: why the command failed or had nothing to check; None if it has a result.
        exit_code: the exit code of `failure`.
    """

    command: str
    findings: tuple[Finding, ...] = ()
    conditions: tuple[ConditionResult, ...] = ()
    checked: Mapping[str, str] = field(default_factory=dict)
    failure: Message | None = None
    exit_code: int = 0

    def messages(self) -> Iterator[Message]:
        """Yield the failure, then the conditions that did not pass."""
        if self.failure is not None:
            yield self.failure
        yield from make_condition_messages(self.conditions)


def make_condition_messages(conditions: Iterable[ConditionResult]) -> Iterator[Message]:
    """Yield an error for each condition of `--fail-on` that failed, and a warning for each that is unknown."""
    for condition in conditions:
        if condition.result != "passed":
            severity = Severity.ERROR if condition.result == "failed" else Severity.WARNING
            yield Message(f"--fail-on {condition.condition} {condition.result}", severity, condition.reason)
