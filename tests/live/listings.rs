//! Listings that go wrong, as the real binary takes them: odd members, answers without end, markers in a circle, and no
//! listing at all.

use crate::support::proxy::{Proxy, with_body};
use crate::support::{Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Sandbox, in_state};

/// Snapshots of somebody else with values that the API's model does not have, and one without a name.
const ODD: &str = "\
    <Snapshot><SnapshotIdentifier>odd-1</SnapshotIdentifier><SnapshotType>manual</SnapshotType>\
    <ManualSnapshotRetentionPeriod>4000000000</ManualSnapshotRetentionPeriod></Snapshot>\
    <Snapshot><SnapshotIdentifier>odd-2</SnapshotIdentifier><SnapshotCreateTime>some day</SnapshotCreateTime>\
    <TotalBackupSizeInMegaBytes>-4.0</TotalBackupSizeInMegaBytes><NumberOfNodes>-1</NumberOfNodes>\
    <Encrypted>perhaps</Encrypted><Port><a/></Port></Snapshot>\
    <Snapshot><SnapshotType>unheard-of</SnapshotType><Status>resting</Status><Tags><Tag><Value>1</Value></Tag>\
    <Tag/></Tags><ElapsedTimeInSeconds>9223372036854775808</ElapsedTimeInSeconds></Snapshot>\
    <Snapshot/>";

const ODD_CLUSTERS: &str = "<Cluster/><Cluster><ClusterIdentifier>-</ClusterIdentifier></Cluster>\
    <Cluster><ClusterIdentifier>odd</ClusterIdentifier><ClusterCreateTime>never</ClusterCreateTime>\
    <AllowVersionUpgrade>2</AllowVersionUpgrade><Endpoint><Port>99999999999</Port></Endpoint></Cluster>";

#[test]
fn an_odd_member_of_a_listing_spoils_nothing_of_the_others() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let proxy = Proxy::answering(sandbox.address(), |exchange, answer| {
        let odd = match exchange.get("Action") {
            "DescribeClusterSnapshots" => ("<Snapshots>", ODD),
            "DescribeClusters" => ("<Clusters>", ODD_CLUSTERS),
            _ => return answer,
        };
        with_body(&answer, |body| {
            let body = body.replace("<Snapshots/>", "<Snapshots></Snapshots>");
            body.replacen(odd.0, &(odd.0.to_owned() + odd.1), 1)
        })
    });
    let endpoint = format!("http://{}", proxy.address);
    let daemon = Daemon::start(&dir, &endpoint, EACH_TWO_SECONDS);
    daemon.wait("three snapshots", MINUTE, |rows| {
        in_state(rows, "available").count() >= 3
    });
    let log = daemon.log();
    assert!(!log.contains("listing failed"), "{log}");
    assert!(!log.contains("status that"), "{log}");
}
