#!/bin/bash
# Runs in the booted system (boot.sh): the package from its installation to its purge, with redkeep's own sandbox as a
# service beside it. Says what holds, line by line, and ends at the first thing that does not.
set -uo pipefail
export DEBIAN_FRONTEND=noninteractive
files=/files config=/etc/redkeep/redkeep.toml unit=redkeep.service
metrics=http://127.0.0.1:9835 sandbox=http://127.0.0.1:9836

fail() {
  echo "NOT so: $*"
  systemctl status $unit --no-pager --lines=0
  journalctl --no-pager -u $unit -n 40
  exit 1
}
holds() { # holds SENTENCE COMMAND...
  local sentence=$1
  shift
  "$@" >/dev/null || fail "$sentence ($*)"
  echo "$sentence"
}
soon() { # soon SENTENCE COMMAND...: within 30 s
  local sentence=$1
  shift
  for _ in $(seq 150); do
    "$@" && { echo "$sentence" && return; }
    sleep .2
  done
  fail "$sentence, not within 30 s ($*)"
}
property() { systemctl show --value --property="$1" $unit; }
is() { [ "$(property "$1")" = "$2" ]; }
# The names of the snapshots that the sandbox has, and of those in the history.
snapshots() {
  curl -s "$sandbox/_sandbox/state?account=111122223333" | grep -o '"snapshot_identifier": *"[^"]*"' |
    grep -o 'redkeep-policy[^"]*' | sort -u
}
recorded() { redkeep history --output csv | grep -o 'redkeep-policy-[0-9]-dw-[0-9a-z-]*' | sort -u; }
metric() { curl -sf $metrics/metrics | grep -v '^#' | grep -F "$1" | head -1 | sed 's/.* //'; }
# How many runs of a state the history has.
runs() { redkeep history --output csv --state "$1" 2>/dev/null | tail -n +2 | wc -l; }
counted() { metric 'policy="policy-1",cluster="dw",result="available"'; }
more_counted() { [ "$(counted)" -gt "$1" ]; }
more_runs() { [ "$(runs available)" -gt "$1" ]; }
active_with_another_pid() { is ActiveState active && ! is MainPID "$1" && ! is MainPID 0; }
status_says() { property StatusText | grep -q "$1"; }
answers() { curl -sf -o /dev/null "$1"; }

policies() { # policies SCHEDULE...
  cat <<EOS
endpoint = "$sandbox"
[[account]]
name = "default"
regions = ["us-east-1"]
snapshot_quota = 100000
EOS
  local number=0
  for schedule in "$@"; do
    number=$((number + 1))
    printf '[[policy]]\nname = "policy-%s"\nschedule = "%s"\nclusters = ["dw"]\nretention = "7d"\n' $number "$schedule"
  done
}
often='*/3 * * * * *' yearly='0 0 1 1 *'

old=$(ls $files/*redkeep1*.deb) new=$(ls $files/*redkeep2*.deb)
holds "the package installs" dpkg --install "$old"
holds "nothing has started by itself" is ActiveState inactive
holds "nor will it at the next boot" is UnitFileState disabled
holds "the sample is valid" redkeep check
holds "man finds a page for each section" test -s /usr/share/man/man1/redkeep.1.gz -a -s /usr/share/man/man5/redkeep.toml.5.gz

systemd-run --quiet --unit=sandbox redkeep sandbox --cluster dw --account 111122223333 --account 222233334444 \
  --snapshot-seconds 1 --quota 100000
soon "the sandbox listens" answers $sandbox/_sandbox/state

# A second daemon, in an account of its own, has nothing to do during all of this; its log is read at the end.
cat >/etc/quiet.toml <<EOS
namespace = "quiet"
state_dir = "/var/lib/quiet"
listen = "127.0.0.1:9837"
endpoint = "$sandbox"
[[account]]
name = "default"
regions = ["us-east-1"]
[[policy]]
name = "yearly"
schedule = "0 0 1 1 *"
clusters = ["dw"]
retention = "7d"
EOS
mkdir /var/lib/quiet
systemd-run --quiet --unit=quiet --property=Type=notify --setenv=AWS_ACCESS_KEY_ID=222233334444 \
  --setenv=AWS_SECRET_ACCESS_KEY=secret redkeep run --config /etc/quiet.toml
soon "a quiet daemon beside it is ready" answers http://127.0.0.1:9837/readyz
quiet_since=$(date +%s)
# The tests shall not wait for what production waits for.
mkdir -p /etc/systemd/system/$unit.d
printf '[Service]\nRestartSec=1\nWatchdogSec=6\n' >/etc/systemd/system/$unit.d/test.conf
systemctl daemon-reload

echo "-- start"
policies "$often" >$config
holds "it starts without a credential" systemctl start $unit
holds "and is active, since AWS is for /readyz to tell" is ActiveState active
sleep 1
holds "nobody warns of the empty credential" sh -c "! journalctl -u $unit | grep -i overridden"
mkdir -p /etc/credstore && chmod 700 /etc/credstore
printf '[default]\naws_access_key_id = 111122223333\naws_secret_access_key = secret\n' >/etc/credstore/aws
chmod 600 /etc/credstore/aws
holds "it restarts with one" systemctl restart $unit
holds "systemd shows what it works on" status_says "1 policies"
soon "it is ready" answers $metrics/readyz
soon "it takes snapshots" more_runs 1
requests=$(curl -s $sandbox/_sandbox/requests)
holds "with the credential, which is of account 111122223333" \
  sh -c "echo '$requests' | grep -q '\"account\": *\"111122223333\"'"
holds "its start is known though /proc/stat is hidden" \
  sh -c "[ \$(curl -s $metrics/metrics | sed -n 's/^process_start_time_seconds //p' | cut -d. -f1) -gt 1700000000 ]"

echo "-- confinement"
main=$(property MainPID)
uid=$(awk '/^Uid/ {print $2}' "/proc/$main/status")
holds "its user is a dynamic one" test "$uid" -ge 61184 -a "$uid" -le 65519
holds "it has no capability, and can gain none" \
  sh -c "! grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/$main/status | grep -v '0000000000000000$' && grep -q 'NoNewPrivs:.1' /proc/$main/status"
holds "systemd rates its exposure at 1.1 or less" systemd-analyze security --threshold=11 --no-pager $unit
refused() { ! runuser -u nobody -- redkeep status 2>/tmp/refused && grep -q 'denied.*; .*for root' /tmp/refused; }
holds "another user is told who may read the history" refused
holds "only its user looks into the state" test "$(stat -Lc %a /var/lib/redkeep)" = 700

echo "resident memory: $(metric process_resident_memory_bytes) bytes"

echo "-- log"
snapshot=$(redkeep history --output csv --state available | grep -o 'redkeep-policy-1-dw-[0-9a-z-]*' | tail -1)
entries() { journalctl -u $unit -o cat REDKEEP_SNAPSHOT="$snapshot"; }
holds "a snapshot has an event for each change of its state" test "$(entries | sed 's/ .*//' | xargs)" = "due requested creating available"
for field in '"REDKEEP_POLICY":"policy-1"' '"REDKEEP_CLUSTER":"dw"' '"REDKEEP_SCOPE":"default/us-east-1"' '"REDKEEP_SLOT":"20'; do
  holds "each with the field $field" test "$(journalctl -u $unit -o json REDKEEP_SNAPSHOT="$snapshot" | grep -cF "$field")" = 4
done
holds "and with its priority" test "$(journalctl -u $unit -o json REDKEEP_SNAPSHOT="$snapshot" | grep -c '"PRIORITY":"6"')" = 4
holds "no secret is in it" sh -c "! journalctl -o json | grep -q aws_secret"

echo "-- kill -9"
before=$(runs available)
systemctl kill --signal=KILL --kill-who=main $unit
soon "it is restarted" active_with_another_pid "$main"
holds "once" is NRestarts 1
soon "and takes snapshots again" more_runs "$before"

echo "-- reload"
main=$(property MainPID)
policies "$often" "$yearly" >$config
holds "a good policy file is reloaded" systemctl reload $unit
soon "and counts" status_says "2 policies"
holds "in the same process" is MainPID "$main"
echo 'nonsense = 1' >>$config
holds "a bad one fails the reload" sh -c "! systemctl reload $unit 2>/dev/null"
holds "and the daemon goes on" is MainPID "$main"
holds "with what it had" test "$(metric config_last_reload_successful)" = 1
kill -HUP "$main"
soon "where it comes in by a signal, the status says so" status_says "last reload failed"
holds "and so does the metric" test "$(metric 'config_last_reload_successful ')" = 0
before=$(counted)
soon "snapshots go on all the same" more_counted "$before"
policies "$often" >$config
holds "a good one is taken again" systemctl reload $unit
soon "and counts" status_says "1 policies"

echo "-- watchdog"
main=$(property MainPID) restarts=$(property NRestarts)
kill -STOP "$main"
soon "a daemon that stands still is restarted" active_with_another_pid "$main"
holds "by the watchdog" sh -c "journalctl -u $unit | grep -q 'Watchdog timeout'"
holds "once" is NRestarts $((restarts + 1))
before=$(runs available)
soon "and takes snapshots again" more_runs "$before"

echo "-- stop"
began=$(date +%s)
holds "it stops" systemctl stop $unit
holds "within 25 s" test $(($(date +%s) - began)) -le 25
holds "well" is Result success
slots=$(redkeep history --output csv | tail -n +2 | cut -d, -f1-5 | sort)
holds "no slot has two records after all this" test -z "$(echo "$slots" | uniq -d)"
holds "no snapshot is without a record" test -n "$(snapshots)" -a -z "$(comm -23 <(snapshots) <(recorded))"

echo "-- root beside the service"
holds "root pauses a policy while the service is down" redkeep pause policy-1
holds "the service starts after that" systemctl start $unit
paused() { [ -n "$(metric 'policy_paused_timestamp_seconds{')" ]; }
soon "and knows" paused
holds "root resumes it beside the service" redkeep resume policy-1
before=$(runs available)
soon "which goes on" more_runs "$before"
systemctl stop $unit
flock /var/lib/redkeep/lock sleep 4 &
systemctl start $unit
holds "a state directory that another holds is waited for" sh -c "! systemctl is-active --quiet $unit"
soon "until it is free" is ActiveState active
holds "which cost exit code 75" sh -c "journalctl -u $unit | grep -q 'status=75'"
wait

echo "-- backup and restore, as docs/install.md says"
systemctl stop $unit
install -m 600 /var/lib/redkeep/history.db /root/backup.db
many=$(redkeep history --output csv | wc -l)
longer() { [ "$(redkeep history --output csv | wc -l)" -gt "$many" ]; }
holds "it goes on after the copy" systemctl start $unit
soon "with more runs" longer
systemctl stop $unit
rm -f /var/lib/redkeep/history.db-wal /var/lib/redkeep/history.db-shm
install -m 600 /root/backup.db /var/lib/redkeep/history.db
chown --reference=/var/lib/redkeep/ /var/lib/redkeep/history.db
holds "it starts with the copy" systemctl start $unit
soon "and goes on from there" longer
complete() { [ -z "$(comm -23 <(snapshots) <(recorded))" ]; }
soon "snapshots that the copy did not know are recorded again" complete

echo "-- bad policy file at the start"
systemctl stop $unit
echo 'nonsense = 1' >>$config
holds "the service does not start" sh -c "! systemctl start $unit 2>/dev/null"
sleep 2
holds "and is left alone" is ActiveState failed
holds "with exit code 78" is ExecMainStatus 78
holds "at once" is NRestarts 0
systemctl reset-failed $unit

echo "-- credential_process, by the drop-in of docs/install.md"
cp $files/credential-process.conf /etc/systemd/system/$unit.d/
printf '[default]\ncredential_process = /usr/local/bin/redkeep-credentials\n' >/etc/redkeep/aws-config
cat >/usr/local/bin/redkeep-credentials <<'EOS'
#!/bin/sh
echo '{"Version": 1, "AccessKeyId": "111122223333", "SecretAccessKey": "secret"}'
EOS
chmod 755 /usr/local/bin/redkeep-credentials
rm /etc/credstore/aws
policies "$often" >$config
systemctl daemon-reload
before=$(runs available)
holds "the service starts with it" systemctl start $unit
soon "and takes snapshots" more_runs "$before"
rm /etc/systemd/system/$unit.d/credential-process.conf
systemctl daemon-reload
holds "without the drop-in it starts" systemctl restart $unit
denied() { ! answers $metrics/readyz; }
soon "but may not execute the program" denied
printf '[default]\naws_access_key_id = 111122223333\naws_secret_access_key = secret\n' >/etc/credstore/aws

echo "-- a site of VPC endpoints, by the drop-in of docs/install.md"
cp $files/vpc-endpoints.conf /etc/systemd/system/$unit.d/
systemctl daemon-reload
holds "the service starts with it" systemctl restart $unit
before=$(runs available)
soon "and takes snapshots" more_runs "$before"
holds "systemd rates its exposure at 1.0 or less" systemd-analyze security --threshold=10 --no-pager $unit

echo "-- upgrade"
before=$(redkeep history --output csv | tail -n +2)
main=$(property MainPID)
systemctl enable --quiet $unit
holds "a newer package installs" dpkg --install "$new"
soon "the service is restarted" active_with_another_pid "$main"
holds "it is still enabled" is UnitFileState enabled
holds "the policy file is still the administrator's" grep -q policy-1 $config
oldest() { cut -d, -f1-5 | sed -n "$1"; }
holds "the history is still there" test "$(redkeep history --output csv | oldest 2,6p)" = "$(echo "$before" | oldest 1,5p)"
many=$(echo "$before" | wc -l)
more_history() { [ "$(redkeep history --output csv | tail -n +2 | wc -l)" -gt "$many" ]; }
soon "and goes on" more_history

echo "-- a quiet time"
# Listings come once a minute, so that one at least must fall into it.
while [ $(($(date +%s) - quiet_since)) -lt 75 ]; do sleep 1; done
lines=$(journalctl -q -u quiet -o cat --since "@$((quiet_since + 1))")
holds "in more than a minute without a slot, but with listings, nothing is logged" test -z "$lines"
holds "and listings there were" sh -c "curl -s http://127.0.0.1:9837/metrics |
  grep 'operation=\"DescribeClusterSnapshots\",code=\"ok\"' | grep -qv ' [01]$'"
holds "it stops too" systemctl stop quiet

echo "-- remove and purge"
holds "the package goes" dpkg --remove redkeep
holds "the service is stopped" sh -c "! systemctl is-active --quiet $unit"
holds "history and policy file stay" test -s /var/lib/redkeep/history.db -a -s $config
rm /etc/redkeep/aws-config
holds "it is purged" dpkg --purge redkeep
holds "nothing is left" sh -c "! ls -d /etc/redkeep /var/lib/redkeep /var/lib/private/redkeep /etc/systemd/system/multi-user.target.wants/$unit /usr/share/redkeep /usr/bin/redkeep 2>/dev/null"
holds "no unit has failed" sh -c "[ -z \"\$(systemctl --failed --no-legend)\" ]"
systemctl stop sandbox
echo "all of it holds"
