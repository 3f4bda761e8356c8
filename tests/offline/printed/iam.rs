//! The IAM policy: valid in form, and nothing in it that redkeep does not need.

use std::collections::BTreeSet;
use std::fs;

use redkeep::config::{Config, Sources, load};
use redkeep::iam::{Beyond, Document, Holder, document, wildcard};
use serde_json::{Value, json};

use crate::printed::{printed, redkeep, scratch};

const POLICIES: &str = r#"
[[policy]]
name = "nightly"
schedule = "@daily"
clusters = ["dw-*", "dw-prod", "finance"]
retention = "1d"

[[policy]]
name = "weekly"
schedule = "@weekly"
clusters = ["x[0-9]"]
regions = ["us-east-1"]
retention = "1d"
enabled = false
"#;

const ACCOUNTS: &str = r#"
[[account]]
name = "own"
regions = ["eu-central-1", "us-east-1"]

[[account]]
name = "prod"
regions = ["eu-central-1"]
role_arn = "arn:aws:iam::111122223333:role/redkeep"
external_id = "secret-ish"

[[account]]
name = "dev"
regions = ["eu-central-1"]
role_arn = "arn:aws:iam::444455556666:role/redkeep"

[[account]]
name = "china"
regions = ["cn-north-1"]
profile = "china"
"#;

const ALL: Beyond = Beyond {
    guard: true,
    prune: true,
    hold: true,
    takeover: true,
};

fn config(name: &str, text: &str) -> Config {
    let file = scratch(name).join("redkeep.toml");
    fs::write(&file, text).unwrap();
    load(&Sources {
        file,
        environment: vec![("AWS_REGION".to_owned(), "eu-central-1".to_owned())],
        profiles: Default::default(),
    })
    .unwrap_or_else(|errors| panic!("{errors}"))
}

fn as_json(document: &Document) -> Value {
    serde_json::to_value(document).unwrap()
}

/// The statement of that name, where there is one.
fn statement(document: &Value, sid: &str) -> Value {
    let statements = document["Statement"].as_array().unwrap().iter();
    let mut found = statements.filter(|statement| statement["Sid"] == sid);
    found.next().cloned().unwrap_or_default()
}

/// What holds for every document, whatever the configuration is.
fn assert_least(document: &Value) {
    assert_eq!(document["Version"], "2012-10-17");
    let statements = document["Statement"].as_array().unwrap();
    let mut sids = BTreeSet::new();
    for statement in statements {
        let sid = statement["Sid"].as_str().unwrap();
        assert!(
            sid.chars().all(|c| c.is_ascii_alphanumeric()),
            "{sid} has a character that IAM refuses"
        );
        assert!(sids.insert(sid), "{sid} is there twice");
        assert_eq!(statement["Effect"], "Allow");
        for action in statement["Action"].as_array().unwrap() {
            let action = action.as_str().unwrap();
            assert!(!action.contains('*'), "{action}");
            let looks = action.starts_with("redshift:Describe");
            let narrow = |arn: &Value| arn.as_str().unwrap().starts_with("arn:");
            let resources = statement["Resource"].as_array().unwrap();
            assert!(!resources.is_empty());
            assert!(looks || resources.iter().all(narrow), "{statement}");
            let tied = action == "sts:AssumeRole" || statement["Condition"].is_object();
            assert!(tied, "{statement} holds without a condition");
        }
    }
}

#[test]
fn each_change_of_a_snapshot_is_allowed_apart_and_only_there_when_asked_for() {
    let config = config("iam-apart", &format!("{ACCOUNTS}{POLICIES}"));
    let base = Holder::base(&config, None);
    let plain = as_json(&document(&config, &base, None, Beyond::default()));
    assert_least(&plain);
    let text = plain.to_string();
    assert!(
        !text.contains("Modify") && !text.contains("Delete"),
        "{text}"
    );
    let all = as_json(&document(&config, &base, None, ALL));
    assert_least(&all);
    let own = json!({"aws:ResourceTag/redkeep:namespace": ["redkeep"]});
    let of_own = json!({"StringEquals": own});
    let tag =
        |tag| json!({"StringEquals": own, "ForAllValues:StringEquals": {"aws:TagKeys": [tag]}});
    let not_held = json!({"StringEquals": own, "Null": {"aws:ResourceTag/redkeep:hold": ["true"]}});
    let (create, delete) = ("redshift:CreateTags", "redshift:DeleteTags");
    let modify = "redshift:ModifyClusterSnapshot";
    for (sid, actions, condition) in [
        ("Guard", vec![modify], of_own.clone()),
        ("Prune", vec!["redshift:DeleteClusterSnapshot"], not_held),
        ("Hold", vec![modify], of_own),
        ("HoldTags", vec![create, delete], tag("redkeep:hold")),
        ("Takeover", vec![create], tag("redkeep:writer")),
    ] {
        assert_eq!(statement(&plain, sid), Value::Null);
        assert_eq!(statement(&all, sid)["Action"], json!(actions), "{sid}");
        assert_eq!(statement(&all, sid)["Condition"], condition, "{sid}");
    }
    assert_eq!(
        statement(&all, "Create")["Condition"],
        json!({"StringEquals": {"aws:RequestTag/redkeep:namespace": ["redkeep"]}})
    );
}

#[test]
fn what_the_policies_do_is_allowed_on_their_snapshots_and_no_others() {
    let quiet = POLICIES.replace("retention", "guard = false\nretention");
    let pruning = POLICIES.replace("regions = [", "keep_last = 5\nregions = [");
    for (name, policies, guard, prune) in [
        ("iam-quiet", &quiet, None, None),
        ("iam-guard", &POLICIES.to_owned(), Some(5), None),
        ("iam-prune", &pruning, Some(5), Some(1)),
    ] {
        let config = config(name, &format!("{ACCOUNTS}{policies}"));
        let base = Holder::base(&config, None);
        let made = document(&config, &base, None, Beyond::needed(&config));
        let made = as_json(&made);
        assert_least(&made);
        let resources = |sid| statement(&made, sid)["Resource"].as_array().map(Vec::len);
        assert_eq!(resources("Guard"), guard, "{name}");
        assert_eq!(resources("Prune"), prune, "{name}");
    }
}

#[test]
fn a_writer_that_the_file_sets_narrows_pruning() {
    let config = config(
        "iam-writer",
        &format!("writer = \"host-1\"\n{ACCOUNTS}{POLICIES}"),
    );
    let made = as_json(&document(&config, &Holder::base(&config, None), None, ALL));
    let condition = &statement(&made, "Prune")["Condition"]["StringEquals"];
    assert_eq!(
        condition["aws:ResourceTag/redkeep:writer"],
        json!(["host-1"])
    );
    assert_least(&made);
}

#[test]
fn each_region_has_its_own_clusters_and_a_wider_pattern_stands_for_narrower_ones() {
    let config = config("iam-regions", &format!("{ACCOUNTS}{POLICIES}"));
    let base = Holder::base(&config, None);
    let made = as_json(&document(&config, &base, Some("000011112222"), ALL));
    assert_least(&made);
    assert_eq!(
        statement(&made, "Create")["Resource"],
        json!([
            "arn:aws:redshift:eu-central-1:000011112222:snapshot:dw-*/redkeep-*",
            "arn:aws:redshift:eu-central-1:000011112222:snapshot:finance/redkeep-*",
            "arn:aws:redshift:us-east-1:000011112222:snapshot:dw-*/redkeep-*",
            "arn:aws:redshift:us-east-1:000011112222:snapshot:finance/redkeep-*",
            "arn:aws:redshift:us-east-1:000011112222:snapshot:x?/redkeep-*",
        ])
    );
    assert_eq!(
        statement(&made, "Read")["Condition"],
        json!({"StringEquals": {"aws:RequestedRegion": ["eu-central-1", "us-east-1"]}})
    );
}

#[test]
fn the_identity_at_the_beginning_assumes_roles_and_the_roles_do_the_work() {
    let config = config("iam-roles", &format!("{ACCOUNTS}{POLICIES}"));
    let base = Holder::base(&config, None);
    let made = as_json(&document(&config, &base, None, Beyond::default()));
    let without = statement(&made, "Assume1");
    assert_eq!(
        without["Resource"],
        json!(["arn:aws:iam::444455556666:role/redkeep"])
    );
    let with = statement(&made, "Assume2");
    assert_eq!(with["Action"], json!(["sts:AssumeRole"]));
    assert_eq!(
        with["Condition"],
        json!({"StringEquals": {"sts:ExternalId": ["secret-ish"]}})
    );
    let role = config.account(&"prod".parse().unwrap()).unwrap();
    let made = as_json(&document(
        &config,
        &Holder::of(role),
        None,
        Beyond::default(),
    ));
    assert_least(&made);
    assert_eq!(statement(&made, "Assume1"), Value::Null);
    assert_eq!(
        statement(&made, "Create")["Resource"],
        json!([
            "arn:aws:redshift:eu-central-1:111122223333:snapshot:dw-*/redkeep-*",
            "arn:aws:redshift:eu-central-1:111122223333:snapshot:finance/redkeep-*",
        ])
    );
    let china = Holder::base(&config, Some("china"));
    let china = as_json(&document(&config, &china, None, Beyond::default()));
    assert!(
        china
            .to_string()
            .contains("arn:aws-cn:redshift:cn-north-1:*:")
    );
    assert!(document(&config, &Holder::base(&config, Some("none")), None, ALL).is_empty());
}

#[test]
fn the_partition_follows_from_the_region() {
    for (region, wanted) in [
        ("eu-central-1", "aws"),
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-northwest-1", "aws-cn"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ] {
        assert_eq!(redkeep::names::partition(region), wanted, "{region}");
    }
}

#[test]
fn a_glob_becomes_a_wildcard_that_matches_no_less() {
    for (glob, wanted) in [
        ("dw-*", "dw-*"),
        ("d?", "d?"),
        ("**", "*"),
        ("dw-[0-9]", "dw-?"),
        ("[!a]x", "?x"),
        ("[]a]x", "?x"),
        ("[!]]x", "?x"),
        ("{red,blue}-*", "*-*"),
        ("{a,{b,c}}{d,e}x", "*x"),
        ("{[}],b}-x", "*-x"),
    ] {
        assert_eq!(wildcard(glob), wanted, "{glob}");
    }
}

#[test]
fn the_command_prints_json_alone_and_says_the_rest_beside_it() {
    let file = scratch("iam-command").join("redkeep.toml");
    fs::write(&file, format!("{ACCOUNTS}{POLICIES}")).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let of = |more: &[&str]| redkeep(&[&["iam-policy"], &config[..], more].concat());
    let base = of(&["--with", "prune", "--account-number", "000011112222"]);
    let made: Value = serde_json::from_slice(&base.stdout).unwrap();
    assert_least(&made);
    assert_ne!(statement(&made, "Prune"), Value::Null);
    assert_ne!(statement(&made, "Guard"), Value::Null);
    let without = of(&["--without", "guard", "--with", "hold"]);
    let made: Value = serde_json::from_slice(&without.stdout).unwrap();
    assert_eq!(statement(&made, "Guard"), Value::Null);
    assert_ne!(statement(&made, "Hold"), Value::Null);
    let told = String::from_utf8(base.stderr).unwrap();
    assert!(told.contains("redkeep:writer"), "{told}");
    assert!(
        told.contains("other credentials are used for china"),
        "{told}"
    );
    let prod = printed(&[&["iam-policy"], &config[..], &["--account", "prod"]].concat());
    assert!(prod.contains(":111122223333:"), "{prod}");
    assert_eq!(of(&["--account", "prd"]).status.code(), Some(2));
    assert_eq!(of(&["--profile", "none"]).status.code(), Some(1));
    assert_eq!(of(&["--account-number", "12"]).status.code(), Some(2));
}

/// Every statement once for each of its resources: what a document allows, whatever it is split into.
fn allowed(documents: &[Value]) -> BTreeSet<String> {
    let statements = documents
        .iter()
        .flat_map(|document| document["Statement"].as_array().unwrap());
    let each = statements.flat_map(|statement| {
        let resources = statement["Resource"].as_array().unwrap();
        resources.iter().map(|resource| {
            let mut one = statement.clone();
            one["Resource"] = resource.clone();
            one.to_string()
        })
    });
    each.collect()
}

#[test]
fn what_is_too_long_for_one_managed_policy_is_split_and_allows_the_same() {
    for (count, parts) in [(3, 1..2), (40, 2..16), (600, 50..200)] {
        let clusters: Vec<String> = (0..count)
            .map(|index| format!("\"cluster-number-{index:04}\""))
            .collect();
        let policy = format!(
            "[[policy]]\nname = \"p\"\nschedule = \"@daily\"\nclusters = [{}]\nretention = \"1d\"\n",
            clusters.join(", ")
        );
        let config = config("iam-long", &format!("{ACCOUNTS}{policy}"));
        let base = Holder::base(&config, None);
        let whole = document(&config, &base, Some("111122223333"), ALL);
        let split: Vec<Document> = whole.clone().split();
        assert!(parts.contains(&split.len()), "{count}: {}", split.len());
        let documents: Vec<Value> = split.iter().map(as_json).collect();
        for document in &documents {
            assert_least(document);
            let text = serde_json::to_string(document).unwrap();
            assert!(text.len() <= 6144, "{}", text.len());
        }
        assert_eq!(allowed(&documents), allowed(&[as_json(&whole)]));
    }
}

#[test]
fn the_parts_of_a_long_policy_are_printed_as_a_list_or_one_by_one() {
    let clusters: Vec<String> = (0..90)
        .map(|index| format!("\"cluster-number-{index:04}\""))
        .collect();
    let text = format!(
        "[[account]]\nname = \"a\"\nregions = [\"eu-central-1\"]\n[[policy]]\nname = \"p\"\nschedule = \"@daily\"\n\
         clusters = [{}]\nretention = \"1d\"\n",
        clusters.join(", ")
    );
    let file = scratch("iam-parts").join("redkeep.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let all = redkeep(&["iam-policy", "--config", file]);
    let list: Vec<Value> = serde_json::from_slice(&all.stdout).unwrap();
    let said = String::from_utf8(all.stderr).unwrap();
    assert!(
        said.contains(&format!("{} policies in a list", list.len())),
        "{said}"
    );
    for (index, part) in list.iter().enumerate() {
        let number = (index + 1).to_string();
        let one = redkeep(&["iam-policy", "--config", file, "--part", &number]);
        assert_eq!(serde_json::from_slice::<Value>(&one.stdout).unwrap(), *part);
    }
    for wrong in ["0", &(list.len() + 1).to_string()] {
        let none = redkeep(&["iam-policy", "--config", file, "--part", wrong]);
        assert_eq!(none.status.code(), Some(2), "{none:?}");
    }
}
