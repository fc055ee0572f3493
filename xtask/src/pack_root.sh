# Packs the root file system of a card. Arguments: WORK BASE LAYER IMAGE. Runs under fakeroot.
set -e
tree=$1/tree
mkdir "$tree"
tar -xf "$2" -C "$tree"
rm -f "$tree/etc/resolv.conf"
chown -Rh 0:0 "$3"
cp -a "$3/." "$tree/"
mksquashfs "$tree" "$4" -comp zstd -Xcompression-level 6 -no-progress -quiet
