"""The pipeline steps (build, seal, validate, activate, render) and the reports on a repository, for CLI and Dagster.

Composition only: rules of a registry belong in `registries`, changes of the pointer file in `pointers`. May import
`pointers` and the layers below it. This file re-exports nothing: each command imports the modules that it needs.
"""
