#!/bin/sh
# OP-C06 Rig Surge Forecast
exec rig-solver "$@"
