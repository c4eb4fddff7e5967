"""Strict YAML 1.2: the values of a text, and where each of them stands (SPEC 10; YAML 1.2.2, section 10.3).

Holds reading: libyaml reads the syntax, and this package the values: `no` is a text, `010` is ten, a date is a text.
What JSON cannot say is refused: keys that are no text, keys that stand twice, infinities, tags of one's own. Anchors,
aliases and merge keys are read, within bounds. Keeps out writing, files, and everything of the project. May import the
standard library and PyYAML.
"""
