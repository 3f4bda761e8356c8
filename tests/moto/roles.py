"""IAM, clusters and snapshots of moto's server, through boto3: what `tests/moto/roles.rs` begins with and ends with.

`roles.py found URL` reads from stdin a user, roles and clusters, founds them, makes moto check every request from then
on, and prints the user's keys. `roles.py list URL` reads accounts and regions, and prints what is in each.

moto keeps what it holds apart by account and region. The header `x-moto-account-id` leads into an account while nothing
is checked yet.
"""

import json
import sys
import urllib.request

import boto3

URL = sys.argv[2]


def client(service, account, region="us-east-1"):
    made = boto3.client(
        service, region, endpoint_url=URL, aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="x"
    )
    into = {"x-moto-account-id": account}
    made.meta.events.register(f"before-call.{service}", lambda params, **_: params["headers"].update(into))
    return made


def check_from(action):
    """moto checks signatures and policies after that many more actions."""
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{URL}/moto-api/reset-auth", str(action).encode(), plain)
    urllib.request.urlopen(request, timeout=10).close()


def as_moto_judges(document):
    """moto compares the Resource of a Redshift call with "*" alone, whatever the call names, and has no value for a
    condition; actions and effects it judges as they stand, and the Resource of sts:AssumeRole too."""
    statements = []
    for statement in document["Statement"]:
        of_redshift = all(action.startswith("redshift:") for action in statement["Action"])
        statements.append({**statement, "Resource": "*"} if of_redshift else statement)
    return json.dumps({**document, "Statement": statements})


def trust(principal, external_id):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def found(wanted):
    account = wanted["account"]
    iam = client("iam", account)
    user = iam.create_user(UserName="redkeep")["User"]["Arn"]
    # moto refuses a document that is not one of IAM's by its form, so the whole of each is shown to it as well.
    iam.create_policy(PolicyName="base", PolicyDocument=json.dumps(wanted["document"]))
    iam.put_user_policy(
        UserName="redkeep", PolicyName="base", PolicyDocument=as_moto_judges(wanted["document"])
    )
    for role in wanted["roles"]:
        of = client("iam", role["arn"].split(":")[4])
        name = role["arn"].rsplit("/")[-1]
        made = of.create_role(RoleName=name, AssumeRolePolicyDocument=trust(user, role.get("external_id")))
        assert made["Role"]["Arn"] == role["arn"], made
        of.create_policy(PolicyName=name, PolicyDocument=json.dumps(role["document"]))
        of.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=as_moto_judges(role["document"]))
    for account_id, region, cluster in wanted["clusters"]:
        client("redshift", account_id, region).create_cluster(
            ClusterIdentifier=cluster,
            NodeType="ra3.xlplus",
            MasterUsername="admin",
            MasterUserPassword="Passw0rd1",
        )
    key = iam.create_access_key(UserName="redkeep")["AccessKey"]
    check_from(0)
    return [key["AccessKeyId"], key["SecretAccessKey"]]


def held(places):
    """The snapshots in each place that are not of moto's own making, which are named after their cluster."""
    check_from(float("inf"))
    held = []
    for account, region in places:
        pages = client("redshift", account, region).get_paginator("describe_cluster_snapshots").paginate()
        snapshots = [snapshot for page in pages for snapshot in page["Snapshots"]]
        ids = [snapshot["SnapshotIdentifier"] for snapshot in snapshots]
        held.append(sorted(id for id in ids if id.startswith("redkeep-")))
    return held


print(json.dumps({"found": found, "list": held}[sys.argv[1]](json.load(sys.stdin))))
