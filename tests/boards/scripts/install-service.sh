#!/bin/sh
# Installs the service by hand, as docs/hardware.md describes. Arguments: SECONDS of the watchdog.
set -e
cp /payload/bin/edge-runtime /usr/bin/
mkdir -p /usr/share/edge-runtime /etc/edge-runtime
cp -r /payload/bundle /usr/share/edge-runtime/
cp /payload/board.toml /etc/edge-runtime/
cp /payload/edge-runtime.sysusers /usr/lib/sysusers.d/edge-runtime.conf
cp /payload/edge-runtime.rules /usr/lib/udev/rules.d/60-edge-runtime.rules
cp /payload/edge-runtime.service /etc/systemd/system/
mkdir -p /etc/systemd/system/edge-runtime.service.d
printf '[Service]\nWatchdogSec=%s\n' "$1" >/etc/systemd/system/edge-runtime.service.d/watchdog.conf
systemd-sysusers
udevadm control --reload
udevadm trigger
udevadm settle
systemctl daemon-reload
