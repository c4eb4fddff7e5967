"""The output formats for other programs: GitHub annotations, Markdown, JUnit XML and SARIF.

`report` has what a command found; the other modules format it. The reporter imports one when it is asked for.
"""
