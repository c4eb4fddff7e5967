"""What `status`, `log`, `show`, `diff` and `registries` tell (SPEC 7 and 8): documents made from facts that were read.

Holds frozen documents with `to_json`, the functions that make them from values, and a listing of run folders by name
and by which seal files exist. Keeps out printing, formats, judging and every kind of writing. May import `sources`,
`seal`, `render`, `config`, `model`, `canon` and `errors`; it is blind to `validate` and `activate`, whose findings and
verdicts the runbook hands in as values.
"""
