"""boto3 against the sandbox: every operation, paginators, waiters, modelled exceptions, roles, and signatures.

`boto.py URL` needs a sandbox with 45 clusters `dw-00` to `dw-44` in us-east-1, whose snapshots take a second, as
`tests/clients.rs` starts it. Every answer is judged by the API model, byte for byte before botocore reads it and once
more as botocore has read it.
"""

import datetime
import json
import sys
import time
import urllib.error
import urllib.request

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError, WaiterError

from model import Judge

URL = sys.argv[1]
REGION = "us-east-1"
ACCOUNT = "000000000000"
OTHER = "111122223333"
ROLE = f"arn:aws:iam::{OTHER}:role/ops/redkeep"
JUDGES = {service: Judge(service) for service in ("redshift", "sts")}


def client(service, key="AKIAEXAMPLE", secret="secret", token=None, region=REGION):
    session = boto3.Session(key, secret, token, region_name=region)
    made = session.client(service, endpoint_url=URL, config=Config(retries={"total_max_attempts": 1}))
    judge = JUDGES[service]

    def before(operation_model, response_dict, **_):
        judge.answer(operation_model.name, response_dict["status_code"], response_dict["body"])

    def after(model, parsed, http_response, **_):
        if http_response.status_code < 300:
            answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
            judge.parsed(model.name, answer)

    made.meta.events.register(f"before-parse.{service}", before)
    made.meta.events.register(f"after-call.{service}", after)
    return made


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/_sandbox/{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def refused(code, call, **parameters):
    """The code of the refusal, and where the model has an exception for it, that one."""
    try:
        call(**parameters)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got} instead of {code}: {error}"
        return error
    raise AssertionError(f"{parameters} was not refused with {code}")


def ids(listing, key):
    return [one[key] for one in listing]


def clusters(redshift):
    pages = list(redshift.get_paginator("describe_clusters").paginate(PaginationConfig={"PageSize": 20}))
    assert [len(page["Clusters"]) for page in pages] == [20, 20, 5], pages
    found = ids(sum((page["Clusters"] for page in pages), []), "ClusterIdentifier")
    assert found == [f"dw-{n:02}" for n in range(45)], found
    assert "Marker" not in pages[-1]

    made = redshift.create_cluster(
        ClusterIdentifier="made",
        NodeType="ra3.large",
        MasterUsername="admin",
        MasterUserPassword="Passw0rd",
        ClusterType="multi-node",
        NumberOfNodes=2,
        DBName="sales",
        Tags=[{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "data"}],
    )["Cluster"]
    assert (made["ClusterStatus"], made["NumberOfNodes"], made["DBName"]) == ("creating", 2, "sales"), made
    waiter = redshift.get_waiter("cluster_available")
    waiter.wait(ClusterIdentifier="made", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    for wanted, filters in (
        (["made"], {"ClusterIdentifier": "made"}),
        (["made"], {"TagKeys": ["env", "none"]}),
        (["made"], {"TagValues": ["data"]}),
        (["made"], {"TagKeys": ["none"], "TagValues": ["prod"]}),
        ([], {"TagKeys": ["none"]}),
    ):
        found = ids(redshift.describe_clusters(**filters)["Clusters"], "ClusterIdentifier")
        assert found == wanted, (filters, found)
    describe = redshift.describe_clusters
    refused("ClusterNotFound", describe, ClusterIdentifier="Made")
    refused("InvalidParameterValue", describe, MaxRecords=19)
    refused("InvalidParameterValue", describe, Marker="x")
    refused("InvalidParameterCombination", describe, ClusterIdentifier="made", Marker="x")
    refused("InvalidTagFault", describe, TagKeys=["k" * 129])
    error = refused(
        "ClusterAlreadyExists",
        redshift.create_cluster,
        ClusterIdentifier="made",
        NodeType="ra3.large",
        MasterUsername="admin",
        MasterUserPassword="Passw0rd",
    )
    assert isinstance(error, redshift.exceptions.ClusterAlreadyExistsFault), type(error)


def snapshots(redshift):
    wait = redshift.get_waiter("snapshot_available")
    quickly = {"Delay": 1, "MaxAttempts": 20}
    before = datetime.datetime.now(datetime.timezone.utc)
    made = redshift.create_cluster_snapshot(
        SnapshotIdentifier="First",
        ClusterIdentifier="made",
        ManualSnapshotRetentionPeriod=7,
        Tags=[{"Key": "slot", "Value": "2026-11-24T01:30:00Z"}],
    )["Snapshot"]
    assert made["SnapshotIdentifier"] == "first" and made["Status"] == "creating", made
    assert abs(made["SnapshotCreateTime"] - before) < datetime.timedelta(seconds=5), made
    wait.wait(SnapshotIdentifier="first", WaiterConfig=quickly)
    (seen,) = redshift.describe_cluster_snapshots(SnapshotIdentifier="first")["Snapshots"]
    assert seen["ManualSnapshotRemainingDays"] == 7 and seen["OwnerAccount"] == ACCOUNT, seen
    for number in range(24):
        redshift.create_cluster_snapshot(SnapshotIdentifier=f"of-dw-{number:02}", ClusterIdentifier="dw-00")
    snapshot_filters(redshift, seen)
    snapshot_refusals(redshift)
    wait.wait(ClusterIdentifier="dw-00", WaiterConfig=quickly)
    changes_of_snapshots(redshift)


def snapshot_filters(redshift, first):
    paginator = redshift.get_paginator("describe_cluster_snapshots")

    def found(**filters):
        pages = paginator.paginate(PaginationConfig={"PageSize": 20}, **filters)
        return ids(pages.build_full_result()["Snapshots"], "SnapshotIdentifier")

    every = ["first"] + [f"of-dw-{number:02}" for number in range(24)]
    began, second = first["SnapshotCreateTime"], datetime.timedelta(seconds=1)
    for wanted, filters in (
        (every, {}),
        (every, {"SnapshotType": "manual"}),
        ([], {"SnapshotType": "automated"}),
        (every, {"OwnerAccount": ACCOUNT}),
        ([], {"OwnerAccount": OTHER}),
        (["first"], {"SnapshotIdentifier": "FIRST"}),
        (["first"], {"SnapshotArn": first["SnapshotArn"]}),
        (["first"], {"ClusterIdentifier": "made"}),
        (["first"], {"ClusterIdentifier": "made", "ClusterExists": True}),
        ([], {"ClusterIdentifier": "made", "ClusterExists": False}),
        ([], {"ClusterExists": False}),
        ([], {"ClusterIdentifier": "never"}),
        (["first"], {"TagKeys": ["slot"]}),
        (["first"], {"TagValues": ["2026-11-24T01:30:00Z"], "TagKeys": ["none"]}),
        (every, {"StartTime": began}),
        (every[1:], {"StartTime": began + second / 1000}),
        ([], {"EndTime": began - second}),
    ):
        assert found(**filters) == wanted, (filters, found(**filters))
    for attribute, key in (
        ("CREATE_TIME", lambda one: one["SnapshotCreateTime"]),
        ("TOTAL_SIZE", lambda one: one["TotalBackupSizeInMegaBytes"]),
        ("SOURCE_TYPE", lambda one: one["SnapshotType"]),
    ):
        for order in ("ASC", "DESC"):
            sorting = [{"Attribute": attribute, "SortOrder": order}]
            pages = paginator.paginate(PaginationConfig={"PageSize": 20}, SortingEntities=sorting)
            keys = [key(one) for one in pages.build_full_result()["Snapshots"]]
            assert keys == sorted(keys, reverse=order == "DESC") and len(keys) == 25, (sorting, keys)


def snapshot_refusals(redshift):
    create, describe = redshift.create_cluster_snapshot, redshift.describe_cluster_snapshots
    named = {"SnapshotIdentifier": "first", "ClusterIdentifier": "made"}
    free = {"SnapshotIdentifier": "free", "ClusterIdentifier": "made"}
    error = refused("ClusterSnapshotAlreadyExists", create, **named)
    assert isinstance(error, redshift.exceptions.ClusterSnapshotAlreadyExistsFault), type(error)
    refused("ClusterNotFound", create, **{**free, "ClusterIdentifier": "none"})
    refused("InvalidParameterValue", create, **{**free, "SnapshotIdentifier": "a--b"})
    refused("InvalidRetentionPeriodFault", create, **free, ManualSnapshotRetentionPeriod=3654)
    refused("InvalidTagFault", create, **free, Tags=[{"Key": "aws:x", "Value": ""}])
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    refused("TagLimitExceededFault", create, **free, Tags=many)
    error = refused("ClusterSnapshotNotFound", describe, SnapshotIdentifier="none")
    assert isinstance(error, redshift.exceptions.ClusterSnapshotNotFoundFault), type(error)
    refused("InvalidParameterCombination", describe, **named)
    refused("InvalidParameterCombination", describe, ClusterExists=True)
    refused("InvalidParameterValue", describe, SnapshotType="shared")
    refused("InvalidParameterValue", describe, SortingEntities=[{"Attribute": "NAME"}])
    refused("InvalidParameterValue", describe, MaxRecords=101)
    limits = control("GET", "state")["limits"]
    control("PUT", "limits", {"manual_snapshots": 25})
    refused("ClusterSnapshotQuotaExceeded", create, **free)
    control("PUT", "limits", {"manual_snapshots": limits["manual_snapshots"]})
    try:
        create(ClusterIdentifier="made")
        raise AssertionError("botocore let a request without SnapshotIdentifier out")
    except ParamValidationError:
        pass
    rule = {"operation": "CreateClusterSnapshot", "times": 1, "fault": {"kind": "fail_snapshot"}}
    control("POST", "faults", rule)
    create(**free)
    try:
        waiter = redshift.get_waiter("snapshot_available")
        waiter.wait(SnapshotIdentifier="free", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        raise AssertionError("the waiter did not see the failure")
    except WaiterError as error:
        assert "failed" in str(error), error
    redshift.delete_cluster_snapshot(SnapshotIdentifier="free")


def changes_of_snapshots(redshift):
    modify, delete = redshift.modify_cluster_snapshot, redshift.delete_cluster_snapshot
    changed = modify(SnapshotIdentifier="first", ManualSnapshotRetentionPeriod=-1)["Snapshot"]
    assert changed["ManualSnapshotRetentionPeriod"] == -1, changed
    refused("ClusterSnapshotNotFound", modify, SnapshotIdentifier="none")
    refused("InvalidRetentionPeriodFault", modify, SnapshotIdentifier="first", ManualSnapshotRetentionPeriod=0)
    batch = redshift.batch_modify_cluster_snapshots
    answer = batch(SnapshotIdentifierList=["first", "none"], ManualSnapshotRetentionPeriod=14)
    assert answer["Resources"] == ["first"], answer
    assert ids(answer["Errors"], "FailureCode") == ["ClusterSnapshotNotFound"], answer
    many = [f"s{number}" for number in range(101)]
    refused("BatchModifyClusterSnapshotsLimitExceededFault", batch, SnapshotIdentifierList=many)

    rule = {"operation": "CreateClusterSnapshot", "times": 1, "fault": {"kind": "stuck_snapshot"}}
    control("POST", "faults", rule)
    redshift.create_cluster_snapshot(SnapshotIdentifier="stuck", ClusterIdentifier="made")
    refused("InvalidClusterSnapshotState", delete, SnapshotIdentifier="stuck")
    gone = delete(SnapshotIdentifier="of-dw-00", SnapshotClusterIdentifier="dw-00")["Snapshot"]
    assert gone["Status"] == "deleted", gone
    refused("ClusterSnapshotNotFound", delete, SnapshotIdentifier="of-dw-00")
    batch = redshift.batch_delete_cluster_snapshots
    wanted = [{"SnapshotIdentifier": name} for name in ("of-dw-01", "of-dw-02", "stuck")]
    answer = batch(Identifiers=wanted)
    assert answer["Resources"] == ["of-dw-01", "of-dw-02"], answer
    assert ids(answer["Errors"], "FailureCode") == ["InvalidClusterSnapshotState"], answer
    many = [{"SnapshotIdentifier": name} for name in many]
    refused("BatchDeleteRequestSizeExceeded", batch, Identifiers=many)

    pages = redshift.get_paginator("describe_events").paginate(
        SourceType="cluster-snapshot", SourceIdentifier="of-dw-00", PaginationConfig={"PageSize": 20}
    )
    events = ids(pages.build_full_result()["Events"], "EventId")
    assert events == [f"REDSHIFT-EVENT-{number}" for number in (2009, 3004, 2011)], events


def tags(redshift):
    arn = f"arn:aws:redshift:{REGION}:{ACCOUNT}:cluster:dw-01"
    added = [{"Key": f"key-{number:02}", "Value": "x"} for number in range(25)]
    redshift.create_tags(ResourceName=arn, Tags=added)
    redshift.delete_tags(ResourceName=arn, TagKeys=["key-24"])
    pages = redshift.get_paginator("describe_tags").paginate(
        ResourceType="cluster", TagValues=["x"], PaginationConfig={"PageSize": 10}
    )
    sizes = [len(page["TaggedResources"]) for page in pages]
    assert sizes == [10, 10, 4], sizes
    describe = redshift.describe_tags
    (first,) = describe(ResourceName=arn, TagKeys=["key-00"])["TaggedResources"]
    wanted = {"Tag": added[0], "ResourceName": arn, "ResourceType": "cluster"}
    assert first == wanted, first
    snapshot_tags = describe(ResourceType="Snapshot")["TaggedResources"]
    assert [one["Tag"]["Key"] for one in snapshot_tags] == ["slot"], snapshot_tags
    refused("InvalidParameterCombination", describe, ResourceName=arn, ResourceType="Cluster")
    refused("InvalidParameterValue", describe, MaxRecords=51)
    error = refused("ResourceNotFoundFault", redshift.create_tags, ResourceName=arn + "x", Tags=added[:1])
    assert isinstance(error, redshift.exceptions.ResourceNotFoundFault), type(error)


def states_of_clusters(redshift):
    soon = {"Delay": 1, "MaxAttempts": 20}
    status = lambda name: redshift.describe_clusters(ClusterIdentifier=name)["Clusters"][0]["ClusterStatus"]
    assert redshift.pause_cluster(ClusterIdentifier="dw-02")["Cluster"]["ClusterStatus"] == "pausing"
    refused("InvalidClusterState", redshift.resume_cluster, ClusterIdentifier="dw-02")
    until(lambda: status("dw-02") == "paused")
    create = redshift.create_cluster_snapshot
    refused("InvalidClusterState", create, SnapshotIdentifier="x", ClusterIdentifier="dw-02")
    redshift.resume_cluster(ClusterIdentifier="dw-02")
    redshift.get_waiter("cluster_available").wait(ClusterIdentifier="dw-02", WaiterConfig=soon)

    modify = redshift.modify_cluster
    changed = modify(ClusterIdentifier="made", NewClusterIdentifier="renamed")["Cluster"]
    assert changed["ClusterStatus"] == "renaming", changed
    assert changed["PendingModifiedValues"] == {"ClusterIdentifier": "renamed"}, changed
    redshift.get_waiter("cluster_available").wait(ClusterIdentifier="renamed", WaiterConfig=soon)
    (snapshot,) = redshift.describe_cluster_snapshots(SnapshotIdentifier="first")["Snapshots"]
    assert snapshot["ClusterIdentifier"] == "renamed", snapshot
    assert snapshot["SnapshotArn"].endswith(":snapshot:renamed/first"), snapshot
    refused("ClusterNotFound", modify, ClusterIdentifier="made")
    refused("ClusterAlreadyExists", modify, ClusterIdentifier="renamed", NewClusterIdentifier="dw-00")
    refused("UnsupportedOperation", modify, ClusterIdentifier="renamed", NodeType="ra3.4xlarge")

    delete = redshift.delete_cluster
    refused("InvalidParameterCombination", delete, ClusterIdentifier="renamed")
    gone = delete(ClusterIdentifier="renamed", FinalClusterSnapshotIdentifier="last")["Cluster"]
    assert gone["ClusterStatus"] == "deleting", gone
    redshift.get_waiter("cluster_deleted").wait(ClusterIdentifier="renamed", WaiterConfig=soon)
    orphans = redshift.describe_cluster_snapshots(ClusterExists=False)["Snapshots"]
    assert ids(orphans, "SnapshotIdentifier") == ["first", "last", "stuck"], orphans


def accounts(sts):
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    given = sts.assume_role(RoleArn=ROLE, RoleSessionName="night", DurationSeconds=900)
    arn = f"arn:aws:sts::{OTHER}:assumed-role/redkeep/night"
    assert given["AssumedRoleUser"]["Arn"] == arn, given
    keys = given["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA"), keys
    life = keys["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert abs(life - datetime.timedelta(seconds=900)) < datetime.timedelta(seconds=10), life
    held = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    who = client("sts", *held).get_caller_identity()
    assert (who["Account"], who["Arn"]) == (OTHER, arn), who

    there = client("redshift", *held)
    assert there.describe_clusters()["Clusters"] == []
    made = {"NodeType": "ra3.large", "MasterUsername": "admin", "ManageMasterPassword": True}
    there.create_cluster(ClusterIdentifier="dw-00", **made)
    there.get_waiter("cluster_available").wait(WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    snapshot = there.create_cluster_snapshot(SnapshotIdentifier="first", ClusterIdentifier="dw-00")["Snapshot"]
    assert snapshot["OwnerAccount"] == OTHER and f":{OTHER}:" in snapshot["SnapshotArn"], snapshot
    assert client("redshift", *held, region="eu-central-1").describe_clusters()["Clusters"] == []
    user = client("redshift", key=OTHER)
    assert ids(user.describe_clusters()["Clusters"], "ClusterIdentifier") == ["dw-00"]

    refused("InvalidClientTokenId", client("redshift", "ASIAUNKNOWN", *held[1:]).describe_clusters)
    refused("InvalidClientTokenId", client("redshift", *held[:2]).describe_clusters)
    role = {"RoleArn": ROLE, "RoleSessionName": "night"}
    refused("ValidationError", sts.assume_role, **{**role, "RoleArn": "arn:aws:iam::1:role/redkeep"})
    refused("ValidationError", client("sts", *held).assume_role, **role, DurationSeconds=7200)
    control("PUT", "roles", {"denied": [ROLE]})
    refused("AccessDenied", sts.assume_role, **role)
    control("PUT", "roles", {"denied": [], "external_ids": {ROLE: "sesame"}})
    refused("AccessDenied", sts.assume_role, **role)
    control("PUT", "roles", {"session_seconds": 1})
    keys = sts.assume_role(**role, ExternalId="sesame")["Credentials"]
    time.sleep(1.1)
    over = client("redshift", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    refused("ExpiredToken", over.describe_clusters)
    over = client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    refused("ExpiredToken", over.get_caller_identity)


def signatures(redshift):
    url = redshift.generate_presigned_url("describe_clusters", {"ClusterIdentifier": "dw-00"}, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=10) as answer:
        JUDGES["redshift"].answer("DescribeClusters", answer.status, answer.read())
    session = boto3.Session("AKIAEXAMPLE", "secret", region_name=REGION)
    unsigned = Config(signature_version=botocore.UNSIGNED)
    unsigned = session.client("redshift", endpoint_url=URL, config=unsigned)
    refused("MissingAuthenticationToken", unsigned.describe_clusters)
    for offset in (1800, -1800):
        control("PUT", "clock", {"offset_seconds": offset})
        refused("RequestExpired", redshift.describe_clusters)
    control("PUT", "clock", {"offset_seconds": 840})
    redshift.describe_clusters()
    # Eight days on, what was kept for seven is gone by itself.
    create = redshift.create_cluster_snapshot
    create(SnapshotIdentifier="week", ClusterIdentifier="dw-00", ManualSnapshotRetentionPeriod=7)
    control("PUT", "clock", {"offset_seconds": 8 * 86_400, "tolerate_skew": True})
    refused("ClusterSnapshotNotFound", redshift.describe_cluster_snapshots, SnapshotIdentifier="week")
    control("PUT", "clock", {"offset_seconds": 0})


def until(condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("not within ten seconds")


def main():
    redshift, sts = client("redshift"), client("sts")
    clusters(redshift)
    snapshots(redshift)
    tags(redshift)
    states_of_clusters(redshift)
    accounts(sts)
    signatures(redshift)
    for judge in JUDGES.values():
        judge.require_all_seen()
    print(f"boto3 {boto3.__version__} is content")


main()
