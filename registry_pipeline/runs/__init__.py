"""Run folders and the pointer file as data: ids, run.json, listing, manifest, writer and verifier.

Rules of one registry do not belong here: those are in `registries`. May import `schema`, `config`, `git` and below.
"""
