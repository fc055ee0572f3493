# Packs the root file system of a card. Arguments: WORK BASE LAYER IMAGE. Runs under fakeroot.
set -e
tree=$1/tree
mkdir -m 755 "$tree"
tar -xpf "$2" -C "$tree"
rm -f "$tree/etc/resolv.conf"
chown -Rh 0:0 "$3"
# Folders that Debian has keep its permissions, whatever those of the layer's are.
tar -C "$3" -cf - . | tar -C "$tree" -xpf - --no-overwrite-dir
mksquashfs "$tree" "$4" -comp zstd -Xcompression-level 6 -no-progress -quiet
