#!/bin/sh
# Stops edge-runtime and checks its journal. Arguments: JOURNAL.
kill -TERM $(pidof edge-runtime)
sleep 3
edge-runtime log verify --journal "$1"
