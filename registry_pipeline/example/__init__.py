"""The example repository: a tide-gauge team with nightly jobs, agents, and valid and damaged evidence.

The modules describe its documents, commits and run folders from a seed and an instant, and list the findings that a
verifier must report; `make` writes them. Imported by the command `example` only.
"""
