"""The pipeline steps (build, seal, validate, activate, render) and the reports on a repository, for CLI and Dagster.

This file re-exports nothing: each command imports the modules that it needs.
"""
