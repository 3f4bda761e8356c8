#!/usr/bin/env bash
# boot.sh BASE FILES SCRIPT: boots a throw-away copy of BASE with a real systemd as its first process, runs FILES/SCRIPT
# in it once it is up, shows what that prints, and returns its exit code. Inside, /files is FILES, read-only.
#
# Needs root and systemd-nspawn. The copy is an overlay in memory, in a mount namespace of its own, without a network;
# nothing is left of it. Three things are not obvious:
# - `--register=no --keep-unit`: it works without a systemd on this machine.
# - CAP_BPF, CAP_PERFMON and the system call bpf: without them IPAddressDeny= is silently not enforced.
# - A control group for each run: without, two runs at the same time would share one.
set -euo pipefail
base=$(readlink -f "$1") files=$(readlink -f "$2") script=$3
seconds=${REDKEEP_BOOT_SECONDS:-420}
if [ -z "${REDKEEP_BOOT_NAMESPACE:-}" ]; then
  exec env REDKEEP_BOOT_NAMESPACE=1 unshare --mount --propagation private -- "$0" "$base" "$files" "$script"
fi
work=$(mktemp -d)
groups=()
cleanup() {
  for group in "${groups[@]}"; do
    for _ in 1 2 3 4 5; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep .1
    done
  done
  umount -l "$work/root" "$work/overlay" 2>/dev/null || true
  rm -rf "$work"
  rm -rf --one-file-system "/run/systemd/nspawn/propagate/$(basename "$work" | tr . -)"
}
trap cleanup EXIT
mkdir "$work/overlay" "$work/root" "$work/out"
mount -t tmpfs -o size=1g tmpfs "$work/overlay"
mkdir "$work/overlay/upper" "$work/overlay/work"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/overlay/upper,workdir=$work/overlay/work" "$work/root"
units=$work/root/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$work/root/files" "$work/root/out"
cat >"$work/root/run-test" <<'EOS'
#!/bin/bash
for _ in $(seq 100); do
  state=$(systemctl is-system-running)
  case $state in running | degraded) break ;; esac
  sleep .1
done
echo "$(systemctl --version | head -1), $state"
systemctl --failed --no-legend --plain
exec "/files/$1"
EOS
chmod 755 "$work/root/run-test"
cat >"$units/the-test.service" <<EOS
[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=exec
ExecStart=/run-test $script
StandardInput=null
StandardOutput=append:/out/log
StandardError=append:/out/log
RuntimeMaxSec=$seconds
TimeoutStopSec=5
EOS
ln -s ../the-test.service "$units/multi-user.target.wants/the-test.service"
: >"$work/out/log"
for hierarchy in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
  group=$hierarchy/$(basename "$work")
  [ -e "$hierarchy/cgroup.procs" ] && mkdir "$group" 2>/dev/null && groups+=("$group")
done
machine=(systemd-nspawn --quiet --register=no --keep-unit --directory="$work/root"
  --machine="$(basename "$work" | tr . -)" --boot --console=pipe --bind-ro="$files:/files" --bind="$work/out:/out"
  --capability=CAP_BPF,CAP_PERFMON --system-call-filter=bpf --resolv-conf=off --timezone=off --private-network)
(
  for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs"; done
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec timeout -k 10 $((seconds + 20)) "${machine[@]}"
) </dev/null >"$work/console" 2>&1 &
running=$!
tail -n +1 -s .1 -f --pid=$running "$work/out/log" &
showing=$!
code=0
wait $running || code=$?
wait $showing || true
[ $code = 0 ] || { echo "the console:" && tail -20 "$work/console"; } >&2
exit $code
