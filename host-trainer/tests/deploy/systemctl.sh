#!/bin/sh
# Stands in for systemctl: the version's board file says how its service behaves.
root=@ROOT@
echo "$*" >>"$root/calls"
board=$root/etc/edge-runtime/board.toml
case $* in
*" edge-runtime.service" | *daemon-reload) ;;
*) echo "systemctl: no such unit: $*" >&2 && exit 5 ;;
esac
case $* in
daemon-reload) ;;
restart*)
    rm -f "$root/active"
    [ -f "$root/etc/systemd/system/edge-runtime.service" ] || exit 5
    "$root/usr/bin/edge-runtime" selftest --bundle "$root/usr/share/edge-runtime/bundle" >/dev/null || exit 1
    ! grep -q "does not come up" "$board" || exit 1
    date +%s%N >"$root/active"
    ;;
show*) echo "MainPID=$(cat "$root/active" 2>/dev/null)" ;;
is-active*)
    # Ends after its first second, and is started again by systemd.
    if grep -q "restarts at times" "$board"; then date +%s%N >"$root/active"; fi
    [ -f "$root/active" ] && state=active || state=inactive
    case $* in *--quiet*) ;; *) echo "$state" ;; esac
    [ "$state" = active ]
    ;;
is-enabled*)
    [ -f "$root/etc/systemd/system/edge-runtime.service" ] || exit 1
    [ -f "$root/enabled" ] && echo enabled || echo disabled
    ;;
*disable*) rm -f "$root/enabled" ;;
*enable*) touch "$root/enabled" ;;
stop*) rm -f "$root/active" ;;
*) exit 1 ;;
esac
