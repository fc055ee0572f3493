#!/bin/busybox sh
# The first process of an appliance and of emulated boards: modules, then systemd from a read-only root file system below a memory
# overlay. Emulated boards have a payload beside it, and may start a shell instead.
/bin/busybox mkdir -p /proc /sys /dev /lower /rw /new /usr/bin /sbin
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "module $module was not loaded"; done </modules/order
for word in $(cat /proc/cmdline); do
    case "$word" in guest.root=*) root=${word#guest.root=} ;; esac
done
# A pattern, for a card may be the first of the disks or the second; the first that is there is taken.
found() {
    for device in $root; do
        [ -b "$device" ] && return
    done
    return 1
}
tries=0
until found || [ "$tries" = 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
mount -t squashfs -o ro "$device" /lower || exec sh
mount -t tmpfs -o size=75% tmpfs /rw
mkdir /rw/up /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/up,workdir=/rw/work overlay /new
if [ -d /payload ]; then
    mkdir -p /new/payload
    cp -a /payload/. /new/payload/
fi
for folder in proc sys dev; do mount --move "/$folder" "/new/$folder"; done
case $(cat /payload/first 2>/dev/null) in
    systemd)
        mkdir -p /new/etc/systemd/system/multi-user.target.wants
        cp /payload/console.service /new/etc/systemd/system/
        ln -s ../console.service /new/etc/systemd/system/multi-user.target.wants/console.service
        ;;
    shell) exec switch_root /new /payload/shell first ;;
esac
exec switch_root /new /sbin/init
