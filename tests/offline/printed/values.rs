//! Single values of the policy file: the JSON Schema and loading are of one mind about them.

use std::fs;

use redkeep::config::{Sources, load};
use serde_json::Value;

use crate::printed::schema::{document, judged};
use crate::printed::scratch;

/// A policy file with this value at a key, whole but for that.
fn with(table: &str, key: &str, value: &str) -> String {
    let part = |name: &str, keys: &[(&str, &str)]| {
        let keys = keys
            .iter()
            .filter(|(own, _)| !(name == table && *own == key));
        let mut text: String = keys
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        if name == table {
            text += &format!("{key} = {value}\n");
        }
        match name {
            "" => text,
            "database" if name != table => String::new(),
            "database" | "log" | "defaults" => format!("[{name}]\n{text}"),
            _ => format!("[[{name}]]\n{text}"),
        }
    };
    let parts: [(&str, &[(&str, &str)]); 7] = [
        ("", &[]),
        ("database", &[("url", "\"postgres://r@h/d\"")]),
        ("log", &[]),
        ("defaults", &[]),
        (
            "account",
            &[("name", "\"a\""), ("regions", "[\"eu-central-1\"]")],
        ),
        (
            "policy",
            &[
                ("name", "\"p\""),
                ("schedule", "\"@daily\""),
                ("clusters", "[\"c\"]"),
                ("retention", "\"1d\""),
            ],
        ),
        (
            "blackout",
            &[
                ("name", "\"b\""),
                ("schedule", "\"@daily\""),
                ("duration", "\"1h\""),
            ],
        ),
    ];
    parts.iter().map(|(name, keys)| part(name, keys)).collect()
}

/// Values whose rule the schema states in full, so that it and loading must be of one mind.
const EXACT: [(&str, &str, &[&str]); 31] = [
    (
        "policy",
        "retention",
        &[
            "\"1d\"",
            "\"0d\"",
            "\"3653d\"",
            "\"3654d\"",
            "\"9999d\"",
            "\"007d\"",
            "\"521w\"",
            "\"522w\"",
            "\"120mo\"",
            "\"121mo\"",
            "\"10y\"",
            "\"11y\"",
            "\"forever\"",
            "\"Forever\"",
            "\"12h\"",
            "\"1m\"",
            "\"\"",
            "35",
            "{ base = \"1d\" }",
            "\"2999d\"",
            "\"3599d\"",
            "\"3649d\"",
            "\"519w\"",
            "\"119mo\"",
        ],
    ),
    (
        "",
        "namespace",
        &[
            "\"a\"", "\"a-b1\"", "\"A\"", "\"a--b\"", "\"a-\"", "\"1a\"", "\"ä\"", "\"\"", "5",
        ],
    ),
    (
        "",
        "namespace",
        &[
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        ],
    ),
    ("", "state_dir", &["\"x\"", "\"\"", "1"]),
    (
        "",
        "history_retention",
        &[
            "\"1d\"",
            "\"400d\"",
            "\"7y\"",
            "\"forever\"",
            "\"3654d\"",
            "\"0d\"",
            "\"11y\"",
            "\"\"",
            "35",
        ],
    ),
    (
        "",
        "listen",
        &[
            "\"127.0.0.1:1\"",
            "\"[::1]:80\"",
            "\"[fe80::1%2]:80\"",
            "\"localhost:80\"",
            "\"127.0.0.1\"",
            "80",
        ],
    ),
    (
        "",
        "page",
        &["\"loopback\"", "\"open\"", "\"Open\"", "\"\"", "true"],
    ),
    (
        "",
        "metrics_labels",
        &["\"full\"", "\"scope\"", "\"Full\"", "\"\"", "true"],
    ),
    (
        "",
        "endpoint",
        &[
            "\"aws\"",
            "\"sandbox\"",
            "\"AWS\"",
            "\"http://127.0.0.1:1\"",
            "\"https://a.example.com/x\"",
            "\"http://\"",
            "\"https://u:p@h\"",
            "\"https://h/?q\"",
            "\"ftp://h\"",
            "\"https://[::1]:80\"",
            "\"https:///x\"",
            "\"https://a b\"",
        ],
    ),
    ("", "writer", &["\"a.B_1-\"", "\"a b\"", "\"\"", "\"ä\""]),
    (
        "database",
        "url",
        &[
            "\"postgres://redkeep@db-a,db-b:5433/redkeep\"",
            "\"postgresql://r@h/d?sslmode=verify-full\"",
            "\"postgres://r@h/d?sslmode=disable\"",
            "\"postgres://r:p@h/d\"",
            "\"postgres://h/d\"",
            "\"mysql://r@h/d\"",
            "1",
        ],
    ),
    (
        "database",
        "schema",
        &[
            "\"redkeep\"",
            "\"_a1\"",
            "\"Redkeep\"",
            "\"1a\"",
            "\"a b\"",
            "\"\"",
        ],
    ),
    (
        "database",
        "auth",
        &["\"password\"", "\"iam\"", "\"IAM\"", "true"],
    ),
    (
        "log",
        "format",
        &["\"auto\"", "\"text\"", "\"json\"", "\"jsn\"", "true"],
    ),
    ("log", "level", &["\"error\"", "\"trace\"", "\"INFO\""]),
    (
        "account",
        "name",
        &["\"Prod.1\"", "\"a_b\"", "\"-a\"", "\"\"", "\"a b\"", "7"],
    ),
    (
        "account",
        "regions",
        &[
            "[\"us-gov-west-1\"]",
            "[]",
            "[\"Europe\"]",
            "[\"eu\"]",
            "\"eu-central-1\"",
            "[\"eu-a\", \"eu-a\"]",
            "[1]",
        ],
    ),
    (
        "account",
        "snapshot_quota",
        &["1", "0", "-1", "4294967295", "4294967296", "\"5\"", "1.5"],
    ),
    ("account", "profile", &["\"x\"", "\"\""]),
    (
        "account",
        "role_arn",
        &[
            "\"arn:aws:iam::111122223333:role/a/b\"",
            "\"arn:aws-cn:iam::111122223333:role/a\"",
            "\"redkeep\"",
            "\"arn:aws:iam::1:role/a\"",
            "\"arn:aws:iam::111122223333:user/a\"",
            "\"arn:aws:iam::111122223333:role/\"",
        ],
    ),
    (
        "policy",
        "name",
        &["\"nightly\"", "\"Nightly\"", "\"a_b\"", "\"a.b\""],
    ),
    (
        "policy",
        "clusters",
        &[
            "[\"*\"]",
            "[\"dw-[0-9]\", \"{a,b}-x\", \"d?\"]",
            "[\"finance\"]",
            "[]",
            "[\"DW\"]",
            "[\"dw_*\"]",
            "[\"a--b\"]",
            "[\"a-\"]",
            "\"dw\"",
            "[\"\"]",
            "[\"dw *\"]",
        ],
    ),
    (
        "policy",
        "exclude",
        &["[]", "[\"scratch-*\"]", "[\"Scratch-*\"]"],
    ),
    (
        "policy",
        "cluster_tags",
        &[
            "{}",
            "{ \"aws:x\" = \"<>\" }",
            "{ \"\" = \"x\" }",
            "{ a = 1 }",
        ],
    ),
    (
        "policy",
        "tags",
        &[
            "{}",
            "{ \"größe / team\" = \"data@acme + x=y\" }",
            "{ \"redkeep:slot\" = \"x\" }",
            "{ \"AWS:x\" = \"\" }",
            "{ team = \"<b>\" }",
            "{ \"\" = \"x\" }",
            "{ a = 5 }",
            "{ \"a\\nb\" = \"\" }",
            "{ awsx = \"\" }",
            "{ a = \"~\" }",
            "{ a = \"_.:/=+-@\" }",
        ],
    ),
    ("policy", "catch_up", &["true", "false", "\"yes\"", "1"]),
    (
        "policy",
        "blackout",
        &["[]", "[\"b\"]", "[\"b\", \"b\"]", "\"b\""],
    ),
    ("policy", "colour", &["1"]),
    ("defaults", "name", &["\"x\""]),
    ("defaults", "retention", &["\"8w\"", "\"8\""]),
    ("", "polices", &["1"]),
];

/// Values of which the schema knows less than loading: it may accept more, and never less.
const LOOSE: [(&str, &str, &[&str]); 6] = [
    (
        "policy",
        "jitter",
        &[
            "\"0s\"",
            "\"24h\"",
            "\"2d\"",
            "\"1h30m\"",
            "\"2mo\"",
            "\"1.5h\"",
            "5",
        ],
    ),
    ("policy", "start_window", &["\"60s\"", "\"30s\"", "\"2w\""]),
    (
        "policy",
        "schedule",
        &[
            "\"0 0 30 2 *\"",
            "\"@daily\"",
            "\"0 */15 8-18 * JAN-JUN MON-FRI\"",
            "\"\"",
        ],
    ),
    (
        "policy",
        "timezone",
        &[
            "\"Asia/Kathmandu\"",
            "\"Etc/GMT+5\"",
            "\"America/Port-au-Prince\"",
            "\"Mars\"",
            "\"\"",
        ],
    ),
    ("policy", "accounts", &["[\"a\"]", "[\"nobody\"]", "[]"]),
    ("blackout", "duration", &["\"1m\"", "\"31d\"", "\"1y\""]),
];

#[test]
fn the_schema_and_loading_are_of_one_mind_about_single_values() {
    let cases = EXACT.iter().map(|case| (true, case));
    let cases = cases.chain(LOOSE.iter().map(|case| (false, case)));
    let cases: Vec<(bool, String)> = cases
        .flat_map(|(exact, (table, key, values))| {
            values
                .iter()
                .map(move |value| (exact, with(table, key, value)))
        })
        .collect();
    let documents: Vec<Value> = cases
        .iter()
        .map(|(_, text)| document(text).unwrap_or_else(|| panic!("{text}")))
        .collect();
    let judged = judged(&documents).unwrap_or_default();
    for ((exact, text), faults) in cases.iter().zip(judged) {
        let file = scratch("value").join("redkeep.toml");
        fs::write(&file, text).unwrap();
        let loaded = load(&Sources {
            file,
            environment: Vec::new(),
            profiles: Default::default(),
        });
        match loaded {
            Ok(_) => assert_eq!(faults, [""; 0], "the schema refuses what loads:\n{text}"),
            // Which regions a role goes with is no matter of its form.
            Err(errors) if *exact && !errors.to_string().contains("is in the partition") => {
                assert!(!faults.is_empty(), "the schema accepts {errors}\n{text}");
            }
            Err(_) => {}
        }
    }
}
