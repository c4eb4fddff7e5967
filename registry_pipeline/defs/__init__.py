"""The Dagster interface over the pipeline: assets, checks, IO manager, jobs, sensors and schedule.

With the package `dagster`, contains the only code that imports Dagster, and no rules: what is built, sealed, validated
and activated is decided by the pipeline. May import the pipeline and below, never `cli`.

Modules with decorated functions or resources do not postpone annotations, because Dagster reads them.
"""
