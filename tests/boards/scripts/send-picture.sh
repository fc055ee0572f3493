#!/bin/sh
# Sends a picture through the virtual camera and prints what edge-runtime sees. Arguments: FILE FORMAT PIXELFORMAT FRAMES.
for copy in 1 2 3 4; do cat "$1"; done >/tmp/sent
v4l2-ctl -d /dev/video1 --set-fmt-video-out=width=640,height=480,pixelformat="$3" >/dev/null
v4l2-ctl -d /dev/video1 --stream-out-mmap=4 --stream-from=/tmp/sent --stream-loop >/tmp/sender 2>&1 &
sleep 1
watch-camera --frame-format "$2" --frames "$4" --print 2>/tmp/errors
code=$?
kill $(pidof v4l2-ctl)
sleep 0.5
[ $code = 0 ] || cat /tmp/errors /tmp/sender
exit $code
