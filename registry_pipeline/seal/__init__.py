"""Verifiers that need no package: `python -m registry_pipeline.seal.verify`, and `registry-verify.pyz`.

They import the standard library and modules that import nothing else. The code of the checks is in `runs` and
`pointers`.
"""
