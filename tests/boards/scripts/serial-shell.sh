#!/bin/sh
# Runs each line that arrives on the serial line, and reports when it has ended. `first`: this is the first process.
export PATH=/payload/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
if [ "$1" = first ]; then
    mount -t tmpfs tmpfs /tmp
    mount -t tmpfs tmpfs /run
    mount -t debugfs debugfs /sys/kernel/debug
    ip link set lo up
    exec </dev/console >/dev/console 2>&1
fi
stty -echo -onlcr
echo "@@ready"
count=0
while IFS= read -r line; do
    count=$((count + 1))
    sh -c "$line" </dev/null 2>&1
    echo "@@done $count $?"
done
