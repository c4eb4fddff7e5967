"""The pipeline steps (build, seal, validate, activate, render) and what is composed of them.

Shared by the command line and Dagster. May import `pointers` and below.
"""
