#!/bin/sh
# complete.sh ROOT...: these roots are laid over each other in an image. Fails and names each program that would miss a
# shared library there. Then takes from every root but the first the links of the merged /usr, which the first one has.
set -eu
all=$(mktemp -d)
for root in "$@"; do cp -a "$root/." "$all/"; done
loader=$(cd "$all" && echo lib*/ld-linux-*.so.*)
failed=0
for file in $(find "$all/usr/bin" "$all/usr/sbin" "$all/opt" -type f -perm -u+x 2>/dev/null); do
  [ "$(head -c 4 "$file" | tr -d '\177')" = ELF ] || continue
  said=$(chroot "$all" "/$loader" --list "${file#"$all"}" 2>&1) || true
  case "$said" in *'cannot open shared object file'* | *'not found'*)
    echo "complete.sh: $said" >&2
    failed=1
  esac
done
rm -r "$all"
shift
for root in "$@"; do
  for dir in bin sbin lib lib64; do rm -f "$root/$dir"; done
  find "$root" -depth -type d -empty -delete
done
exit $failed
