#!/bin/sh
# Connects the virtual camera's HDMI output to its HDMI input, with the same timings of 640x480.
set -e
v4l2-ctl -d /dev/video0 --set-input 3 --set-dv-bt-timings index=0
v4l2-ctl -d /dev/video1 --set-output 1 --set-dv-bt-timings index=0
v4l2-ctl -d /dev/video0 --set-ctrl loop_video=1,osd_text_mode=2
