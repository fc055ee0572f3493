#!/bin/sh
# A camera: writes the same raw frames again and again.
while cat /payload/frames.grey; do :; done
