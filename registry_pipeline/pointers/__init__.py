"""Which runs are active: the pointer file, the chain of activation records, and every change of them.

`plan` and `chain` are pure; `transaction` and `recovery` write. May import `registries` and everything below it.
"""
