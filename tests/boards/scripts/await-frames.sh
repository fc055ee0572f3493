#!/bin/sh
# Waits until COUNT more frames have been seen. Arguments: COUNT.
touch /tmp/seen
before=$(wc -l </tmp/seen)
until [ "$(wc -l </tmp/seen)" -ge $((before + $1)) ]; do sleep 0.2; done
