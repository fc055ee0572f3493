#!/bin/sh
# Applies the files that the card's owner put on its first partition, before the network comes up. Everything is written below the
# root file system's overlay in memory, so a file that is taken off the card is gone after the next boot. The tests set the variables.
set -u
root=${CARD_ROOT:-} boot=${CARD_BOOT:-/boot/firmware} data=${CARD_DATA:-/data}
serial=${CARD_SERIAL:-/proc/device-tree/serial-number}
systemctl=${CARD_SYSTEMCTL:-systemctl}
notes=$root/run/edge-runtime-card/notes
mkdir -p "${notes%/*}"
: >"$notes"
note() { echo "$*" >>"$notes"; echo "card: $*" >&2; }
# Prints the path of a file of the owner's. Editors on Windows and macOS add .txt to a name, and may hide that.
given() { if [ ! -s "$boot/$1" ] && [ -s "$boot/$1.txt" ]; then echo "$boot/$1.txt"; else echo "$boot/$1"; fi; }
# Files from Windows end their lines with CR LF, and may begin with a byte order mark.
plain() { LC_ALL=C sed '1s/^\xef\xbb\xbf//' "$1" | tr -d '\r'; }
copy() { (umask 077 && mkdir -p "${2%/*}" && plain "$1" >"$2"); }
start() { "$systemctl" --no-block start "$1"; }

# A name of its own for each board: the last eight digits of the processor's serial number.
digits=$(tr -d '\000' 2>/dev/null <"$serial" | tr A-F a-f | tr -cd '0-9a-f' | tail -c 8)
name=edge-runtime${digits:+-$digits}
file=$(given hostname)
if [ -s "$file" ]; then
    wanted=$(plain "$file" | head -n 1 | tr -d ' ')
    case $wanted in
    *[!A-Za-z0-9-]* | -* | *- | "") note "hostname: \"$wanted\" is not a host name: use letters, digits and -" ;;
    *) name=$(printf %.63s "$wanted") ;;
    esac
fi
mkdir -p "$root/etc"
echo "$name" >"$root/etc/hostname"
[ -n "$root" ] || hostname "$name"

file=$(given wpa_supplicant.conf)
if [ -s "$file" ]; then
    if plain "$file" | grep -q '^[[:space:]]*country='; then
        copy "$file" "$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
        start wpa_supplicant@wlan0.service
        note "wpa_supplicant.conf: WLAN is on"
    else
        note "wpa_supplicant.conf: the line country=XX is missing, without which the radio stays off"
    fi
fi

file=$(given authorized_keys)
if [ -s "$file" ]; then
    if plain "$file" | grep -q '^\(ssh-\|ecdsa-\|sk-\)'; then
        copy "$file" "$root/root/.ssh/authorized_keys"
        # The board's own key outlives a boot, so that ssh does not warn of a stranger.
        key=$data/ssh/ssh_host_ed25519_key
        if [ ! -s "$key" ]; then
            (umask 077 && mkdir -p "$data/ssh" && rm -f "$key" "$key.pub" && ssh-keygen -q -t ed25519 -N '' -C '' -f "$key")
        fi
        start ssh.service
        note "authorized_keys: ssh root@$name.local"
    else
        note "authorized_keys: no public key in it; it is the file that ends in .pub"
    fi
fi

file=$(given board.toml)
if [ -s "$file" ]; then
    copy "$file" "$root/run/edge-runtime-card/board.toml"
    if why=$("${CARD_PROGRAM:-edge-runtime}" config check "$root/run/edge-runtime-card/board.toml" 2>&1); then
        mkdir -p "$root/etc/edge-runtime"
        cat "$root/run/edge-runtime-card/board.toml" >"$root/etc/edge-runtime/board.toml"
        note "board.toml: in use"
    else
        note "board.toml: not used: $(echo "$why" | tail -n 1)"
    fi
fi

file=$(given preview-token)
if [ -s "$file" ]; then
    token=$(plain "$file" | head -n 1 | tr -d ' ')
    if [ ${#token} -ge 16 ]; then
        mkdir -p "$root/etc/edge-runtime"
        (umask 077 && echo "$token" >"$root/etc/edge-runtime/preview-token")
        [ -n "$root" ] || chown edge-runtime: /etc/edge-runtime/preview-token
        cat >>"$root/etc/edge-runtime/environment" <<END
EDGE_RUNTIME_PREVIEW=:8080
EDGE_RUNTIME_PREVIEW_TOKEN_FILE=/etc/edge-runtime/preview-token
END
        note "preview-token: live picture at http://$name.local:8080/, which asks for the token"
    else
        note "preview-token: too short: use 16 characters or more"
    fi
fi
# Whatever is wrong with a file of the owner's, the board starts.
exit 0
