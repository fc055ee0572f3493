#!/bin/sh
# Installs, upgrades, removes and purges the package with real dpkg in a Debian of its own, where no systemd runs:
#
#     sudo sh boards/debian/test.sh target/debian/edge-runtime_0.1.0-1_amd64.deb [bookworm]
#
# It takes a minute or two and fetches that Debian (100 MB). Exit codes: 0 it works or was skipped, 1 it does not, 2 bad usage.
# shellcheck disable=SC2015,SC2016  # `A && B || fail` means just that; conditions are read by `holds`
set -eu

[ $# -ge 1 ] && [ -f "$1" ] || { echo "error: give the path of the package; docs/deploy.md tells how it is built" >&2; exit 2; }
package=$(realpath "$1") suite=${2:-bookworm}
[ "$(id -u)" = 0 ] || { echo "skipped: the package in a Debian of its own: run this as root" >&2; exit 0; }
for tool in mmdebstrap dpkg-deb; do
    command -v $tool >/dev/null || { echo "skipped: no $tool here; apt-get install $tool brings it" >&2; exit 0; }
done
[ "$(dpkg-deb --field "$package" Architecture)" = "$(dpkg --print-architecture)" ] ||
    { echo "skipped: the package is for another processor than this one" >&2; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
echo "making a $suite" >&2
mmdebstrap --quiet --variant=minbase --mode=root "$suite" "$root"
# /proc is a plain folder there: a device tree can be put into it.
mkdir -p "$root/proc"

step() { echo "  $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }
here() { chroot "$root" "$@"; }
holds() { eval "$1" || fail "does not hold: $1"; }
has() { [ -e "$root$1" ] || fail "$1 is missing"; }
lacks() { [ ! -e "$root$1" ] && [ ! -L "$root$1" ] || fail "$1 is there"; }
install() { cp "$1" "$root/package.deb" && here dpkg --install /package.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }; }
purge() { here dpkg --purge edge-runtime >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "dpkg --purge"; }; }
calls() { cat "$root/calls" 2>/dev/null || :; }

# The same package with a higher version.
dpkg-deb --raw-extract "$package" "$work/newer"
sed -i 's/^Version: .*/&.1/' "$work/newer/DEBIAN/control"
dpkg-deb -Znone --build "$work/newer" "$work/newer.deb" >/dev/null

cycle() {
    step "installing: user, folders, board file"
    install "$package" || fail "dpkg --install"
    for path in /usr/bin/edge-runtime /usr/lib/systemd/system/edge-runtime.service /usr/share/doc/edge-runtime/hardware.md \
        /usr/share/man/man1/edge-runtime-run.1.gz /usr/share/bash-completion/completions/edge-runtime \
        /usr/share/zsh/vendor-completions/_edge-runtime /usr/share/fish/vendor_completions.d/edge-runtime.fish; do
        has $path
    done
    holds '[ "$(here stat -c %U:%G:%a /var/lib/edge-runtime)" = edge-runtime:edge-runtime:750 ]'
    for group in video gpio i2c; do
        holds "here id -nG edge-runtime | grep -qw $group"
    done
    holds 'grep -q "^name = \"generic-x86-64\"" "$root/etc/edge-runtime/board.toml"'
    lacks /etc/systemd/system/multi-user.target.wants/edge-runtime.service
    step "the program, as the service's user"
    here edge-runtime selftest --bundle /usr/share/edge-runtime/bundle >"$work/log" || fail "selftest"
    chroot --userspec=edge-runtime:edge-runtime "$root" edge-runtime doctor >"$work/log" 2>&1 || :
    for check in board bundle disk journal; do
        holds "grep -q '^ok  *$check ' '$work/log'"
    done
    if [ -e "$root/usr/share/edge-runtime/bundle/detector.onnx" ]; then holds "grep -q '^ok  *detector ' '$work/log'"; fi

    step "upgrading: what was edited stays"
    echo "# mine" >>"$root/etc/edge-runtime/board.toml"
    echo "OPTIONS=--profile" >>"$root/etc/edge-runtime/environment"
    touch "$root/var/lib/edge-runtime/journal.sqlite"
    install "$work/newer.deb" || fail "dpkg --install of a newer one"
    holds 'grep -q "# mine" "$root/etc/edge-runtime/board.toml"'
    holds 'grep -q "OPTIONS=--profile" "$root/etc/edge-runtime/environment"'
    has /var/lib/edge-runtime/journal.sqlite

    step "removing keeps what a person made, purging does not"
    here dpkg --remove edge-runtime >"$work/log" 2>&1 || fail "dpkg --remove"
    lacks /usr/bin/edge-runtime
    has /etc/edge-runtime/board.toml
    has /var/lib/edge-runtime/journal.sqlite
    purge
    for path in /var/lib/edge-runtime /etc/edge-runtime /usr/share/edge-runtime /usr/share/doc/edge-runtime; do
        lacks $path
    done
    holds '! here getent passwd edge-runtime >/dev/null && ! here getent group edge-runtime >/dev/null'
    lacks /calls
}

echo "without systemd" >&2
cycle

echo "a Raspberry Pi" >&2
mkdir -p "$root/proc/device-tree"
printf 'Raspberry Pi 4 Model B Rev 1.4\0' >"$root/proc/device-tree/model"
install "$package" || fail "dpkg --install"
holds 'grep -q "^name = \"raspberry-pi-4b\"" "$root/etc/edge-runtime/board.toml"'
purge
printf 'Raspberry Pi 500 Rev 1.0\0' >"$root/proc/device-tree/model"
install "$package" || fail "dpkg --install"
holds 'grep -q "^name = \"generic-x86-64\"" "$root/etc/edge-runtime/board.toml"'
purge
rm -r "$root/proc/device-tree"

echo "a board of host-trainer deploy" >&2
ln -s /opt/edge-runtime/current/edge-runtime "$root/usr/bin/edge-runtime"
holds '! install "$package" 2>"$work/said" && grep -q "belongs to .host-trainer deploy" "$work/said"'
holds '[ -L "$root/usr/bin/edge-runtime" ]'
rm "$root/usr/bin/edge-runtime"
here dpkg --purge edge-runtime >/dev/null 2>&1 || :

echo "with systemd's tools, none running" >&2
{ here apt-get -qq update && here apt-get -qq install --no-install-recommends systemd udev; } >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; fail "apt-get install systemd"; }
cycle

echo "with systemd running, as a stand-in" >&2
mkdir -p "$root/run/systemd/system"
real=$(here readlink -f /usr/bin/systemctl)
mv "$root$real" "$root$real.real"
cat >"$root$real" <<'END'
#!/bin/sh
echo "$*" >>/calls
case $* in *is-enabled*) [ -e /disabled ] && exit 1 ;; esac
exit 0
END
chmod 755 "$root$real"
install "$package" || fail "dpkg --install"
holds 'calls | grep -qx "enable edge-runtime.service"'
holds 'calls | tail -n 1 | grep -qx -- "--no-block restart edge-runtime.service"'
rm "$root/calls"
install "$work/newer.deb" || fail "dpkg --install of a newer one"
holds '! calls | grep -q -e "^enable" -e "^stop"'
holds 'calls | tail -n 1 | grep -qx -- "--no-block restart edge-runtime.service"'
rm "$root/calls" && touch "$root/disabled"
install "$work/newer.deb" || fail "dpkg --install of the same"
holds 'calls | tail -n 1 | grep -qx -- "--no-block try-restart edge-runtime.service"'
rm "$root/calls"
purge
holds 'calls | head -n 1 | grep -qx "stop edge-runtime.service"'
echo "done: installed, upgraded, removed and purged on $suite" >&2
