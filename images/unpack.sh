#!/bin/sh
# unpack.sh ROOT PACKAGE...: downloads exactly these Debian packages and unpacks them below ROOT, without their
# maintainer scripts. What nobody reads in a container stays out; licences and the packages' descriptions (where
# scanners look for them) come along.
set -eu
root=$1
shift

# Debian's merged /usr: packages still ship files below /bin, /lib and /sbin.
mkdir -p "$root/var/lib/dpkg/status.d"
for dir in bin sbin lib lib64; do
  mkdir -p "$root/usr/$dir"
  [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
done

downloads=$(mktemp -d)
cd "$downloads"
apt-get download -q -o APT::Sandbox::User=root "$@"
for deb in *.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
    --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/info' --exclude='./usr/share/lintian' \
    --exclude='./usr/share/bug' --exclude='./usr/share/bash-completion' --exclude='./usr/share/gcc' --exclude='./usr/share/gdb' \
    --exclude='./usr/share/doc/*/changelog*' --exclude='./usr/share/doc/*/NEWS*' --exclude='./usr/share/doc/*/examples' \
    --exclude='./usr/lib/*/gconv' --exclude='./etc/init.d' --exclude='./etc/default' --exclude='./usr/lib/systemd' --exclude='./lib/systemd'
  dpkg-deb --field "$deb" > "$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
done
rm -r "$downloads"
