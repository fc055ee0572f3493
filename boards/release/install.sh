#!/bin/sh
# Installs what lies beside this script as a service, on any Linux with systemd and glibc 2.31 or later, such as Raspberry Pi OS and
# Jetson Linux (JetPack 5 and later):
#
#     sudo ./install.sh            install or update, enable and start the service
#     sudo ./install.sh --remove   remove it again; journal and settings stay
#
# Prefer the Debian package where apt manages the machine. Exit codes: 0 done, 1 failed, 2 bad usage or not possible here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "error: $1" >&2; exit "${2:-1}"; }
[ $# -eq 0 ] || [ "$*" = --remove ] || fail "unknown argument \"$*\"; there is only --remove" 2
[ "$(id -u)" = 0 ] || fail "run this as root: sudo $0 $*" 2

state=/var/lib/edge-runtime settings=/etc/edge-runtime
running() { [ -d /run/systemd/system ]; }
if command -v dpkg-query >/dev/null && dpkg-query --status edge-runtime 2>/dev/null | grep -q '^Status: .* installed$'; then
    fail "the Debian package edge-runtime is installed: upgrade or remove that instead" 2
fi
case $(readlink /usr/bin/edge-runtime || :) in
/opt/edge-runtime/*) fail "this board belongs to \`host-trainer deploy\`: go on with that" 2 ;;
esac

if [ "${1:-}" = --remove ]; then
    ! running || systemctl disable --now edge-runtime.service 2>/dev/null || :
    rm -f /usr/bin/edge-runtime /etc/systemd/system/edge-runtime.service /etc/udev/rules.d/60-edge-runtime.rules \
        /etc/sysusers.d/edge-runtime.conf /usr/share/man/man1/edge-runtime.1 /usr/share/man/man1/edge-runtime-*.1 \
        /usr/share/bash-completion/completions/edge-runtime /usr/share/fish/vendor_completions.d/edge-runtime.fish \
        /usr/share/zsh/vendor-completions/_edge-runtime
    rm -rf /usr/share/edge-runtime /usr/share/doc/edge-runtime
    ! running || systemctl daemon-reload
    echo "removed; the journal in $state and the settings in $settings are still there"
    exit 0
fi

program=$here/bin/edge-runtime
why=$("$program" --version 2>&1) || fail "the program does not run here: $why" 2
# Before anything is changed.
"$program" selftest --bundle "$here/share/edge-runtime/bundle" >/dev/null || fail "the self-test of the model failed"

boards=$here/share/edge-runtime/boards
install -D -m 644 "$boards/edge-runtime.sysusers" /etc/sysusers.d/edge-runtime.conf
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers edge-runtime.conf
elif ! getent passwd edge-runtime >/dev/null; then
    for group in video gpio i2c; do
        getent group $group >/dev/null || groupadd --system $group
    done
    useradd --system --user-group --home-dir $state --no-create-home --shell /usr/sbin/nologin \
        --groups video,gpio,i2c edge-runtime
fi
install -d -m 750 -o edge-runtime -g edge-runtime $state

# A running program cannot be overwritten, but it can be replaced.
install -D -m 755 "$program" /usr/bin/edge-runtime.new
mv /usr/bin/edge-runtime.new /usr/bin/edge-runtime
for folder in share/edge-runtime share/doc/edge-runtime; do
    rm -rf "/usr/$folder.new"
    mkdir -p "/usr/${folder%/*}"
    cp -R "$here/$folder" "/usr/$folder.new"
    chown -R 0:0 "/usr/$folder.new"
    rm -rf "/usr/$folder"
    mv "/usr/$folder.new" "/usr/$folder"
done
mkdir -p /usr/share/man/man1
install -m 644 "$here"/share/man/man1/*.1 /usr/share/man/man1/
install -D -m 644 "$here/share/bash-completion/completions/edge-runtime" /usr/share/bash-completion/completions/edge-runtime
install -D -m 644 "$here/share/fish/vendor_completions.d/edge-runtime.fish" /usr/share/fish/vendor_completions.d/edge-runtime.fish
install -D -m 644 "$here/share/zsh/site-functions/_edge-runtime" /usr/share/zsh/vendor-completions/_edge-runtime
install -D -m 644 "$boards/edge-runtime.service" /etc/systemd/system/edge-runtime.service
install -D -m 644 "$boards/edge-runtime.rules" /etc/udev/rules.d/60-edge-runtime.rules

# The board file of this machine, as the program chooses it. Whoever changed it keeps it.
board=$(/usr/bin/edge-runtime config show 2>/dev/null | sed -n 's/^name = "\([a-z0-9_-]*\)".*/\1/p')
if [ ! -e $settings/board.toml ]; then
    install -D -m 644 "$boards/${board:-generic-x86-64}.toml" $settings/board.toml
fi

if running; then
    [ ! -S /run/udev/control ] || { udevadm control --reload && udevadm trigger --subsystem-match=gpio --subsystem-match=i2c-dev; } || :
    systemctl daemon-reload
    systemctl enable edge-runtime.service
    systemctl --no-block restart edge-runtime.service
    echo "installed and started for the board ${board:-generic-x86-64}; look at it with: systemctl status edge-runtime"
else
    echo "installed for the board ${board:-generic-x86-64}; systemd does not run here, so nothing was started"
fi
