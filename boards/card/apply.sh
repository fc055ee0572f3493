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
# Files from Windows end their lines with CR LF.
copy() { (umask 077 && mkdir -p "${2%/*}" && tr -d '\r' <"$1" >"$2"); }
start() { "$systemctl" --no-block start "$1"; }

# A name of its own for each board: the last eight digits of the processor's serial number.
digits=$(tr -d '\000' 2>/dev/null <"$serial" | tr A-F a-f | tr -cd '0-9a-f' | tail -c 8)
name=edge-runtime${digits:+-$digits}
if [ -s "$boot/hostname" ]; then
    given=$(head -n 1 "$boot/hostname" | tr -d '\r ')
    case $given in
    *[!A-Za-z0-9-]* | -* | *- | "") note "hostname: \"$given\" is not a host name: use letters, digits and -" ;;
    *) name=$(printf %.63s "$given") ;;
    esac
fi
mkdir -p "$root/etc"
echo "$name" >"$root/etc/hostname"
[ -n "$root" ] || hostname "$name"

if [ -s "$boot/wpa_supplicant.conf" ]; then
    if grep -q '^[[:space:]]*country=' "$boot/wpa_supplicant.conf"; then
        copy "$boot/wpa_supplicant.conf" "$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
        start wpa_supplicant@wlan0.service
        note "wpa_supplicant.conf: WLAN is on"
    else
        note "wpa_supplicant.conf: the line country=XX is missing, without which the radio stays off"
    fi
fi

if [ -s "$boot/authorized_keys" ]; then
    if grep -q '^\(ssh-\|ecdsa-\|sk-\)' "$boot/authorized_keys"; then
        copy "$boot/authorized_keys" "$root/root/.ssh/authorized_keys"
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

if [ -s "$boot/board.toml" ]; then
    copy "$boot/board.toml" "$root/run/edge-runtime-card/board.toml"
    if why=$("${CARD_PROGRAM:-edge-runtime}" config check "$root/run/edge-runtime-card/board.toml" 2>&1); then
        mkdir -p "$root/etc/edge-runtime"
        cat "$root/run/edge-runtime-card/board.toml" >"$root/etc/edge-runtime/board.toml"
        note "board.toml: in use"
    else
        note "board.toml: not used: $(echo "$why" | tail -n 1)"
    fi
fi

if [ -s "$boot/preview-token" ]; then
    token=$(head -n 1 "$boot/preview-token" | tr -d '\r ')
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
