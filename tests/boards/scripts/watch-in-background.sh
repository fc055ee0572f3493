#!/bin/sh
# Watches the virtual camera in the background, and waits until some frames have been seen.
watch-camera --frame-format yuyv --commit-every 1 --journal /tmp/j.sqlite --print >/tmp/seen 2>/tmp/errors &
await-frames 6
