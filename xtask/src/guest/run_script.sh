#!/bin/busybox sh
# The beginning of the first process of a machine that runs one script and switches itself off.
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
