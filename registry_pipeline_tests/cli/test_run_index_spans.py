"""Spans of the run index: full seconds, both ends included."""

from __future__ import annotations

from registry_pipeline_tests.cli.conftest import Repository


def test_a_record_of_a_full_second_is_not_after_a_fraction_of_it(known: Repository) -> None:
    def count(*words: str) -> int:
        return int(known("run-index", "list", "--json", *words).document("run-index-list")["count"])

    assert count("--since", "2026-01-07T09:00:00Z", "--until", "2026-01-07T09:00:00.9Z") == 1
    assert count("--since", "2026-01-07T09:00:00.1Z", "--until", "2026-01-07T09:00:01Z") == 0
    assert count("--since", "9999-12-31T23:59:59.5Z") == 0
