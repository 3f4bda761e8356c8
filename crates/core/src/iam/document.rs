//! A policy document of IAM.
//!
//! Owns: its form as JSON, how long it is, and how one that is too long becomes several. Never knows what is allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::MANAGED_POLICY_CHARACTERS;

/// A policy document of IAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    pub(super) version: &'static str,
    pub(super) statement: Vec<Statement>,
}

/// One statement, always an `Allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Statement {
    pub(super) sid: String,
    pub(super) effect: &'static str,
    pub(super) action: Vec<&'static str>,
    pub(super) resource: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) condition: Conditions,
}

/// By their operator; all must hold.
pub(super) type Conditions = BTreeMap<&'static str, BTreeMap<String, Vec<String>>>;

impl Document {
    /// The number of characters that IAM counts.
    pub fn characters(&self) -> usize {
        characters(self)
    }

    /// Whether nothing is allowed at all.
    pub fn is_empty(&self) -> bool {
        self.statement.is_empty()
    }

    /// The same in as many documents as it takes for each to be a managed policy; together they allow what this one
    /// does. Only a statement that fits nowhere as a whole is split, by its resources.
    pub fn split(self) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for statement in self.statement {
            for piece in pieces(statement) {
                match parts.iter_mut().find(|part| part.has_room_for(&piece)) {
                    Some(part) => part.statement.push(piece),
                    None => parts.push(Self {
                        version: self.version,
                        statement: vec![piece],
                    }),
                }
            }
        }
        parts
    }

    fn has_room_for(&self, piece: &Statement) -> bool {
        // A document has one statement of a name.
        let is_new = self.statement.iter().all(|one| one.sid != piece.sid);
        is_new && self.characters() + characters(piece) < MANAGED_POLICY_CHARACTERS
    }
}

/// A statement in pieces that each fit into a document of their own.
fn pieces(statement: Statement) -> Vec<Statement> {
    // What is around the statements in a document.
    const AROUND: usize = 64;
    if characters(&statement) + AROUND <= MANAGED_POLICY_CHARACTERS || statement.resource.len() < 2
    {
        return vec![statement];
    }
    let mut rest = statement.clone();
    let half = statement.resource.iter().nth(statement.resource.len() / 2);
    let behind = half.map(|half| rest.resource.split_off(half));
    let second = Statement {
        resource: behind.unwrap_or_default(),
        ..statement
    };
    [rest, second].into_iter().flat_map(pieces).collect()
}

/// The number of characters that IAM counts.
fn characters(part: &impl Serialize) -> usize {
    let text = serde_json::to_string(part).unwrap_or_default();
    text.chars().filter(|c| !c.is_whitespace()).count()
}
