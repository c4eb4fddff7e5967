"""Strict YAML 1.2: reading values with their positions, and editing a text with minimal changes.

Only this package imports a YAML library. It may import `files` and the layers below it; it knows nothing of registries.
"""
