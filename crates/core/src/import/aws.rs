//! What the AWS CLI exports: EventBridge's schedules and rules, and Redshift's own snapshot schedules.
//!
//! Owns: where in those documents a schedule, a cluster and a period stand. Never decides what becomes of them.

use serde_json::Value;

use super::{Draft, Import, ImportError};

/// Out of `aws scheduler get-schedule`, `aws events list-rules`, or several of them in one list.
///
/// # Errors
/// Where there is no schedule in it.
pub fn eventbridge(text: &str) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let document = json(text)?;
    let mut seen = 0;
    for schedule in items(&document, &["Schedules", "Rules"]) {
        let Some(name) = string(schedule, "Name") else {
            continue;
        };
        seen += 1;
        match string(schedule, "ScheduleExpression") {
            Some(expression) => take(&mut import, schedule, name, expression),
            None => import.left_out.push(format!(
                "{name}: its schedule is not in the file; `aws scheduler get-schedule --name {name}` prints it"
            )),
        }
    }
    match seen {
        0 => Err(ImportError::NothingThere {
            wanted: "EventBridge schedule",
            advice: "`aws scheduler get-schedule --name NAME` and `aws events list-rules` print them",
        }),
        _ => Ok(import),
    }
}

fn take(import: &mut Import, schedule: &Value, name: &str, expression: &str) {
    let target = schedule
        .get("Target")
        .or_else(|| schedule.pointer("/Targets/0"));
    let arn = target.and_then(|target| string(target, "Arn"));
    let makes_snapshots = arn.is_none_or(|arn| {
        let arn = arn.to_lowercase();
        arn.contains("createclustersnapshot") || !arn.contains(":aws-sdk:")
    });
    if !makes_snapshots {
        let arn = arn.unwrap_or_default();
        import
            .left_out
            .push(format!("{name}: it calls something else ({arn})"));
        return;
    }
    let input = target.and_then(|target| string(target, "Input"));
    let input: Value = input
        .and_then(|input| serde_json::from_str(input).ok())
        .unwrap_or_default();
    let mut remarks = vec![format!("{name}: {expression}")];
    match arn {
        Some(arn) if arn.to_lowercase().contains("createclustersnapshot") => {}
        Some(arn) => remarks.push(format!(
            "CHECK THIS: it calls {arn}; this file does not say what that does"
        )),
        None => remarks.push("CHECK THIS: this file does not say what it calls".to_owned()),
    }
    for key in ["StartDate", "EndDate"] {
        if let Some(date) = schedule.get(key).filter(|date| !date.is_null()) {
            remarks.push(format!("NOT CARRIED OVER: {key} {date}"));
        }
    }
    let window = schedule.pointer("/FlexibleTimeWindow/MaximumWindowInMinutes");
    let region = string(schedule, "Arn").and_then(|arn| arn.split(':').nth(3));
    import.drafts.push(Draft {
        name: name.to_owned(),
        schedule: expression.to_owned(),
        timezone: string(schedule, "ScheduleExpressionTimezone").map(str::to_owned),
        clusters: string(&input, "ClusterIdentifier")
            .map(str::to_owned)
            .into_iter()
            .collect(),
        retention_days: input
            .get("ManualSnapshotRetentionPeriod")
            .and_then(Value::as_i64),
        region: region
            .filter(|region| !region.is_empty())
            .map(str::to_owned),
        jitter_minutes: window.and_then(Value::as_u64).unwrap_or_default(),
        is_off: string(schedule, "State") == Some("DISABLED"),
        remarks,
    });
}

/// Out of `aws redshift describe-snapshot-schedules`.
///
/// # Errors
/// Where there is no snapshot schedule in it.
pub fn native(text: &str) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let document = json(text)?;
    let mut seen = 0;
    for schedule in items(&document, &["SnapshotSchedules"]) {
        let Some(name) = string(schedule, "ScheduleIdentifier") else {
            continue;
        };
        seen += 1;
        let list = |key: &str| {
            schedule
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let clusters =
            list("AssociatedClusters").filter_map(|one| string(one, "ClusterIdentifier"));
        let clusters: Vec<String> = clusters.map(str::to_owned).collect();
        let definitions: Vec<&str> = list("ScheduleDefinitions")
            .filter_map(Value::as_str)
            .collect();
        for definition in &definitions {
            import.drafts.push(Draft {
                name: name.to_owned(),
                schedule: (*definition).to_owned(),
                timezone: Some("UTC".to_owned()),
                clusters: clusters.clone(),
                remarks: vec![
                    format!("{name}: {definition}"),
                    "it made automated snapshots, which are deleted with the cluster and after at most 35 days".to_owned(),
                ],
                ..Draft::default()
            });
        }
        if definitions.is_empty() {
            import
                .left_out
                .push(format!("{name}: it has no definition"));
        }
    }
    match seen {
        0 => Err(ImportError::NothingThere {
            wanted: "snapshot schedule",
            advice: "`aws redshift describe-snapshot-schedules` prints them",
        }),
        _ => Ok(import),
    }
}

fn json(text: &str) -> Result<Value, ImportError> {
    serde_json::from_str(text).map_err(|error| ImportError::NotJson {
        line: error.line(),
        reason: error.to_string(),
    })
}

/// The things in a document: under one of these keys, in a list, or the document itself.
fn items<'a>(document: &'a Value, keys: &[&str]) -> Vec<&'a Value> {
    if let Value::Array(documents) = document {
        return documents.iter().flat_map(|one| items(one, keys)).collect();
    }
    let lists = keys.iter().filter_map(|key| document.get(key)?.as_array());
    let listed: Vec<&Value> = lists.flatten().collect();
    match listed.is_empty() {
        true => vec![document],
        false => listed,
    }
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
