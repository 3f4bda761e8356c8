//! What the control endpoint changes and shows.

use super::{create, options, serve};

#[tokio::test]
async fn the_clock_that_is_shown_is_the_one_that_counts() {
    let client = serve(options(None)).await;
    assert!(
        client
            .aws(&create("a"))
            .await
            .contains("date: Tue, 24 Nov 2026 00:00:00 GMT")
    );
    let answer = client
        .control("PUT", "clock", r#"{"offset_seconds":3600}"#)
        .await;
    assert!(answer.contains("2026-11-24T01:00:00Z"), "{answer}");
    let answer = client.aws("DescribeClusterSnapshots").await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("<Code>RequestExpired</Code>"),
        "{answer}"
    );
    let tolerant = r#"{"offset_seconds":3600,"tolerate_skew":true}"#;
    client.control("PUT", "clock", tolerant).await;
    let answer = client.aws("DescribeClusterSnapshots").await;
    assert!(
        answer.contains("date: Tue, 24 Nov 2026 01:00:00 GMT"),
        "{answer}"
    );
    assert!(answer.contains("<Status>available</Status>"), "{answer}");
    assert!(
        client
            .control("GET", "nothing", "")
            .await
            .contains("date: Tue, 24 Nov 2026 01:00:00 GMT")
    );
}

#[tokio::test]
async fn the_bench_can_be_set_and_looked_at() {
    let client = serve(options(None)).await;
    let status = r#"{"region":"eu-central-1","status":"available, prep-for-resize"}"#;
    assert!(
        client
            .control("POST", "clusters/dw/state", status)
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        client
            .aws(&create("a"))
            .await
            .contains("<Code>InvalidClusterState</Code>")
    );
    assert!(
        client
            .control("POST", "clusters/no/state", status)
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        client
            .control(
                "PUT",
                "limits",
                r#"{"account":"123456789012","manual_snapshots":7}"#
            )
            .await
            .contains("\"snapshot_seconds\": 5")
    );
    assert!(
        client
            .control("PUT", "limits", r#"{"snapshots":7}"#)
            .await
            .starts_with("HTTP/1.1 400")
    );
    assert!(
        client
            .control("GET", "state", "")
            .await
            .contains("prep-for-resize")
    );
    client.fault(r#"{"kind":"stuck_snapshot"}"#).await;
    assert!(
        client
            .control("GET", "faults", "")
            .await
            .contains("stuck_snapshot")
    );
    assert!(
        client
            .control("DELETE", "faults", "")
            .await
            .ends_with("[]\n")
    );
    let bad = r#"[{"operation":"*","fault":{"kind":"html","status":200}}]"#;
    assert!(
        client
            .control("PUT", "faults", bad)
            .await
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn the_request_log_shows_what_was_asked_and_how_it_ended_and_no_password() {
    let client = serve(options(None)).await;
    client
        .aws("CreateCluster&ClusterIdentifier=x&MasterUserPassword=Passw0rd")
        .await;
    client.aws("Unknown").await;
    let log = client.control("GET", "requests", "").await;
    assert!(
        log.contains("\"MissingParameter\"") && log.contains("\"InvalidAction\""),
        "{log}"
    );
    assert!(!log.contains("Passw0rd") && !log.contains("AKID"), "{log}");
}

#[tokio::test]
async fn a_snapshot_can_be_put_into_a_status_that_no_client_knows() {
    let client = serve(options(None)).await;
    client.aws(&create("a")).await;
    let status = r#"{"region":"eu-central-1","status":"pondering"}"#;
    assert!(
        client
            .control("POST", "snapshots/a/state", status)
            .await
            .contains("pondering")
    );
    let answer = client.aws("DescribeClusterSnapshots").await;
    assert!(answer.contains("<Status>pondering</Status>"), "{answer}");
}
