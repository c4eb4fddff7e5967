"""The documented path of the standalone verifier, `python -m registry_pipeline.seal.verify`; the code is in `runs`."""
