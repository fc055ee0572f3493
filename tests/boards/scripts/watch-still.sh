#!/bin/sh
# Starts edge-runtime on the still picture, and waits until its journal exists.
cp /payload/blank.grey /tmp/still.grey
edge-runtime run --board /payload/board.toml --bundle /payload/bundle \
    --source 'command:"/payload/bin/still"' --frame-format grey --frame-size 640x480 \
    --commit-every 1 --journal /tmp/j.sqlite >/dev/null 2>/tmp/errors &
until [ -s /tmp/j.sqlite ]; do sleep 0.2; done
