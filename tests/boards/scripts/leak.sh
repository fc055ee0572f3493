#!/bin/sh
# A fault: after forty minutes somebody opens more and more connections, and keeps them open.
sleep 2400
while :; do
    for connection in 1 2; do
        sleep 3600 | busybox nc 127.0.0.1 9000 >/dev/null &
    done
    sleep 2
done
