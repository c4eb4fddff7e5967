"""Judging what is sealed: runs against their schemas, the pointer file against the store, history against itself.

Holds `check_` functions that return findings or a verdict (SPEC 2.3, 4.1 `history`, 5). Keeps out every kind of
writing, and trust in any copy of a schema but the shipped one. May import `sources`, `seal`, `config`, `schema` and
the floors below.
"""
