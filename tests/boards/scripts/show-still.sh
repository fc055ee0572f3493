#!/bin/sh
# Replaces the picture that the camera shows. Arguments: FILE.
set -e
cp "$1" /tmp/next.grey
mv /tmp/next.grey /tmp/still.grey
