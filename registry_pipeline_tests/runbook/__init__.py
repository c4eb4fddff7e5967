"""The walk from sources to pointers, on real folders."""
