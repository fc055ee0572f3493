#!/bin/sh
# Runs the whole pipeline on a video.
edge-runtime run --board generic-x86-64 --records-per-second 1000 --keep-faces --bundle /payload/bundle \
    --source y4m:/payload/video.y4m --journal /tmp/j.sqlite 2>/tmp/errors || { cat /tmp/errors; false; }
