#!/bin/sh
# Records from the endless camera in the background, and waits until the journal exists. Arguments: those of `edge-runtime run`.
edge-runtime run "$@" --source 'command:"/payload/bin/endless"' --frame-format grey --frame-size 640x480 \
    --commit-every 1 --journal /data/j.sqlite >/dev/null 2>/tmp/errors &
until [ -s /data/j.sqlite ]; do sleep 0.1; done
