"""What all registries share: the registry row, values for readers and builders, captures, sealing, checks of a run.

Rules of one registry do not belong here. May import `runs` and below.
"""
