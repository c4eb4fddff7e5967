"""Run folders and the pointer file, without rules of any registry: ids, run.json, manifest, writer and verifier."""
