#!/bin/sh
# Records the endless camera; waits for the journal's tables. Arguments: as for `run`.
edge-runtime run "$@" --source 'command:"/payload/bin/endless"' --frame-format grey --frame-size 640x480 \
    --commit-every 1 --journal /data/j.sqlite >/dev/null 2>/tmp/errors &
until edge-runtime log stats --journal /data/j.sqlite >/dev/null 2>&1; do sleep 0.1; done
