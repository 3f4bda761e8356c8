//! Roles in several accounts and regions, with moto checking signatures and IAM policies.
//!
//! moto computes every signature anew, holds each caller's policies against its action, and keeps what it has apart by
//! account and region. Of a trust policy it looks at the principal and the external id, where role and caller are of
//! one account. What it cannot judge, the resources of Redshift calls and most conditions, is in `tests/offline/printed/iam.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Moto, peer};
use crate::support::process::finish_with;
use crate::support::proxy::Proxy;
use crate::support::{Daemon, Dir, assert_prompt, eventually, http, in_state, redkeep};

/// The account of the user that the roles trust.
const OWN: &str = "123456789012";
const OTHER: &str = "210987654321";
const MINUTE: Duration = Duration::from_secs(60);

const POLICY: &str = r#"
[[policy]]
name = "often"
schedule = "*/4 * * * * *"
clusters = ["dw-*"]
retention = "14d"
"#;

/// An account of the policy file.
struct Account {
    name: &'static str,
    number: &'static str,
    regions: &'static [&'static str],
    external_id: Option<&'static str>,
}

impl Account {
    fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/redkeep-{}", self.number, self.name)
    }

    fn toml(&self) -> String {
        let (name, regions, arn) = (self.name, self.regions, self.arn());
        let id = self
            .external_id
            .map(|id| format!("external_id = \"{id}\"\n"));
        let id = id.unwrap_or_default();
        format!(
            "[[account]]\nname = \"{name}\"\nregions = {regions:?}\nrole_arn = \"{arn}\"\n{id}\n"
        )
    }
}

const TWO: [Account; 2] = [
    Account {
        name: "own",
        number: OWN,
        regions: &["eu-central-1", "us-east-1"],
        external_id: Some("night-watch"),
    },
    Account {
        name: "other",
        number: OTHER,
        regions: &["us-east-1", "ap-southeast-2"],
        external_id: None,
    },
];

/// Its role may not create snapshots.
const MUTE: Account = Account {
    name: "mute",
    number: "333333333333",
    regions: &["us-east-1"],
    external_id: None,
};

/// Its role wants an external id that the policy file has wrong.
const SHY: Account = Account {
    name: "shy",
    number: OWN,
    regions: &["eu-west-1"],
    external_id: Some("sesame"),
};

/// The user may not assume its role.
const STRANGER: Account = Account {
    name: "stranger",
    number: "444444444444",
    regions: &["us-east-1"],
    external_id: None,
};

/// moto behind a proxy that gives its refusals the envelope of Redshift and STS, `ErrorResponse/Error` ("Common
/// errors" in their API references): moto sends what it refuses for its signature or by IAM as EC2 would.
fn in_front_of(moto: &Moto) -> Proxy {
    Proxy::amending(moto.address, &[], |answer| {
        let text = String::from_utf8_lossy(&answer);
        // Blanks in its place: the length stands in the head.
        let text = text.replace("<Errors>", "        ");
        text.replace("</Errors>", "         ").into_bytes()
    })
}

fn policies<'a>(moto: &Proxy, accounts: impl IntoIterator<Item = &'a Account>) -> String {
    let accounts: String = accounts.into_iter().map(Account::toml).collect();
    format!("endpoint = \"http://{}\"\n{accounts}{POLICY}", moto.address)
}

/// What `redkeep iam-policy` prints for a policy file.
fn document(config: &Path, more: &[&str]) -> Value {
    let file = ["iam-policy", "--config", config.to_str().unwrap()];
    let output = redkeep(&[&file[..], more].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn script(moto: &Moto, command: &str, input: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto/roles.py");
    let mut python = Command::new(peer("python"));
    python
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .args([command, &format!("http://{}", moto.address)]);
    let output = finish_with(&mut python, &input.to_string());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The user's keys, and roles with the policy of their account but for `without`; every scope has two clusters.
fn found(
    moto: &Moto,
    config: &Path,
    accounts: &[&Account],
    without: &[(&str, &str)],
) -> [String; 2] {
    let role = |account: &&Account| {
        let mut document = document(config, &["--account", account.name]);
        for (_, action) in without.iter().filter(|(name, _)| *name == account.name) {
            for statement in document["Statement"].as_array_mut().unwrap() {
                let actions = statement["Action"].as_array_mut().unwrap();
                actions.retain(|allowed| allowed != action);
            }
        }
        json!({"arn": account.arn(), "external_id": account.external_id, "document": document})
    };
    let scopes = accounts.iter().flat_map(|account| {
        let regions = account.regions.iter();
        regions.map(move |region| (account, region))
    });
    let clusters: Vec<Value> = scopes
        .flat_map(|(account, region)| {
            ["one", "two"].map(|which| {
                json!([
                    account.number,
                    region,
                    format!("dw-{}-{which}", account.name)
                ])
            })
        })
        .collect();
    let wanted = json!({
        "account": OWN,
        "document": document(config, &[]),
        "roles": accounts.iter().map(role).collect::<Vec<_>>(),
        "clusters": clusters,
    });
    serde_json::from_value(script(moto, "found", &wanted)).unwrap()
}

fn start(dir: &Dir, policies: &str, [id, secret]: &[String; 2]) -> Daemon {
    let keys = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    Daemon::start_among(dir, policies, &keys)
}

/// How many slots of each cluster in these accounts have their snapshot.
fn taken<'a>(rows: &'a [Value], accounts: &[Account]) -> BTreeMap<[&'a str; 3], usize> {
    let mut taken = BTreeMap::new();
    for row in in_state(rows, "available") {
        let place = ["account", "region", "cluster"].map(|field| row[field].as_str().unwrap());
        if accounts.iter().any(|account| account.name == place[0]) {
            *taken.entry(place).or_default() += 1;
        }
    }
    taken
}

#[test]
fn the_printed_policies_are_enough_for_roles_in_two_accounts_and_each_region_has_its_own_snapshots()
{
    let Some(moto) = Moto::start() else { return };
    let (dir, proxy) = (Dir::new(), in_front_of(&moto));
    let policies = policies(&proxy, &TWO);
    let config = dir.write("policies.toml", &policies);
    let keys = found(&moto, &config, &TWO.each_ref(), &[]);
    let mut daemon = start(&dir, &policies, &keys);
    daemon.wait("three of every cluster", 2 * MINUTE, |rows| {
        let taken = taken(rows, &TWO);
        taken.len() == 8 && taken.values().all(|count| *count >= 3)
    });
    daemon.process.signal("-TERM");
    daemon.process.exit_code(Duration::from_secs(25));
    let log = daemon.log();
    assert!(
        !log.contains("AccessDenied") && !log.contains("not authorized"),
        "{log}"
    );

    let rows = daemon.history();
    for account in &TWO {
        for region in account.regions {
            let mut accepted: Vec<&str> = rows
                .iter()
                .filter(|row| row["account"] == account.name && row["region"] == *region)
                .filter(|row| row["state"] == "available" || row["state"] == "creating")
                .map(|row| row["snapshot_id"].as_str().unwrap())
                .collect();
            accepted.sort_unstable();
            let held = script(&moto, "list", &json!([[account.number, region]]));
            assert_eq!(held, json!([accepted]), "{} {region}: {log}", account.name);
        }
    }
}

#[test]
fn what_iam_denies_is_told_and_delays_nothing_else() {
    let Some(moto) = Moto::start() else { return };
    let (dir, proxy) = (Dir::new(), in_front_of(&moto));
    let known = [&TWO[0], &TWO[1], &MUTE, &SHY];
    // The user's policy is printed for a file that does not have the stranger yet.
    let config = dir.write("policies.toml", &policies(&proxy, known));
    let keys = found(
        &moto,
        &config,
        &known,
        &[("mute", "redshift:CreateClusterSnapshot")],
    );
    let misled = Account {
        external_id: Some("sesam"),
        ..SHY
    };
    let policies = policies(&proxy, [&TWO[0], &TWO[1], &MUTE, &misled, &STRANGER]);
    let daemon = start(&dir, &policies, &keys);
    let rows = daemon.wait("four of every cluster", 2 * MINUTE, |rows| {
        let taken = taken(rows, &TWO);
        taken.len() == 8 && taken.values().all(|count| *count >= 4)
    });

    assert_prompt(
        rows.iter()
            .filter(|row| row["account"] == "own" || row["account"] == "other"),
    );
    let log = daemon.log();
    for (account, action) in [
        ("mute", "redshift:CreateClusterSnapshot"),
        ("shy", "sts:AssumeRole"),
        ("stranger", "sts:AssumeRole"),
    ] {
        let denied = format!("is not authorized to perform: {action}");
        let told = |line: &str| line.contains(account) && line.contains(&denied);
        assert!(log.lines().any(told), "{account} {action}: {log}");
        assert!(!in_state(&rows, "available").any(|row| row["account"] == account));
    }
    let metrics = daemon.metrics();
    let labels = [
        "redkeep_aws_requests_total",
        "account=\"mute\"",
        "operation=\"CreateClusterSnapshot\"",
        "code=\"AccessDenied\"",
    ];
    let counted = |line: &str| labels.iter().all(|label| line.contains(label));
    assert!(metrics.lines().any(counted), "{metrics}");
    let ready = http(daemon.listen, "GET", "/readyz", "");
    let named: BTreeSet<&str> = ["shy/eu-west-1", "stranger/us-east-1"].into();
    assert!(
        ready.status == 503 && named.iter().all(|scope| ready.body.contains(scope)),
        "{}",
        ready.body
    );
}

#[test]
fn a_wrong_secret_key_is_refused_by_its_signature_and_told() {
    let Some(moto) = Moto::start() else { return };
    let (dir, proxy) = (Dir::new(), in_front_of(&moto));
    let direct = "[[account]]\nname = \"direct\"\nregions = [\"us-west-2\"]\n";
    let policies =
        policies(&proxy, &TWO).replacen("[[account]]", &format!("{direct}\n[[account]]"), 1);
    let config = dir.write("policies.toml", &policies);
    let [id, _] = found(&moto, &config, &TWO.each_ref(), &[]);
    let wrong = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let daemon = start(&dir, &policies, &[id, wrong.to_owned()]);
    for scope in ["direct/us-west-2", "own/us-east-1", "other/us-east-1"] {
        eventually("it is told", MINUTE, || {
            let told = |line: &str| {
                line.contains(scope) && line.contains("signature we calculated does not match")
            };
            daemon.log().lines().any(told)
        });
    }
    let ready = http(daemon.listen, "GET", "/readyz", "");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(!daemon.log().contains(wrong));
    assert_eq!(in_state(&daemon.history(), "available").count(), 0);
    let held = script(
        &moto,
        "list",
        &json!([[OWN, "us-east-1"], [OTHER, "us-east-1"]]),
    );
    assert_eq!(held, json!([[], []]));
}
