#!/bin/sh
# Prints what a purge of the package should have removed, then the state of the service.
ls -d /var/lib/edge-runtime /etc/edge-runtime /usr/bin/edge-runtime 2>/dev/null
getent passwd edge-runtime
systemctl is-active edge-runtime
true
