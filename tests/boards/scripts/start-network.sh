#!/bin/sh
# Connects the guest to the emulator's network and starts its ssh server.
set -e
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
mkdir -p ~/.ssh
cp /payload/authorized_keys ~/.ssh/
chmod -R go= ~/.ssh
ssh-keygen -A >/dev/null
systemctl restart ssh
