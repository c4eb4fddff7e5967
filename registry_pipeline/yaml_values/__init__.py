"""Strict YAML 1.2: the values of a text, and where each of them stands (SPEC 10; YAML 1.2.2, section 10.3).

Holds reading: libyaml reads the syntax, and this package the values: `no` is a text, `010` is ten, a date is a text.
What JSON cannot say is refused: keys that are no text, keys that stand twice, infinities, tags of one's own. Anchors,
aliases and merge keys are read, within bounds. Keeps out writing, files, and everything of the project. May import the
standard library and PyYAML.
"""

from registry_pipeline.yaml_values.nodes import (
    StrictYamlError,
    YamlNode,
    is_merge_key,
    read_yaml,
    same_value,
)
from registry_pipeline.yaml_values.plain import read_yaml_values
from registry_pipeline.yaml_values.scalars import read_plain_scalar

__all__ = [
    "StrictYamlError",
    "YamlNode",
    "is_merge_key",
    "read_plain_scalar",
    "read_yaml",
    "read_yaml_values",
    "same_value",
]
