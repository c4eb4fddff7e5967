"""The Dagster door: assets, checks, IO manager, jobs, sensor and schedule over the runbook (DESIGN 2).

Holds the only code that knows Dagster. Keeps out rules: what is built, sealed, judged and put in force is decided by
`runbook`, for Dagster and the command line alike. May import `runbook`, `catalog` and the floors below; never `cli`.

Files with decorated functions or resources postpone no annotations: Dagster reads them as they stand.
"""
