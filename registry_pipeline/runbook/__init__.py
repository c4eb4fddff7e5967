"""The walk itself: build, seal, validate, activate, render (seed 000), for both doors.

Holds composition only: each step demands the type that the step before returns, so that a skipped step cannot be
written. Keeps out rules (they live in the rooms) and every format. May import every room, `catalog` and below.
"""
