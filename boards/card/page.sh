#!/bin/sh
# Writes the board's own page again and again: its name, how it is, and what can be done next. It shows no pictures and no records.
# Argument: the folder of the page. The tests set the variables.
set -u
folder=$1 notes=${CARD_NOTES:-/run/edge-runtime-card/notes} program=${CARD_PROGRAM:-edge-runtime}
model=${CARD_MODEL:-/proc/device-tree/model}
escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }
lines() { escape | sed 's/^/<li>/'; }
page() {
    name=$(cat "${CARD_HOSTNAME:-/etc/hostname}" | escape)
    cat <<END
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="10">
<title>$name</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-size: 0.9rem; overflow-wrap: anywhere; white-space: pre-wrap; }
</style>
<h1>$name</h1>
<p>$("$program" --version 2>/dev/null | escape) on $(tr -d '\000' 2>/dev/null <"$model" | escape)
<h2>How it is</h2>
<pre>$("$program" health 2>&1 | escape)</pre>
<h2>Files on the card</h2>
<ul>
$(lines <"$notes" 2>/dev/null)
</ul>
<h2>Next</h2>
<p>Switch the board off, put the card into a computer, and add files to its partition <code>BOOT</code>, whose
<code>README.txt</code> explains each: <code>wpa_supplicant.conf</code> for WLAN, <code>authorized_keys</code> for ssh,
<code>preview-token</code> for the live picture, <code>board.toml</code> for all settings, <code>no-page</code> to leave this page out.
</html>
END
}
while :; do
    page >"$folder/index.new" && mv "$folder/index.new" "$folder/index.html"
    [ -z "${CARD_ONCE:-}" ] || exit 0
    sleep 10
done
