"""The seal: run folders made complete or not at all, and judged again from their bytes (SPEC 2.1, 2.2, 2.4).

Holds the manifest as a value, the one writer of run folders (`folder`) and the verifier (`verify`), which shares
with the writer only the hash function and the path policy of `model`. Keeps out what an artifact
means: schemas, registries and pointers are judged elsewhere. May import `model`, `canon`, `errors` and the standard
library; `manifest` and the `*_rules` modules touch no file.
"""
