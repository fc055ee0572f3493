#!/bin/sh
# A camera that shows a still picture, which others replace: 20 frames per second at most.
while cat /tmp/still.grey; do sleep 0.05; done
