"""Which runs are active, and every change of that: `plan` and `chain` are pure, `transaction` and `recovery` write."""
