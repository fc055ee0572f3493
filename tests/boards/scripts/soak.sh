#!/bin/sh
# Starts edge-runtime on the slow video, and waits until its journal exists.
edge-runtime run --board /payload/board.toml --realtime --metrics 127.0.0.1:9000 \
    --journal /tmp/j.sqlite >/dev/null 2>/tmp/errors &
until [ -s /tmp/j.sqlite ]; do sleep 0.2; done
