"""Registries: one package each, with what it reads, how it is built and what it promises.

`catalog` lists them in build order.
"""
