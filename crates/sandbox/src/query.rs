//! The parameters of a Query request.
//!
//! Owns: reading a form body or query string, numbered lists (`Tags.Tag.1.Key`), and the types of single
//! values. Never knows an operation. Unknown parameters are ignored, as Query services do; an optional
//! parameter that is sent empty counts as absent, because clients send `Marker=` for "from the start".

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Serialize;

use super::error::{ApiError, Code};

/// Parameters by name; of a name sent twice the first value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Params(BTreeMap<String, String>);

/// One member of a numbered list: its fields by the rest of their name, or the whole value under `""`.
pub type Member<'a> = BTreeMap<&'a str, &'a str>;

impl Params {
    /// Reads `application/x-www-form-urlencoded` bytes; ill-formed escapes are taken literally.
    pub fn parse(form: &[u8]) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            values
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        Self(values)
    }

    /// A value as it was sent, even if empty.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An optional value; empty counts as absent.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// A required value.
    ///
    /// `MissingParameter` when it was not sent; an empty one is left to the check of its form.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.raw(name).ok_or_else(|| {
            ApiError::new(
                Code::MissingParameter,
                format!("The request must contain the parameter {name}."),
            )
        })
    }

    /// An optional whole number; `InvalidParameterValue` when it is none.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.typed(name, "a whole number", |text| text.parse().ok())
    }

    /// An optional boolean; `InvalidParameterValue` unless it is `true` or `false`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", |text| {
            text.to_ascii_lowercase().parse().ok()
        })
    }

    /// An optional instant in ISO 8601, UTC when it names no zone; `InvalidParameterValue` otherwise.
    pub fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        self.typed(name, "a time in ISO 8601", parse_instant)
    }

    /// The members of a list, by ascending number; gaps are allowed.
    ///
    /// Both the model's member name (`TagKeys.TagKey.1`) and the protocol's generic one
    /// (`TagKeys.member.1`) are understood.
    pub fn members(&self, list: &str, member: &str) -> Vec<Member<'_>> {
        let mut members: BTreeMap<u32, Member<'_>> = BTreeMap::new();
        for (name, value) in &self.0 {
            if let Some((number, field)) = numbered(name, list, member) {
                members.entry(number).or_default().insert(field, value);
            }
        }
        members.into_values().collect()
    }

    /// The members of a list of plain strings.
    pub fn strings(&self, list: &str, member: &str) -> Vec<String> {
        self.members(list, member)
            .into_iter()
            .filter_map(|fields| fields.get("").map(|value| (*value).to_owned()))
            .collect()
    }

    /// A copy that may be shown to anybody: passwords are blotted out, and a signature is left out.
    pub fn redacted(&self) -> Self {
        let all = self
            .0
            .iter()
            .filter(|(name, _)| !name.starts_with("X-Amz-"));
        let show = |(name, value): (&String, &String)| {
            let secret = name.to_ascii_lowercase().contains("password");
            let value = if secret { "***" } else { value.as_str() };
            (name.clone(), value.to_owned())
        };
        Self(all.map(show).collect())
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        parse(text)
            .map(Some)
            .ok_or_else(|| invalid_value(name, text, &format!("it must be {wanted}")))
    }
}

/// `InvalidParameterValue`, naming the parameter, what was got and what is wanted.
pub fn invalid_value(name: &str, got: &str, wanted: &str) -> ApiError {
    ApiError::new(
        Code::InvalidParameterValue,
        format!("Invalid value for {name}: '{got}'; {wanted}."),
    )
}

/// Splits `Tags.Tag.2.Key` into 2 and `Key`.
fn numbered<'a>(name: &'a str, list: &str, member: &str) -> Option<(u32, &'a str)> {
    let rest = name.strip_prefix(list)?.strip_prefix('.')?;
    let rest = rest
        .strip_prefix(member)
        .or_else(|| rest.strip_prefix("member"))?
        .strip_prefix('.')?;
    let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
    Some((number.parse().ok()?, field))
}

/// The forms of ISO 8601 that the documentation shows and clients send.
fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    let local = text.strip_suffix('Z').unwrap_or(text);
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(instant) = NaiveDateTime::parse_from_str(local, form) {
            return Some(instant.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(local, "%Y-%m-%d").ok()?;
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_list_are_read_in_the_order_of_their_numbers() {
        let params = Params::parse(
            b"Tags.Tag.10.Key=c&Tags.Tag.2.Key=b&Tags.member.1.Key=a&Tags.Tag.2.Value=x%20y&TagKeys.TagKey.1=k",
        );
        let keys: Vec<_> = params
            .members("Tags", "Tag")
            .iter()
            .map(|member| member["Key"].to_owned())
            .collect();
        assert_eq!(keys, ["a", "b", "c"]);
        assert_eq!(params.members("Tags", "Tag")[1]["Value"], "x y");
        assert_eq!(params.strings("TagKeys", "TagKey"), ["k"]);
    }

    #[test]
    fn values_of_the_wrong_type_are_refused_and_name_the_parameter() {
        let params = Params::parse(b"MaxRecords=ten&ClusterExists=maybe&StartTime=yesterday");
        let errors = [
            params.integer("MaxRecords").err(),
            params.boolean("ClusterExists").err(),
            params.instant("StartTime").err(),
        ];
        for (error, name) in errors
            .into_iter()
            .zip(["MaxRecords", "ClusterExists", "StartTime"])
        {
            let error = error.unwrap();
            assert_eq!(error.code, "InvalidParameterValue");
            assert!(error.message.contains(name), "{}", error.message);
        }
    }

    #[test]
    fn every_documented_form_of_a_time_is_the_same_instant() {
        for text in [
            "2009-07-08T18:00Z",
            "2009-07-08T18:00:00Z",
            "2009-07-08T20:00:00+02:00",
            "2009-07-08T18:00:00.000",
        ] {
            assert_eq!(
                parse_instant(text).map(|instant| instant.timestamp()),
                Some(1_247_076_000),
                "{text}"
            );
        }
    }

    #[test]
    fn an_empty_optional_parameter_is_absent_and_a_password_is_never_shown() {
        let params = Params::parse(b"Marker=&MasterUserPassword=Secret1&X-Amz-Signature=00");
        assert_eq!(params.optional("Marker"), None);
        assert!(params.required("Marker").is_ok());
        assert_eq!(params.redacted().raw("MasterUserPassword"), Some("***"));
        assert_eq!(params.redacted().raw("X-Amz-Signature"), None);
    }
}
