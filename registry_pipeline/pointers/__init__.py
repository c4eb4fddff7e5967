"""Pointers: the pointer file, activation records, and every change of them.

May import `registries` and below.
"""
