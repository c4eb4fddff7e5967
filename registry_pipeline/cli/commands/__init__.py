"""The commands, one module per command: parse the options, call the pipeline, print through the reporter.

Each module defines `command`. No rules and no import of Dagster belong here.
"""
