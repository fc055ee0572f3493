#!/bin/sh
# Fills the disk below /data; the error that it is full is expected.
dd if=/dev/zero of=/data/filler bs=4096 2>/dev/null
sync
true
