"""The generator of the example repository: a tide-gauge team with nightly jobs, valid runs and damaged ones.

Only the command `example` imports it.
"""
