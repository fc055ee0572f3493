#!/bin/sh
# Prints the sorted hashes of the aligned faces in the journal.
edge-runtime log faces --journal /tmp/j.sqlite --output /tmp/aligned >/dev/null && sha256sum /tmp/aligned/*.png | cut -d' ' -f1 | sort
