"""What the registries share: the row that describes one, what readers are given, captures, sealed reads.

May import `runs` and below.
"""
