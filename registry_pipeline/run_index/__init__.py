"""The run index and the overrides log: two append-only logs with rules, queries and a merge (SPEC 11, seed 004).

Holds the records and their ids, the append that survives crashes, the rules, the side index and the queries. Keeps out
git, sealing and every format of the command line. May import `model`, `canon`, `errors`, `config` and `schema`; pandas,
duckdb and ruamel.yaml only where a call needs them.
"""
