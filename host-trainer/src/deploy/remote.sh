# The board's part of `host-trainer deploy`, POSIX sh. It comes over ssh, and what it needs of the board is there on any
# Debian and in a usual busybox: tar, sha256sum, flock, mv -T, readlink.
#
#     sh remote.sh ROOT deploy ID KIB SERVICE SETTLE OLDER HEALTH MODEL IGNORED KEYS
#                                                       (then, once `send` is said, the version's files as tar on stdin)
#     sh remote.sh ROOT survey ID KIB SERVICE MACHINE   (whether the board could take the version; changes nothing)
#     sh remote.sh ROOT rollback SERVICE SETTLE
#     sh remote.sh ROOT status
#     sh remote.sh ROOT manifest
#
# ROOT is / but in tests; KIB what the version takes; SERVICE yes, or no to leave services alone; SETTLE the seconds that a
# service must stay up; OLDER `older` if the bundle may be older than one that the board accepted before; HEALTH the seconds
# within which the service must then say that it is well, 0 not to ask; MODEL the hash of its int8 net; IGNORED the parts,
# separated by commas, whose failing is no reason to go back, or none; KEYS `replace` if the
# version need not be signed by a key of the board file in place; MACHINE what uname -m must say.
# Stdout: `ready`, `send`, `step NAME` as each step begins, and the answer. Stderr: talk, and at last `error: ` with what to do.
# Exit codes: 0 done, 1 failed, 2 to be mended by whoever asks.
#
#     /opt/edge-runtime/versions/ID   a version that passed its checks on this board; ID is the hash of its files' hashes
#     /opt/edge-runtime/current       link to the version that runs; renaming this link is what switches over
#     /opt/edge-runtime/previous      link to the one before
#     /opt/edge-runtime/incoming      what is being received
# shellcheck disable=SC2015  # `A && B || fail` means just that here: whichever fails
set -u
# The connection may break at any time. What has begun is ended all the same, with nobody listening.
trap '' HUP PIPE
umask 022

root=${1%/} action=$2
shift 2
base=$root/opt/edge-runtime
socket=$root/run/edge-runtime/health.sock
unit=edge-runtime.service
units=$root/etc/systemd/system

say() { printf '%s\n' "$*" >&2 || :; }
fail() { say "error: $*"; exit 1; }
refuse() { say "error: $*"; exit 2; }
answer() { printf '%s\n' "$*" || :; }

has_systemd() { [ -d "$root/run/systemd/system" ]; }

# The version that a link, current or previous, leads to; nothing if there is none.
version() { led=$(readlink "$base/$1") && printf '%s' "${led#versions/}"; }

# Sets a link in one step.
link() {
    [ "$(readlink "$2")" = "$1" ] && return
    mkdir -p "${2%/*}" && rm -f "$2.new" && ln -s "$1" "$2.new" && mv -f -T "$2.new" "$2"
}
point() { link "versions/$2" "$base/$1"; }

# A line of a version's `about`, or what its `state` says: how it was put into place, and when.
about() { sed -n "s/^$2 //p" "$base/versions/$1/about" 2>/dev/null; }
state() { cat "$base/versions/$1/state" 2>/dev/null; }
mark() { printf '%s %s\n' "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$base/versions/$1/state"; }

lock() {
    mkdir -p "$base/versions" || fail "cannot write $base: is the disk mounted read-only?"
    command -v flock >/dev/null || refuse "this board has no flock, which keeps two deploys apart: install util-linux"
    exec 9>"$base/lock"
    flock -n 9 || fail "another deploy is running on this board: wait until it is done"
    trap 'rm -rf "$base/incoming"' EXIT
    rm -rf "$base/incoming"
}

# Sets $state to the folder of a version's journal, and $permission to the file there that permits an older bundle.
find_state() {
    state=$(sed -n 's/^state //p' "$1/about" 2>/dev/null)
    state=$root${state:-/var/lib/edge-runtime}
    permission=$state/older-bundle.sha256
}

# Lets the board accept the bundle of a version folder although it accepted a newer one before: docs/trust.md. Whoever goes back
# to a version means its bundle as well.
permit() {
    find_state "$1"
    [ -f "$1/bundle/manifest.toml.minisig" ] && [ -d "$state" ] || return 0
    # The folder is the service's user's: with -C, root does not write through a link that was put there.
    sum=$(sha256sum <"$1/bundle/manifest.toml") &&
        rm -f "$permission.new" &&
        (set -C && printf '%s\n' "${sum%% *}" >"$permission.new") &&
        mv -f -T "$permission.new" "$permission" ||
        say "an older bundle is not permitted on this board: cannot write $state"
}

# Takes the permission of a version folder back, which was refused after all. What runs keeps its own.
take_back() {
    find_state "$1"
    rm -f "$permission"
    [ -z "$before" ] || permit "$base/versions/$before"
}

# Ends the permission of another bundle than that of a version folder, whose service is up.
end_permission() {
    find_state "$1"
    sum=$(sha256sum <"$1/bundle/manifest.toml") && [ -f "$permission" ] || return 0
    grep -q "^${sum%% *}" "$permission" || rm -f "$permission"
}

# Asks the program and the keys in place whether they trust the version in a folder, before anything of it runs.
check_keys() {
    grep -q trust "$base/current/board.toml" 2>/dev/null || return 0
    [ "$older" = newer ] && allow= || allow=--allow-older-bundle
    # shellcheck disable=SC2086  # $allow is a word or none
    words=$("$base/current/edge-runtime" verify --board "$base/current/board.toml" $allow "$1/edge-runtime" "$1/bundle" 2>&1) ||
        refuse "the keys of this board refuse it: $(printf '%s\n' "$words" | tail -n 1 | sed 's/^error: //'); \
--replace-keys takes the keys of the new board file instead"
}

# Whether a folder holds a version, whole: $2 is its ID.
is_whole() {
    [ -f "$1/SHA256SUMS" ] || return 1
    sum=$(sha256sum <"$1/SHA256SUMS") && [ "${sum%"${sum#????????????????}"}" = "$2" ] || return 1
    (cd "$1" && sha256sum -c SHA256SUMS >/dev/null 2>&1)
}

# Receives a version's files.
receive() {
    # shellcheck disable=SC2046  # the words of df are what is wanted
    set -- "$1" "$2" $(df -Pk "$base" | tail -n 1)
    [ "$6" -gt "$2" ] || fail "the version takes $2 KiB and $base has $6 left: make room"
    mkdir "$base/incoming" || fail "cannot write $base: is the disk full?"
    answer send
    # A workstation that vanished should not hold the lock for ever.
    timeout 1800 tar -x -f - -C "$base/incoming" || fail "the files did not arrive; what ran before still runs: deploy again"
    is_whole "$base/incoming" "$1" || fail "the files did not arrive whole; what ran before still runs: deploy again"
}

# As the service's user if there is one: its permissions are what count.
as_service() {
    if [ -z "$root" ] && [ "$service" = yes ] && id edge-runtime >/dev/null 2>&1 && command -v runuser >/dev/null; then
        runuser -u edge-runtime -- "$@"
    else
        "$@"
    fi
}

# Tries the version in a folder before anything depends on it.
check() {
    answer step checking
    program=$1/edge-runtime
    words=$("$program" --version 2>&1) ||
        fail "edge-runtime does not start on this board: $(printf '%s\n' "$words" | tail -n 1)"
    say "$words is here; the doctor says"
    found=$(as_service "$program" doctor --board "$1/board.toml" --bundle "$1/bundle" 2>&1)
    # Whether the service is installed is this script's business.
    printf '%s\n' "$found" | grep -v -e '^warn *service ' -e ' checks failed; their lines ' | sed 's/^/  /' >&2
    # A camera may come later, and much else that the doctor misses. Without these nothing works:
    worst=$(printf '%s\n' "$found" | grep -E '^fail +(board|bundle|signature|detector) ' | head -n 1 | tr -s ' ')
    [ -z "$worst" ] || fail "refused by this board's doctor: ${worst#fail }"
    words=$(as_service "$program" selftest --board "$1/board.toml" --bundle "$1/bundle" 2>&1) ||
        fail "the self-test fails on this board: $(printf '%s\n' "$words" | tail -n 1)"
    say "self-test: $words"
}

# The user of the service, and its folder, so that the doctor can look with that user's eyes.
prepare_user() {
    put "$1/edge-runtime.sysusers" "$root/etc/sysusers.d/edge-runtime.conf" || fail "cannot write $root/etc/sysusers.d"
    if [ "$changed" = yes ] || ! id edge-runtime >/dev/null 2>&1; then
        command -v systemd-sysusers >/dev/null || refuse "this board has no systemd-sysusers: install systemd-sysusers"
        systemd-sysusers || fail "systemd-sysusers cannot make the user edge-runtime"
    fi
    if [ -z "$root" ]; then
        install -d -m 750 -o edge-runtime -g edge-runtime /var/lib/edge-runtime ||
            fail "/var/lib/edge-runtime cannot be made for the user edge-runtime"
    fi
}

# Copies a file if it differs, and says so in $changed.
put() {
    changed=no
    cmp -s "$1" "$2" && return
    mkdir -p "${2%/*}" && cp "$1" "$2.new" && chmod 644 "$2.new" && mv -f "$2.new" "$2" && changed=yes
}

# Places that the unit and people know, and what they lead to.
places() {
    answer "$root/usr/bin/edge-runtime" edge-runtime
    answer "$root/usr/share/edge-runtime/bundle" bundle
    answer "$root/etc/edge-runtime/board.toml" board.toml
}

# What a package or a person put there stays.
places_are_ours() {
    places | while read -r place _; do
        [ ! -e "$place" ] || [ -L "$place" ] || refuse "$place is no link of a deploy, so a package or a person put it \
there: remove the package (apt-get purge edge-runtime) or move the file away, and deploy again"
    done
}

# Makes a version the current one.
activate() {
    answer step "${2:-switching}"
    from=$base/versions/$1
    if [ "$service" = yes ]; then
        put "$from/edge-runtime.rules" "$root/etc/udev/rules.d/60-edge-runtime.rules" || return 1
        # No udev runs in a container.
        if [ "$changed" = yes ] && [ -S "$root/run/udev/control" ]; then
            udevadm control --reload && udevadm trigger --subsystem-match=gpio --subsystem-match=i2c-dev
        fi
        put "$from/$unit" "$units/$unit" || return 1
    fi
    # A power cut leaves the old link or the new one, and each leads to files that are on the disk.
    sync
    point current "$1" || return 1
    places | while read -r place name; do
        link "$base/current/$name" "$place" || exit 1
    done || return 1
    sync
}

main_pid() { systemctl show --property=MainPID "$unit"; }

# Starts the current version. systemd answers when it is ready, that is when its bundle has passed its self-test.
bring_up() {
    say "restarting $unit; it must stay up for $1 s"
    systemctl daemon-reload && systemctl restart "$unit" && pid=$(main_pid) || return 1
    second=0
    while [ "$second" -lt "$1" ]; do
        sleep 1
        second=$((second + 1))
        systemctl is-active --quiet "$unit" && [ "$(main_pid)" = "$pid" ] || return 1
    done
}

# Prints the parts of the running service that fail because of the board and not the version, one per line.
ailing() {
    "$base/current/edge-runtime" health --socket "$socket" 2>/dev/null | sed -n -E 's/^fail +(camera|journal) .*/\1/p'
}

# Whether the service that was just started says that it is well. $why is what it says otherwise.
is_well() {
    [ "$health" != 0 ] || return 0
    program=$base/current/edge-runtime
    if ! "$program" health --help >/dev/null 2>&1; then
        say "this version has no health command; its health is not checked"
        return 0
    fi
    set --
    for part in $ignored; do set -- "$@" --ignore "$part"; done
    found=$("$program" health --socket "$socket" --wait "$health" --model "$model" "$@" 2>&1) && say "$found" && return
    why="is not well ($(printf '%s\n' "$found" | sed -n 's/^error: //p' | tail -n 1))"
    return 1
}

last_words() {
    command -v journalctl >/dev/null && journalctl --unit="$unit" --lines=8 --no-pager --output=cat 2>/dev/null | sed 's/^/  /' >&2
    :
}

# Undoes a first deploy that did not come up.
withdraw() {
    systemctl stop "$unit"
    systemctl --quiet disable "$unit"
    rm -f "$base/current" "$base/previous" "$units/$unit"
    places | while read -r place _; do rm -f "$place"; done
    systemctl daemon-reload
}

# Deletes the versions that are neither current nor previous.
prune() {
    for folder in "$base/versions"/*; do
        name=${folder##*/}
        [ "$name" = "$(version current)" ] || [ "$name" = "$(version previous)" ] || rm -rf "$folder"
    done
}

require_systemd() {
    [ "$service" = no ] || has_systemd || refuse "this board does not run systemd, which starts and watches the \
service: give --no-service, and restart edge-runtime by the board's own means"
}

deploy() {
    id=$1 kib=$2 service=$3 settle=$4 older=$5 health=$6 model=$7 keys=$9
    ignored=$(printf %s "$8" | tr ',' ' ')
    [ "$ignored" != none ] || ignored=
    why="did not come up"
    require_systemd
    lock
    places_are_ours || exit 2
    before=$(version current) before_that=$(version previous)
    if [ "$id" = "$before" ]; then
        case $service:$(state "$id") in
        yes:up*) systemctl is-active --quiet "$unit" && is_whole "$base/current" "$id" && answer "$id runs already" && exit ;;
        no:?*) is_whole "$base/current" "$id" && answer "$id is in place already" && exit ;;
        esac
    fi
    folder=$base/versions/$id
    if ! is_whole "$folder" "$id"; then
        receive "$id" "$kib"
        folder=$base/incoming
    fi
    exec </dev/null
    [ "$service" = no ] || prepare_user "$folder"
    [ "$keys" = replace ] || check_keys "$folder"
    # Doctor and self-test ask for the permission, too.
    [ "$older" = newer ] || permit "$folder"
    (check "$folder") || {
        [ "$older" = newer ] || take_back "$folder"
        exit 1
    }
    if [ "$folder" = "$base/incoming" ]; then
        # One that was there and is damaged goes; a service that runs keeps its open files.
        rm -rf "$base/versions/$id" && mv "$folder" "$base/versions/$id" || fail "cannot write $base/versions"
    fi
    if [ -n "$before" ] && [ "$before" != "$id" ]; then
        point previous "$before" || fail "cannot write $base"
    fi
    [ -e "$units/$unit" ] && is_known=yes || is_known=no
    if [ "$service" = no ]; then
        activate "$id" || fail "the links could not be set; look for what is in their way, and deploy again"
        mark "$id" put
        prune
        answer "$id is in place; nothing was restarted"
        exit
    fi
    # What failed before is not this version's fault.
    [ "$health" = 0 ] || [ -z "$before" ] || ignored="$ignored $(ailing)"
    if activate "$id" && bring_up "$settle" && is_well; then
        # Whoever disabled the service later meant it.
        [ "$is_known" = yes ] || systemctl --quiet enable "$unit" || say "$unit does not start with the board: systemctl enable says why"
        mark "$id" up
        end_permission "$base/versions/$id"
        prune
        answer "$id runs"
        exit
    fi
    last_words
    # One that came up before, or a first one that was interrupted, has the version before it to go back to.
    [ "$before" != "$id" ] || before=
    if [ -n "$before" ]; then
        if [ -n "$before_that" ]; then point previous "$before_that"; else rm -f "$base/previous"; fi
    elif [ -z "$(state "$id")" ] && [ "$before_that" != "$id" ]; then
        before=$before_that
    fi
    if [ -z "$before" ] && [ -z "$(state "$id")" ]; then
        withdraw
        prune
        answer step restored
        fail "$id $why and was taken away again; nothing runs now: fix what its last lines say (journalctl -u $unit)"
    fi
    [ "$why" = "did not come up" ] && anymore="does not come up any more" || anymore=$why
    [ -n "$before" ] || fail "$id $anymore: journalctl -u $unit says why; --rollback goes back to the version before"
    say "$id $why: going back to $before"
    permit "$base/versions/$before"
    if activate "$before" restoring && bring_up "$settle"; then
        [ "$(version previous)" != "$before" ] || rm -f "$base/previous"
        prune
        answer step restored
        fail "$id $why; $before runs again: fix what its last lines say (journalctl -u $unit)"
    fi
    last_words
    fail "$id $why, and $before does not come up, which is in place again: journalctl -u $unit says why"
}

# Whether this board could take a version. Changes nothing.
survey() {
    id=$1 kib=$2 service=$3 machine=$4
    [ "$(uname -m)" = "$machine" ] ||
        refuse "this board is $(uname -m) and the version is for $machine: name the board file that fits this board"
    require_systemd
    command -v flock >/dev/null || refuse "this board has no flock, which keeps two deploys apart: install util-linux"
    places_are_ours || exit 2
    if [ -e "$base/lock" ] && exec 9<"$base/lock" && ! flock -n 9; then
        answer busy
        exit
    fi
    before=$(version current)
    answer "runs ${before:-none}"
    if [ -n "$before" ] && [ "$before" = "$id" ] && is_whole "$base/current" "$id"; then
        case $service:$(state "$id") in
        yes:up*) systemctl is-active --quiet "$unit" && answer "is there" && exit ;;
        no:?*) answer "is there" && exit ;;
        esac
    fi
    ! is_whole "$base/versions/$id" "$id" || exit 0
    folder=$base
    until [ -d "$folder/" ]; do folder=${folder%/*}; done
    # shellcheck disable=SC2046  # the words of df are what is wanted
    set -- $(df -Pk "$folder/" | tail -n 1)
    [ "$4" -gt "$kib" ] || refuse "the version takes $kib KiB and $folder has $4 left: make room"
}

rollback() {
    service=$1 settle=$2
    require_systemd
    lock
    places_are_ours || exit 2
    now=$(version current) back=$(version previous)
    [ -n "$back" ] && [ "$back" != "$now" ] && [ -d "$base/versions/$back" ] || refuse "no previous version is kept on this board: deploy one"
    is_whole "$base/versions/$back" "$back" || fail "the previous version $back is damaged: deploy it again"
    permit "$base/versions/$back"
    activate "$back" && point previous "$now" || fail "the links could not be set; look for what is in their way"
    if [ "$service" = no ]; then
        mark "$back" put
        answer "$back is in place; nothing was restarted"
        exit
    fi
    if bring_up "$settle"; then
        mark "$back" up
        answer "$back runs"
        exit
    fi
    last_words
    say "$back did not come up: going forward to $now"
    permit "$base/versions/$now"
    activate "$now" restoring && point previous "$back" && bring_up "$settle" ||
        fail "neither $back nor $now comes up: journalctl -u $unit says why"
    fail "$back did not come up; $now runs again: fix what its last lines say (journalctl -u $unit)"
}

status() {
    for name in current previous; do
        id=$(version "$name") && [ -n "$id" ] || { answer "$name none"; continue; }
        answer "$name $id board=$(about "$id" board) bundle=$(about "$id" bundle) state=$(state "$id" | tr ' ' '@')"
    done
    if has_systemd; then
        enabled=$(systemctl is-enabled "$unit" 2>/dev/null)
        answer "service $(systemctl is-active "$unit") ${enabled:-not-installed}"
    else
        answer "service none: this board does not run systemd"
    fi
    # Also where a package put the program.
    told=$("$root/usr/bin/edge-runtime" health --json --socket "$socket" 2>/dev/null)
    case $told in "{"*"}") answer "health $told" ;; esac
}

answer ready
case $action in
deploy) deploy "$@" ;;
survey) survey "$@" ;;
rollback) rollback "$@" ;;
status) status ;;
manifest) cat "$base/current/bundle/manifest.toml" 2>/dev/null || : ;;
*) refuse "unknown action $action" ;;
esac
