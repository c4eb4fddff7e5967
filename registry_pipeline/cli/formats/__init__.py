"""The output formats for other programs: GitHub annotations, Markdown, JUnit XML and SARIF.

Each module formats what a command found. Only the reporter imports them, when a format is asked for.
"""
