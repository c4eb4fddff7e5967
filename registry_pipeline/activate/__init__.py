"""Put sealed, verified runs in force: the pointer file's lock, plan, intent and replacement (SPEC 5; seed 000, step 4).

Holds `lock` (one change at a time), `plan`, `plan_changes` and `pointer_file` (pure: what would move, or every reason
against) and `swap` (the writes, each one safe against a kill). Keeps out sealing, verifying, and moving without a
verdict. May import `model`, `canon` and `errors`; only the runbook may import it.

The order, held by the runbook (`chain` is `validate.chain`, which reads what is written here):

1. Make the verdicts, each bound to the run's root, and remember the pointer file's hash.
2. `with pointer_lock(pointer_path, root):` from here to the end. BusyError: nothing has been written.
3. `refuse_changed(pointer_path, hash remembered)`. BusyError: somebody else was faster, nothing was sealed.
4. `state = check_chain(read_chain(governed), pointer bytes, read_intent(pointer_path))`. A finding that is an error
   refuses: `state.refuses`. Otherwise `remove_intent(pointer_path)`: what is left over belongs to a change that is
   in force, or to one that was never sealed.
5. `plan_activation(ActivationRequest(..., previous=head))`, or `plan_rollback`, or `plan_mark_bad`. A Refusal or
   NothingToMove ends here: nothing is sealed.
6. Without a head (`not_chained`), steps 7 to 9 first with `plan_init(pointer bytes)`, whose record is the head; then
   `plan = plan.following(head)`.
7. Choose a run id that is free, `write_intent(pointer_path, run id, before, after)`.
8. Seal `plan.artifacts` under exactly that run id.
9. `replace_file(pointer_path, plan.after_bytes, before)`; then `remove_intent(pointer_path)`.

Killed before 8: nothing happened. Killed between 8 and 9: CHAIN_PENDING, settled by `doctor` and by nobody else.
Killed after the replacement: committed, with an intent that the next change removes. For `init` the bytes before and
after are the same, so that its record commits by being sealed and the replacement may be left out.

`plan_void` is the exception: no finding of the chain refuses it, and it writes no intent. Its record commits by being
sealed, and until then the intent of what it voids must stand, else a kill would turn CHAIN_PENDING into
POINTER_REWOUND. Finishing a pending record is steps 2, 4 (without the refusal) and 9, with its bytes.
"""
