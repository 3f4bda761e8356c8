//! What is suspicious and yet works.

use redkeep::config::load;

use super::{scratch, sources, warnings, with_environment};

#[test]
fn what_is_suspicious_is_a_warning() {
    let config = with_environment(
        "config/demo.toml",
        &[
            ("REDKEEP_LISTN", "x"),
            ("REDKEEP_POLICY__0__NAME", "x"),
            ("REDKEEP_LISTEN", "0.0.0.0:9835"),
        ],
    )
    .unwrap();
    assert_eq!(
        warnings(&config),
        [
            r#"REDKEEP_LISTN: names no setting; did you mean "REDKEEP_LISTEN"?"#,
            "REDKEEP_POLICY__0__NAME: names no setting",
            "REDKEEP_LISTEN: listen: other hosts can reach 0.0.0.0:9835, and there is no log-in",
        ]
    );
    let empty = scratch("empty", b"endpoint = \"sandbox\"\n");
    let config = load(&sources(&empty)).unwrap();
    assert_eq!(
        warnings(&config),
        [format!(
            "{}: there is no [[policy]], so no snapshot will be taken",
            empty.display()
        )]
    );
}

/// The warnings of a policy file with these lines after the account's.
fn warnings_of(name: &str, account: &str, policy: &str) -> Vec<String> {
    let text = format!(
        "endpoint = \"aws\"\n[[account]]\nname = \"prod\"\n{account}\n[[policy]]\nname = \"p\"\nclusters = [\"dw\"]\n\
         retention = \"35d\"\n{policy}\n"
    );
    let file = scratch(name, text.as_bytes());
    let config = load(&sources(&file)).unwrap();
    let place = file.display().to_string();
    warnings(&config)
        .iter()
        .map(|warning| warning.replace(&place, "FILE"))
        .collect()
}

#[test]
fn a_region_that_nobody_knows_an_rpo_below_the_interval_and_two_day_fields_are_doubted() {
    let nightly = "schedule = \"30 2 * * *\"";
    let regions = |regions: &str| warnings_of("regions", &format!("regions = {regions}"), nightly);
    assert_eq!(
        regions("[\"eu-centrl-1\", \"eu-central-1\", \"zz-new-1\"]"),
        [
            r#"FILE:4:12: account "prod": regions[1]: AWS is not known to have a region "eu-centrl-1"; did you mean "eu-central-1"?"#,
            r#"FILE:4:43: account "prod": regions[3]: AWS is not known to have a region "zz-new-1""#,
        ]
    );
    let known = "regions = [\"cn-north-1\"]";
    let rpo = |schedule: &str, rpo: &str| {
        let policy = format!("schedule = \"{schedule}\"\nrpo = \"{rpo}\"");
        warnings_of("rpo", known, &policy)
    };
    assert_eq!(
        rpo("30 2 * * *", "1h"),
        [
            r#"FILE:10:7: policy "p": rpo: got "1h", but up to 24h lie between two slots: there will be alarms although no slot fails; wanted at least that, plus the time that a snapshot takes"#
        ]
    );
    assert_eq!(rpo("30 2 * * *", "26h"), [""; 0]);
    assert_eq!(rpo("30 2 * * 1-5", "26h").len(), 1, "a weekend is longer");
    let days =
        |expression: &str| warnings_of("days", known, &format!("schedule = \"{expression}\""));
    assert_eq!(
        days("0 0 1-7 * MON"),
        [
            r#"FILE:9:12: policy "p": schedule: either day field counts: due on day 1-7 of the month, and on every MON as well; for the one MON among them, write `*` and `MON#1`"#
        ]
    );
    assert_eq!(days("0 0 13 * FRI").len(), 1);
    for fine in ["0 0 1-7 * *", "0 0 ? * MON", "0 0 * * MON#1", "0 0 1 * ?"] {
        assert_eq!(days(fine), [""; 0], "{fine}");
    }
}
