//! The tags that a run asked for, as they are kept in mind for hundreds of thousands of runs.
//!
//! Owns: that runs of one pair share what is the same: all but the slot.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::names::Tags;
use crate::snapshot::tag;

/// Tags by key, all but the slot's shared with those of other runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedTags {
    slot: Option<Box<str>>,
    others: Arc<Tags>,
}

impl SharedTags {
    /// The value of a tag.
    pub fn get(&self, key: &str) -> Option<&str> {
        match key {
            tag::SLOT => self.slot.as_deref(),
            key => self.others.get(key).map(String::as_str),
        }
    }

    /// Whether a key begins so.
    pub fn has_any_of(&self, prefix: &str) -> bool {
        let has_slot = self.slot.is_some() && tag::SLOT.starts_with(prefix);
        has_slot || self.others.keys().any(|key| key.starts_with(prefix))
    }

    /// Sets a tag.
    pub fn insert(&mut self, key: String, value: String) {
        match key.as_str() {
            tag::SLOT => self.slot = Some(value.into()),
            _ => drop(Arc::make_mut(&mut self.others).insert(key, value)),
        }
    }

    /// All of them by key.
    pub fn to_tags(&self) -> Tags {
        let mut tags = BTreeMap::clone(&self.others);
        let slot = self.slot.as_deref();
        tags.extend(slot.map(|slot| (tag::SLOT.to_owned(), slot.to_owned())));
        tags
    }

    /// The same tags with another value for the slot.
    pub fn with_slot(&self, slot: &str) -> Self {
        Self {
            slot: Some(slot.into()),
            others: Arc::clone(&self.others),
        }
    }

    /// Shares what is the same with `other`.
    pub fn share_with(&mut self, other: &Self) {
        if self.others == other.others {
            self.others = Arc::clone(&other.others);
        }
    }
}

impl From<Tags> for SharedTags {
    fn from(mut tags: Tags) -> Self {
        let slot = tags.remove(tag::SLOT).map(String::into_boxed_str);
        let others = Arc::new(tags);
        Self { slot, others }
    }
}

/// As tags by key are hashed by [`hash_tags`].
impl Hash for SharedTags {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for tag in &*self.others {
            tag.hash(state);
        }
        self.slot.as_deref().hash(state);
    }
}

/// Hashes tags as [`SharedTags`] of them are.
pub fn hash_tags<H: Hasher>(tags: &Tags, state: &mut H) {
    for tag in tags.iter().filter(|(key, _)| key.as_str() != tag::SLOT) {
        tag.hash(state);
    }
    tags.get(tag::SLOT).map(String::as_str).hash(state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::DefaultHasher;

    #[test]
    fn what_is_shared_is_the_same_and_hashes_the_same() {
        let tags = |slot: &str| {
            Tags::from(
                [("team", "data"), (tag::SLOT, slot)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned())),
            )
        };
        let (one, mut next) = (SharedTags::from(tags("a")), SharedTags::from(tags("b")));
        next.share_with(&one);
        assert!(Arc::ptr_eq(&one.others, &next.others));
        assert_eq!((one.to_tags(), next.to_tags()), (tags("a"), tags("b")));
        assert_eq!(one.with_slot("b"), next);
        for tags in [tags("a"), tags("b"), Tags::new()] {
            let (mut plain, mut shared) = (DefaultHasher::new(), DefaultHasher::new());
            hash_tags(&tags, &mut plain);
            SharedTags::from(tags).hash(&mut shared);
            assert_eq!(plain.finish(), shared.finish());
        }
    }
}
