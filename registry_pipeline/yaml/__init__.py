"""YAML: strict YAML 1.2 values with positions, and minimal edits of a YAML text.

The only package that imports a YAML library. May import `files` and below.
"""
