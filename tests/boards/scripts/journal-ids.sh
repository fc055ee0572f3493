#!/bin/sh
# Prints the id of each record and event of a journal. Arguments: JOURNAL.
edge-runtime log tail -n 1000000 --json --journal "$1" | sed -n 's/^{"id":\([0-9]*\),.*/\1/p'
