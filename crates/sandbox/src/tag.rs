//! Tags: their rules, and filtering by them.
//!
//! Owns: the documented limits of tags and the either-or reading of `TagKeys` and `TagValues`. Never
//! stores anything.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::error::{ApiError, Code};
use super::query::{Member, Params};
use super::xml::Element;

const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// A key and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// 1 to 128 characters, not beginning with `aws:`.
    pub key: String,
    /// 0 to 256 characters.
    pub value: String,
}

/// The parameter `Tags`, checked.
///
/// At most 50 (`TagLimitExceededFault`); keys of 1 to 128 and values of 0 to 256 characters out of letters,
/// digits, spaces and `_.:/=+-@`, no `aws:` prefix, no key twice (`InvalidTagFault`). Source: Redshift
/// Management Guide, "Tagging resources".
pub fn from_params(params: &Params) -> Result<Vec<Tag>, ApiError> {
    let members = params.members("Tags", "Tag");
    require_few(members.len())?;
    let tags = members.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    match tags.iter().find(|tag| !seen.insert(tag.key.as_str())) {
        Some(twice) => Err(invalid(&format!("the key '{}' is given twice", twice.key))),
        None => Ok(tags),
    }
}

/// `TagLimitExceededFault` when a resource would have more than 50 tags.
pub fn require_few(tags: usize) -> Result<(), ApiError> {
    if tags <= TAGS_MAX {
        return Ok(());
    }
    let message = format!("You can have at most {TAGS_MAX} tags on a resource.");
    Err(ApiError::new(Code::TagLimitExceeded, message))
}

/// The element `<Tags>`.
pub fn element(tags: &[Tag]) -> Element {
    Element::group("Tags", tags.iter().map(Tag::element).collect())
}

impl Tag {
    /// The answer shape `Tag`.
    pub fn element(&self) -> Element {
        Element::group(
            "Tag",
            vec![
                Element::text("Key", &self.key),
                Element::text("Value", &self.value),
            ],
        )
    }
}

/// What `TagKeys` and `TagValues` ask for.
#[derive(Debug, Clone, Default)]
pub struct TagFilter {
    keys: Vec<String>,
    values: Vec<String>,
}

impl TagFilter {
    /// Reads the two lists; `InvalidTagFault` for what no tag could have.
    pub fn from_params(params: &Params) -> Result<Self, ApiError> {
        let keys = params.strings("TagKeys", "TagKey");
        let values = params.strings("TagValues", "TagValue");
        keys.iter().try_for_each(|key| check_key(key))?;
        values.iter().try_for_each(|value| check_value(value))?;
        Ok(Self { keys, values })
    }

    /// Whether a resource with these tags is wanted: any key or any value is enough, or no filter at all.
    pub fn admits(&self, tags: &[Tag]) -> bool {
        self.is_empty() || tags.iter().any(|tag| self.names(tag))
    }

    /// Whether this very tag is asked for.
    pub fn admits_tag(&self, tag: &Tag) -> bool {
        self.is_empty() || self.names(tag)
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.values.is_empty()
    }

    fn names(&self, tag: &Tag) -> bool {
        self.keys.contains(&tag.key) || self.values.contains(&tag.value)
    }
}

fn tag(fields: &Member<'_>) -> Result<Tag, ApiError> {
    let key = fields.get("Key").copied().unwrap_or_default();
    let value = fields.get("Value").copied().unwrap_or_default();
    check_key(key)?;
    check_value(value)?;
    if key.to_lowercase().starts_with("aws:") {
        return Err(invalid(&format!(
            "the key '{key}' begins with the reserved prefix aws:"
        )));
    }
    if let Some(c) = key.chars().chain(value.chars()).find(|c| !allowed(*c)) {
        return Err(invalid(&format!(
            "the tag '{key}' holds the character {c:?}"
        )));
    }
    Ok(Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

fn check_key(key: &str) -> Result<(), ApiError> {
    if (1..=KEY_CHARS_MAX).contains(&key.chars().count()) {
        return Ok(());
    }
    let what = format!("the key '{key}' must have 1 to {KEY_CHARS_MAX} characters");
    Err(invalid(&what))
}

fn check_value(value: &str) -> Result<(), ApiError> {
    if value.chars().count() <= VALUE_CHARS_MAX {
        return Ok(());
    }
    let what = format!("the value '{value}' must have at most {VALUE_CHARS_MAX} characters");
    Err(invalid(&what))
}

fn allowed(c: char) -> bool {
    c.is_alphanumeric() || " _.:/=+-@".contains(c)
}

fn invalid(what: &str) -> ApiError {
    ApiError::new(Code::InvalidTag, format!("The tag is invalid: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<Vec<Tag>, ApiError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Tags.Tag.1.Key", key)
            .append_pair("Tags.Tag.1.Value", value)
            .finish();
        from_params(&Params::parse(form.as_bytes()))
    }

    #[test]
    fn tags_outside_the_documented_rules_are_refused() {
        let (key, value) = ("k".repeat(129), "v".repeat(257));
        for (k, v) in [
            ("", "v"),
            (&key, "v"),
            ("k", &value),
            ("AWS:x", "v"),
            ("k", "a;b"),
            ("k\n", ""),
        ] {
            assert_eq!(one(k, v).unwrap_err().code, "InvalidTagFault", "{k}={v}");
        }
        assert!(one("redkeep:slot", "2026-11-24T01:30:00Z").is_ok());
        assert!(one("größe", "").is_ok());
    }

    #[test]
    fn the_fifty_first_tag_and_the_same_key_twice_are_refused() {
        let form = |count: usize| {
            (1..=count)
                .map(|n| format!("Tags.Tag.{n}.Key=k{n}&"))
                .collect::<String>()
        };
        assert_eq!(
            from_params(&Params::parse(form(50).as_bytes())).map(|tags| tags.len()),
            Ok(50)
        );
        let error = from_params(&Params::parse(form(51).as_bytes())).unwrap_err();
        assert_eq!(error.code, "TagLimitExceededFault");
        let twice = Params::parse(b"Tags.Tag.1.Key=a&Tags.Tag.2.Key=a");
        assert_eq!(from_params(&twice).unwrap_err().code, "InvalidTagFault");
    }

    #[test]
    fn a_filter_admits_any_key_or_any_value() {
        let params = Params::parse(b"TagKeys.TagKey.1=a&TagValues.TagValue.1=x");
        let filter = TagFilter::from_params(&params).unwrap();
        let tags = |key: &str, value: &str| {
            [Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            }]
        };
        assert!(filter.admits(&tags("a", "other")));
        assert!(filter.admits(&tags("other", "x")));
        assert!(!filter.admits(&tags("b", "y")));
        assert!(TagFilter::default().admits(&[]));
        let no_key = Params::parse(b"TagKeys.TagKey.1=");
        assert_eq!(
            TagFilter::from_params(&no_key).unwrap_err().code,
            "InvalidTagFault"
        );
    }
}
