#!/usr/bin/env bash
# base.sh SUITE DIRECTORY: builds a Debian that systemd-nspawn can boot, about 190 MB, from the mirror that this
# machine uses. Does nothing where it is there already.
set -euo pipefail
suite=$1 base=$2
[ -x "$base/lib/systemd/systemd" ] && exit 0
packages=systemd,systemd-sysv,dbus,libnss-systemd,ca-certificates,curl,procps
rm -rf "$base.new"
mmdebstrap --quiet --variant=minbase --skip=output/dev --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$base.new" >&2
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all; do
  ln -sf /dev/null "$base.new/etc/systemd/system/$timer.timer"
done
mv "$base.new" "$base"
