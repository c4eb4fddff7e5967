"""Run folders: ids, envelope, listing, manifest, writer and verifier.

Knows run folders and the pointer file as data, and no registry. May import `schema`, `config`, `git` and below.
"""
