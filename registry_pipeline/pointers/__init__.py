"""Which runs are active: the pointer file, the chain of activation records, and every change of them.

`plan`, `obstacles`, `consistency`, `chain`, `moves`, `record` and `new_pointer_file` are pure; `transaction` and
`recovery` write. May import `registries` and everything below it.
"""
