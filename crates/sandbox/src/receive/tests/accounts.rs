//! Roles, accounts, and credentials in the query string.

use super::{authorization, date, member, options, serve};

const ROLE: &str = "arn:aws:iam::111122223333:role/redkeep";

#[tokio::test]
async fn a_role_acts_in_its_own_account_until_its_credentials_end() {
    let client = serve(options(None)).await;
    client
        .control("PUT", "roles", r#"{"session_seconds":60}"#)
        .await;
    let given = client.assume(ROLE).await;
    let role = (
        member(&given, "AccessKeyId").to_owned(),
        member(&given, "SessionToken").to_owned(),
    );
    let make = "CreateCluster&ClusterIdentifier=own&NodeType=ra3.large&MasterUsername=admin\
                &MasterUserPassword=Passw0rd";
    assert!(
        client
            .temporary(&role, 0, make)
            .await
            .contains("<ClusterStatus>creating<")
    );
    assert!(!client.aws("DescribeClusters").await.contains(">own<"));
    let state = client
        .control("GET", "state?account=111122223333", "")
        .await;
    assert!(
        state.contains("\"own\"") && !state.contains("\"dw\""),
        "{state}"
    );
    let whole = client.control("GET", "state", "").await;
    for wanted in ["\"own\"", "\"dw\"", "\"session_name\": \"night\""] {
        assert!(whole.contains(wanted), "{wanted}: {whole}");
    }
    client
        .control("PUT", "clock", r#"{"offset_seconds":60}"#)
        .await;
    let over = client.temporary(&role, 60, "DescribeClusters").await;
    assert!(
        over.starts_with("HTTP/1.1 403") && over.contains("<Code>ExpiredToken</Code>"),
        "{over}"
    );
    let unknown = ("ASIAUNKNOWN".to_owned(), role.1.clone());
    let answer = client.temporary(&unknown, 60, "DescribeClusters").await;
    assert!(
        answer.contains("<Code>InvalidClientTokenId</Code>"),
        "{answer}"
    );
    let log = client.control("GET", "requests", "").await;
    assert!(
        log.contains("\"account\": \"111122223333\"") && log.contains("\"ExpiredToken\""),
        "{log}"
    );
    assert!(!log.contains(&role.0) && !log.contains(&role.1), "{log}");
}

#[tokio::test]
async fn one_role_can_be_broken_and_one_account_struck() {
    let client = serve(options(None)).await;
    let rules = format!(r#"{{"denied":["{ROLE}"]}}"#);
    let shown = client.control("PUT", "roles", &rules).await;
    assert!(shown.contains("role/redkeep"), "{shown}");
    let answer = client.assume(ROLE).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("<Code>AccessDenied</Code>"),
        "{answer}"
    );
    assert!(
        client
            .assume(&ROLE.replace("redkeep", "other"))
            .await
            .contains("<AccessKeyId>ASIA")
    );
    let rule = r#"{"operation":"*","account":"123456789012","fault":{"kind":"error","code":"Throttling"}}"#;
    client.control("POST", "faults", rule).await;
    let describe = "Version=2012-12-01&Action=DescribeClusters";
    let scope = "eu-central-1/redshift";
    assert!(client.signed(scope, describe).await.contains("Throttling"));
    let other = authorization("111122223333", scope) + &date(0);
    let answer = client.send("POST", "/", &other, describe).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for wrong in [r#"{"deny":[]}"#, r#"{"denied":"x"}"#] {
        let answer = client.control("PUT", "roles", wrong).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let wrong = client.control("PUT", "limits", r#"{"account":"1"}"#).await;
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
}

#[tokio::test]
async fn a_presigned_request_needs_no_header() {
    let client = serve(options(None)).await;
    let path = "/?Version=2012-12-01&Action=DescribeClusters&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                &X-Amz-Credential=AKID/20261124/eu-central-1/redshift/aws4_request&X-Amz-Date=20261124T000000Z\
                &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=f00d";
    let answer = client.send("GET", path, "", "").await;
    assert!(answer.contains("<ClusterIdentifier>dw<"), "{answer}");
    let log = client.control("GET", "requests", "").await;
    assert!(!log.contains("AKID") && !log.contains("f00d"), "{log}");
}
