#!/bin/sh
# OP-C07 Rig Hindcast
exec rig-solver "$@"
