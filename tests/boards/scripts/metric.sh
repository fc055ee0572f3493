#!/bin/sh
# Prints the value of a metric of edge-runtime. Arguments: NAME.
busybox wget -q -O - http://127.0.0.1:9000/metrics | sed -n "s/^$1 //p"
