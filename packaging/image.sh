#!/usr/bin/env bash
# image.sh PROGRAM [DIRECTORY]: puts the program and the Debian files of this machine that it needs into an image, without
# Docker: an OCI layout DIRECTORY/oci (target/image/oci) with the tag of the program's version. Needs root, for the owners
# of files, and Debian's umoci. PROGRAM must be built on this Debian or an older one. Exits with 69 if no packages can be
# fetched.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: image.sh PROGRAM [DIRECTORY]" >&2; exit 64; }
program=$(realpath "$1")
[ -x "$program" ] || { echo "image.sh: $program is not a program" >&2; exit 66; }
work=${2:-$(dirname "$0")/../target/image}
[ "$(id -u)" = 0 ] || { echo "image.sh: run this as root" >&2; exit 77; }
umask 022
mkdir -p "$work"
work=$(realpath "$work")
if [ -e "$work/oci" ]; then
  [ -f "$work/oci/oci-layout" ] || { echo "image.sh: $work/oci exists and is not an OCI layout" >&2; exit 73; }
  rm -rf "$work/oci"
fi
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
root=$staged/root
mkdir "$root" "$staged/packages"

# base-files first: in newer Debians it has the links /lib and /lib64, through which the others unpack.
packages=(base-files libc6 libgcc-s1 ca-certificates)
(cd "$staged/packages" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}") || exit 69
mkdir -p "$root/var/lib/dpkg/status.d"
for package in "${packages[@]}"; do
  file=$(echo "$staged/packages/${package}"_*.deb)
  dpkg-deb --extract "$file" "$root"
  # Where scanners look for what is in an image that has no package manager.
  dpkg-deb --field "$file" >"$root/var/lib/dpkg/status.d/$package"
done
# The licences stay; what nothing here reads goes.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{man,locale,lintian,base-files,info} "$root"/usr/lib/*/gconv "$root"/usr/sbin/update-ca-certificates
find "$root/usr" -type d -empty -delete

# What the packages' scripts would do.
find "$root/usr/share/ca-certificates" -name '*.crt' -print0 | sort -z |
  xargs -0 sed '$a\' >"$root/etc/ssl/certs/ca-certificates.crt"
printf '%s\n' 'root:x:0:0:root:/root:/usr/sbin/nologin' \
  'nonroot:x:65532:65532:nonroot:/var/lib/redkeep:/usr/sbin/nologin' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
install -d "$root/etc/redkeep"
install -d -m 700 -o 65532 -g 65532 "$root/var/lib/redkeep"
install -D -m 755 "$program" "$root/usr/bin/redkeep"

version=$(chroot --userspec=65532:65532 "$root" /usr/bin/redkeep --version)
version=${version#redkeep }
image=$work/oci:$version
umoci init --layout "$work/oci"
umoci new --image "$image"
umoci insert --image "$image" "$root" /
umoci config --image "$image" --architecture "$(dpkg --print-architecture)" --os linux \
  --config.user 65532:65532 --config.workingdir / --config.entrypoint /usr/bin/redkeep --config.cmd run \
  --config.exposedports 9835/tcp --config.volume /var/lib/redkeep --config.stopsignal SIGTERM \
  --config.label "org.opencontainers.image.version=$version" --config.label org.opencontainers.image.title=redkeep
umoci gc --layout "$work/oci"
du -sh "$root" "$work/oci" | sed 's/^/size: /'
echo "$image"
