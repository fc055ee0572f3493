#!/bin/sh
# Prints once a minute what edge-runtime holds, one JSON object per line, then stops it. Arguments: MINUTES.
pid=$(pidof edge-runtime)
minute=0
while [ $minute -lt "$1" ]; do
    sleep 60
    minute=$((minute + 1))
    echo | busybox nc 127.0.0.1 9000 >/dev/null
    memory=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
    descriptors=$(ls "/proc/$pid/fd" | wc -l)
    threads=$(ls "/proc/$pid/task" | wc -l)
    echo "{\"memory_kib\": $memory, \"descriptors\": $descriptors, \"threads\": $threads}"
done
stop-and-verify /tmp/j.sqlite >/dev/null
