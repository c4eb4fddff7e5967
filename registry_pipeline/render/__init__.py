"""What people read, rendered from the active registries, and the judgement of the system's state (SPEC 4.4).

As pure as the builders: keeps out files, network, database, process and clock, and every package but the standard
library. May import `model` and `canon`.
"""
