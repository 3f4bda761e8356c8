//! The path of a key within the merged configuration.
//!
//! Owns: [`KeyPath`]. Never knows what stands at it.

use figment::value::Value;

/// One step down from a table or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list, counted from 0.
    Item(usize),
}

/// The steps from the root of the configuration to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The whole configuration.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// One of the keys at the top level.
    pub(super) fn top(key: &str) -> Self {
        Self::root().key(key)
    }

    /// A key in the table at this path.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// An item of the list at this path.
    pub(super) fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps in order.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path without its last step; `None` for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, steps) = self.0.split_last()?;
        Some(Self(steps.to_vec()))
    }

    /// This path and all above it, the nearest first.
    pub(super) fn upwards(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The last key on the path: what a value in a list or table is called.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        })
    }

    /// This path with the steps of `from` replaced by those of `to`; itself where it is not below `from`.
    pub(super) fn moved(&self, from: &Self, to: &Self) -> Self {
        match self.0.strip_prefix(from.0.as_slice()) {
            Some(below) => Self([to.0.as_slice(), below].concat()),
            None => self.clone(),
        }
    }

    /// The path below this one that figment gives as words, where `value` is what stands at this one.
    pub(super) fn below(&self, value: &Value, words: &[String]) -> Self {
        let mut path = self.clone();
        let mut here = Some(value);
        for word in words {
            let index = word
                .parse()
                .ok()
                .filter(|_| matches!(here, Some(Value::Array(..))));
            path = match index {
                Some(index) => path.item(index),
                None => path.key(word),
            };
            here = match (here, index) {
                (Some(Value::Array(_, items)), Some(index)) => items.get(index),
                (Some(Value::Dict(_, table)), _) => table.get(word),
                _ => None,
            };
        }
        path
    }
}
