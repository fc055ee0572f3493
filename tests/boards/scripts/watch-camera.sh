#!/bin/sh
# Watches the virtual camera. Arguments: those of `edge-runtime run`.
exec edge-runtime run --board generic-x86-64 --bundle /payload/bundle --source v4l2:/dev/video0 --frame-size 640x480 "$@"
