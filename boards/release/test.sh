#!/bin/sh
# The first five minutes, in a Debian of its own where nothing is installed: a package or a tarball of the release is unpacked, `edge-runtime
# demo` starts, and its page has a face.
#
#     sudo sh boards/release/test.sh dist/edge-runtime_0.1.0-1_amd64.deb                    dpkg, then the demo
#     sudo sh boards/release/test.sh dist/edge-runtime-0.1.0-aarch64-linux.tar.xz bullseye  the demo, then install.sh, in glibc 2.31's age
#
# A file for another processor runs under an emulator. It fetches that Debian (100 MB), unless $ROOTS names a folder in which it keeps them.
# Exit codes: 0 it works or was skipped, 1 it does not, 2 bad usage.
set -eu

# Seconds from unpacking to a face.
limit=${LIMIT:-60}
[ $# -ge 1 ] && [ -f "$1" ] || { echo "error: give the path of a package or tarball; cargo xtask release makes them" >&2; exit 2; }
file=$(realpath "$1") suite=${2:-bookworm}
case ${file##*/} in
*_amd64.deb) architecture=amd64 with= ;;
*_arm64.deb) architecture=arm64 with= ;;
# install.sh is for machines that run systemd.
*-x86_64-linux.tar.xz) architecture=amd64 with=systemd,udev ;;
*-aarch64-linux.tar.xz) architecture=arm64 with=systemd,udev ;;
*) echo "error: $file is not a package or tarball of a release" >&2; exit 2 ;;
esac
skip() { echo "skipped: the first five minutes on $architecture: $*" >&2; exit 0; }
fail() { echo "error: $*" >&2; exit 1; }
step() { echo "  $*" >&2; }
[ "$(id -u)" = 0 ] || skip "run this as root"
for tool in mmdebstrap curl unshare python3; do
    command -v $tool >/dev/null || skip "no $tool here; apt-get install brings it"
done
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
    arch-test "$architecture" >/dev/null 2>&1 || skip "this machine does not start its programs; apt-get install qemu-user-static arch-test"
fi

work=$(mktemp -d)
demo=
# unshare itself does not heed SIGTERM while it waits; with it, its child ends.
end() { [ -z "$demo" ] || { kill -KILL "$demo" && wait "$demo"; } 2>/dev/null || :; demo=; }
trap 'end; rm -rf "$work"' EXIT
roots=${ROOTS:-$work}
base=$roots/$suite-$architecture${with:+-$with}.tar
if [ ! -s "$base" ]; then
    step "making a $suite for $architecture"
    # Only the release itself: the archive's updates of an old one may be gone.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1)
    mmdebstrap --quiet --format=tar --variant=minbase --mode=root --architectures="$architecture" ${with:+--include=$with} \
        --aptopt='Apt::Install-Recommends "false"' "$suite" "$base.new" \
        "deb $mirror $suite main" >&2
    mv "$base.new" "$base"
fi
root=$work/root
mkdir "$root"
tar -xpf "$base" -C "$root"
# Namespaces of its own: what is started and mounted there ends with it. systemd-analyze looks for /sys.
enter() { exec unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"' "$root" "$@"; }
container() { (enter "$@"); }

# Seconds since $1, a time in nanoseconds.
since() { echo "$(($(date +%s%N) - $1))" | awk '{ printf "%.1f", $1 / 1e9 }'; }

# Starts the demo and waits for a face on its page.
demo() {
    enter "$@" demo --no-browser --clip --port 0 >"$work/log" 2>&1 &
    demo=$!
    until address=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\)\/.*/\1/p' "$work/log" | head -n 1) && [ -n "$address" ]; do
        kill -0 $demo 2>/dev/null || { cat "$work/log" >&2; fail "the demo ended"; }
        [ "$(since "$begun" | cut -d. -f1)" -lt "$limit" ] || { cat "$work/log" >&2; fail "no page within $limit s"; }
        sleep 0.2
    done
    page=$(since "$begun")
    until curl --silent --max-time 5 "$address/api/state" >"$work/state" && python3 - "$work/state" <<'END'; do
import json, sys
state = json.load(open(sys.argv[1]))
faces = (state.get("observation") or {}).get("faces") or []
sys.exit(0 if any(len(face["box"]) == 4 for face in faces) else 1)
END
        kill -0 $demo 2>/dev/null || { cat "$work/log" >&2; fail "the demo ended"; }
        [ "$(since "$begun" | cut -d. -f1)" -lt "$limit" ] || { cat "$work/log" "$work/state" >&2; fail "no face within $limit s"; }
        sleep 0.2
    done
    face=$(since "$begun")
    end
    step "unpacked after $unpacked s, page after $page s, a face in /api/state after $face s"
}

begun=$(date +%s%N)
case $file in
*.deb)
    cp "$file" "$root/package.deb"
    container dpkg --install /package.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "dpkg --install"; }
    unpacked=$(since "$begun")
    demo edge-runtime
    # Looked up in the package: a Debian can be set to leave /usr/share/doc out.
    dpkg-deb --extract "$file" "$work/unpacked"
    papers=$work/unpacked/usr/share/doc/edge-runtime
    ;;
*)
    tar -xf "$file" -C "$root/opt"
    unpacked=$(since "$begun")
    folder=$(cd "$root/opt" && echo edge-runtime-*)
    demo "/opt/$folder/bin/edge-runtime"
    step "install.sh, with glibc $(container dpkg-query -W -f '${Version}' libc6)"
    ! container "/opt/$folder/install.sh" --now >"$work/log" 2>&1 || fail "install.sh takes an unknown argument"
    for turn in first second; do
        [ $turn = first ] || echo "# mine" >>"$root/etc/edge-runtime/board.toml"
        container "/opt/$folder/install.sh" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "install.sh, the $turn time"; }
    done
    grep -q "# mine" "$root/etc/edge-runtime/board.toml" || fail "install.sh replaced the board file"
    chroot --userspec=edge-runtime:edge-runtime "$root" edge-runtime doctor >"$work/log" 2>&1 || :
    for check in board bundle detector disk journal; do
        grep -q "^ok  *$check " "$work/log" || { cat "$work/log" >&2; fail "doctor: $check is not ok"; }
    done
    container systemd-analyze verify /etc/systemd/system/edge-runtime.service >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; fail "systemd does not take the unit"; }
    container "/opt/$folder/install.sh" --remove >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "install.sh --remove"; }
    left=$(find "$root/usr" "$root/etc/systemd" "$root/etc/udev" "$root/etc/sysusers.d" -name '*edge-runtime*' 2>/dev/null || :)
    [ -z "$left" ] || fail "install.sh --remove left $left"
    papers=$root/opt/$folder/share/doc/edge-runtime
    ;;
esac
grep -q "Copyright The MediaPipe Authors" "$papers/NOTICE" || fail "the detector's notice is missing"
# A package of `cargo xtask package` is no release and has no more than that.
if [ -e "$(dirname "$file")/SHA256SUMS" ]; then
    [ -s "$papers/LICENCES.html" ] || fail "the licences are missing"
    ls "$papers" | grep -q '\.cdx\.json$' || fail "the list of dependencies is missing"
fi
echo "| demo | $architecture | ok | unpacked after $unpacked s, page after $page s, a face after $face s ($suite) |"
