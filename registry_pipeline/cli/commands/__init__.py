"""The verbs, one file each: parse the options, ask the runbook, hand the answer to the reporter.

Keeps out rules, printing and Dagster. Each module holds `command`.
"""
