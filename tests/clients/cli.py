"""The AWS CLI against the sandbox, as somebody at a terminal or a script would use it.

`cli.py AWS URL` needs a sandbox with 45 clusters `dw-00` to `dw-44` in us-east-1, whose snapshots take 12 seconds,
as `tests/clients.rs` starts it. AWS is the path of the program. What it prints is judged by the API model. But for its
version, the commands are run by the program's own code in this process: starting it takes most of a command's time.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.request

from awscli.clidriver import create_clidriver
from model import Judge

AWS, URL = sys.argv[1:]
ACCOUNT = "000000000000"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ENDPOINT_URL": URL,
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_DEFAULT_OUTPUT": "json",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_MAX_ATTEMPTS": "1",
}
JUDGES = {service: Judge(service) for service in ("redshift", "sts")}


@contextlib.contextmanager
def environment(more):
    before = dict(os.environ)
    # Beside the place of the program's own data, which its import has put there.
    os.environ.update({**ENVIRONMENT, **more})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(*words, more=None):
    """The command's exit code, and what it wrote to its two outputs."""
    out, err = io.StringIO(), io.StringIO()
    with environment(more or {}), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = create_clidriver().main(list(words))
    return code, out.getvalue(), err.getvalue()


def aws(*words, service="redshift", more=None):
    """What the command prints; an operation's output is judged."""
    code, out, err = run(service, *words, more=more)
    assert code == 0, (words, err)
    printed = json.loads(out) if out.strip() else {}
    if words[0] != "wait":
        operation = "".join(word.capitalize() for word in words[0].split("-"))
        answer = {name: value for name, value in printed.items() if name != "NextToken"}
        JUDGES[service].parsed(operation, answer)
    return printed


def refused(code, *words):
    got, _, err = run("redshift", *words)
    assert got in (254, 255) and f"({code})" in err, (words, got, err)


def asked(operation):
    with urllib.request.urlopen(f"{URL}/_sandbox/requests", timeout=10) as answer:
        return [one["parameters"] for one in json.load(answer) if one["operation"] == operation]


def ids(listing, key):
    return [one[key] for one in listing]


def clusters():
    found = aws("describe-clusters", "--page-size", "20")["Clusters"]
    assert ids(found, "ClusterIdentifier") == [f"dw-{n:02}" for n in range(45)], found
    pages = asked("DescribeClusters")
    assert [("Marker" in page, page["MaxRecords"]) for page in pages] == [(n > 0, "20") for n in range(3)], pages
    first = aws("describe-clusters", "--page-size", "20", "--max-items", "7")
    rest = aws("describe-clusters", "--starting-token", first["NextToken"])
    assert [len(page["Clusters"]) for page in (first, rest)] == [7, 38]
    made = aws(
        "create-cluster",
        *("--cluster-identifier", "made", "--node-type", "ra3.large", "--cluster-type", "single-node"),
        *("--master-username", "admin", "--master-user-password", "Passw0rd", "--tags", "Key=env,Value=prod"),
    )
    assert made["Cluster"]["ClusterStatus"] == "creating", made
    time.sleep(1.5)
    aws("wait", "cluster-available", "--cluster-identifier", "made")
    (tagged,) = aws("describe-clusters", "--tag-keys", "env", "none", "--tag-values", "prod")["Clusters"]
    assert tagged["ClusterIdentifier"] == "made", tagged
    refused("ClusterNotFound", "describe-clusters", "--cluster-identifier", "none")
    refused("InvalidParameterValue", "describe-clusters", "--page-size", "19")


def snapshots():
    create = ("create-cluster-snapshot", "--cluster-identifier", "made", "--snapshot-identifier")
    made = aws(*create, "first", "--manual-snapshot-retention-period", "7", "--tags", "Key=slot,Value=a b/c:1")
    assert made["Snapshot"]["Status"] == "creating", made
    began = time.monotonic()
    aws("wait", "snapshot-available", "--snapshot-identifier", "first")
    assert time.monotonic() - began > 10, "the snapshot was there before the CLI had to wait for it"
    (seen,) = aws("describe-cluster-snapshots", "--snapshot-identifier", "first")["Snapshots"]
    assert (seen["Status"], seen["ManualSnapshotRemainingDays"]) == ("available", 7), seen
    aws(*create, "second")
    for wanted, filters in (
        (["first", "second"], ["--cluster-identifier", "made", "--cluster-exists"]),
        (["second", "first"], ["--sorting-entities", "Attribute=CREATE_TIME,SortOrder=DESC", "--page-size", "20"]),
        (["first"], ["--tag-keys", "slot"]),
        (["first"], ["--end-time", seen["SnapshotCreateTime"], "--snapshot-type", "manual"]),
        ([], ["--no-cluster-exists"]),
        ([], ["--owner-account", "111122223333"]),
    ):
        found = aws("describe-cluster-snapshots", *filters)["Snapshots"]
        assert ids(found, "SnapshotIdentifier") == wanted, (filters, found)
    refused("ClusterSnapshotAlreadyExists", *create, "first")
    refused("InvalidParameterValue", *create, "a--b")
    changed = aws(
        "modify-cluster-snapshot", "--snapshot-identifier", "first", "--manual-snapshot-retention-period", "-1"
    )
    assert changed["Snapshot"]["ManualSnapshotRetentionPeriod"] == -1, changed
    answer = aws(
        "batch-modify-cluster-snapshots",
        *("--snapshot-identifier-list", "first", "none", "--manual-snapshot-retention-period", "30"),
    )
    assert answer["Resources"] == ["first"] and len(answer["Errors"]) == 1, answer
    events = aws("describe-events", "--source-type", "cluster-snapshot", "--source-identifier", "first")["Events"]
    assert ids(events, "EventId") == ["REDSHIFT-EVENT-2009", "REDSHIFT-EVENT-3004"], events


def tags():
    arn = f"arn:aws:redshift:us-east-1:{ACCOUNT}:cluster:dw-01"
    aws("create-tags", "--resource-name", arn, "--tags", "Key=a,Value=1", "Key=b,Value=2")
    aws("delete-tags", "--resource-name", arn, "--tag-keys", "a")
    (tag,) = aws("describe-tags", "--resource-name", arn)["TaggedResources"]
    assert tag == {"Tag": {"Key": "b", "Value": "2"}, "ResourceName": arn, "ResourceType": "cluster"}, tag
    found = aws("describe-tags", "--resource-type", "snapshot", "--page-size", "10")["TaggedResources"]
    assert [one["Tag"]["Value"] for one in found] == ["a b/c:1"], found


def ends():
    aws("delete-cluster-snapshot", "--snapshot-identifier", "first", "--snapshot-cluster-identifier", "made")
    refused("ClusterSnapshotNotFound", "delete-cluster-snapshot", "--snapshot-identifier", "first")
    while aws("describe-cluster-snapshots", "--snapshot-identifier", "second")["Snapshots"][0]["Status"] != "available":
        time.sleep(0.5)
    wanted = ["SnapshotIdentifier=second", "SnapshotIdentifier=none"]
    answer = aws("batch-delete-cluster-snapshots", "--identifiers", *wanted)
    assert answer["Resources"] == ["second"] and ids(answer["Errors"], "SnapshotIdentifier") == ["none"], answer
    aws("pause-cluster", "--cluster-identifier", "dw-02")
    time.sleep(1)
    aws("resume-cluster", "--cluster-identifier", "dw-02")
    aws("modify-cluster", "--cluster-identifier", "made", "--new-cluster-identifier", "renamed")
    time.sleep(1)
    aws("wait", "cluster-available", "--cluster-identifier", "renamed")
    aws("delete-cluster", "--cluster-identifier", "renamed", "--skip-final-cluster-snapshot")
    time.sleep(1)
    aws("wait", "cluster-deleted", "--cluster-identifier", "renamed")


def roles():
    role = ("--role-arn", "arn:aws:iam::111122223333:role/redkeep", "--role-session-name", "night")
    keys = aws("assume-role", *role, service="sts")["Credentials"]
    more = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    who = aws("get-caller-identity", service="sts", more=more)
    assert who["Account"] == "111122223333", who
    assert aws("describe-clusters", more=more)["Clusters"] == []


def main():
    clusters()
    snapshots()
    tags()
    ends()
    roles()
    for judge in JUDGES.values():
        judge.require_all_seen()
    version = subprocess.run([AWS, "--version"], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=True)
    print(version.stdout.split()[0], "is content")


main()
