//! What is told of the history, for the commands and for the page alike.
//!
//! Owns: the rows of what more than one of them shows, and the words and pictures in them. Never asks AWS, and never writes
//! to a terminal or into a page: whoever does that escapes what it shows there.

pub(crate) mod command;
pub(crate) mod explained;
pub(crate) mod picture;
pub(crate) mod run;
pub(crate) mod transfer;
pub(crate) mod trouble;

use serde::Serialize;

use crate::slot::Pair;

/// What a command tells of one thing: its fields are those of the JSON contract, in their order. [`row`] makes one.
pub trait Row: Serialize {
    /// The names of the fields, which are the header of CSV.
    const FIELDS: &'static [&'static str];
}

/// Makes a struct whose fields are those of the JSON contract, and below `beside` what only people are told.
macro_rules! row {
    (
        $(#[$about:meta])*
        $name:ident {
            $($(#[$of_field:meta])* $field:ident: $type:ty,)*
        }
        $(beside {
            $($beside:ident: $beside_type:ty,)*
        })?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, serde::Serialize)]
        pub(crate) struct $name {
            $($(#[$of_field])* pub(crate) $field: $type,)*
            $($(#[serde(skip)] pub(crate) $beside: $beside_type,)*)?
        }

        impl crate::told::Row for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}
pub(crate) use row;

/// The four names of a pair: policy, account, region and cluster.
pub(crate) fn names_of(pair: &Pair) -> [String; 4] {
    let scope = &pair.scope;
    [
        pair.policy.to_string(),
        scope.account.to_string(),
        scope.region.to_string(),
        pair.cluster.to_string(),
    ]
}
