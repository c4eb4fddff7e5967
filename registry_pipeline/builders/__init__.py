"""Builders: values in, artifacts out (SPEC 4.1-4.3).

Holds one pure function a registry, `build_<registry_id>(inputs, context) -> Artifacts`; equal arguments give equal
bytes. Keeps out files, network, database, process and clock, and every package but the standard library. May import
`model` and `canon`.

`Artifacts.content_sha256` is the hash of the content without what merely restates the clock: `generated_utc`, and
`staleness_days`, which is the distance to it. So a rebuild that finds nothing new has the same data version.
"""
