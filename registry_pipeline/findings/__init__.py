"""Findings: what is wrong, as data, and the table of their codes.

Pure: nothing here opens a file. May import `errors`, `canonical` and `values`.
"""
