//! Answers as XML: a small tree and the envelopes of the Query protocol.
//!
//! Owns: escaping, number and time formats, `<XxxResponse>` and `<ErrorResponse>`. Never knows what a
//! snapshot is: shapes describe themselves as [`Element`]s.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::escape::escape;

use super::error::ApiError;

/// One element with text or children.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    name: Cow<'static, str>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

impl Element {
    /// An element with text: a string, a number or a boolean.
    pub fn text(name: &'static str, value: impl ToString) -> Self {
        Self {
            name: Cow::Borrowed(name),
            content: Content::Text(value.to_string()),
        }
    }

    /// An element with an instant, in the form AWS uses: UTC, milliseconds, `Z`.
    pub fn instant(name: &'static str, value: DateTime<Utc>) -> Self {
        Self::text(name, value.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// An element with children.
    pub fn group(name: impl Into<Cow<'static, str>>, children: Vec<Self>) -> Self {
        Self {
            name: name.into(),
            content: Content::Children(children),
        }
    }

    /// The same element with another text in the child `name`, if it has such a child.
    pub fn with_text(mut self, name: &str, value: &str) -> Self {
        if let Content::Children(children) = &mut self.content {
            for child in children.iter_mut().filter(|child| child.name == name) {
                child.content = Content::Text(value.to_owned());
            }
        }
        self
    }

    /// The text of the descendant at `path`, for tests.
    #[cfg(test)]
    pub fn find(&self, path: &[&str]) -> Option<&str> {
        match (&self.content, path) {
            (Content::Text(text), []) => Some(text),
            (Content::Children(children), [first, rest @ ..]) => children
                .iter()
                .filter(|child| child.name == *first)
                .find_map(|child| child.find(rest)),
            _ => None,
        }
    }

    /// The texts of all descendants at `path`, for tests.
    #[cfg(test)]
    pub fn texts(&self, path: &[&str]) -> Vec<&str> {
        match (&self.content, path) {
            (Content::Text(text), []) => vec![text],
            (Content::Children(children), [first, rest @ ..]) => children
                .iter()
                .filter(|child| child.name == *first)
                .flat_map(|child| child.texts(rest))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        out.push('>');
        match &self.content {
            Content::Text(text) => out.push_str(&escape(legal(text))),
            Content::Children(children) => children.iter().for_each(|child| child.write(out)),
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// The document of a successful answer; an operation without output has no `<XxxResult>`.
pub fn response(
    operation: &str,
    namespace: &str,
    result: Vec<Element>,
    request_id: &str,
) -> String {
    let metadata = Element::group(
        "ResponseMetadata",
        vec![Element::text("RequestId", request_id)],
    );
    let root = format!("{operation}Response");
    if result.is_empty() {
        return document(&root, namespace, &[metadata]);
    }
    let result = Element::group(format!("{operation}Result"), result);
    document(&root, namespace, &[result, metadata])
}

/// The document of a refusal: `Receiver` is to blame for a status of 500 and above, else `Sender`.
pub fn error_response(error: &ApiError, namespace: &str, request_id: &str) -> String {
    let blame = if error.status >= 500 {
        "Receiver"
    } else {
        "Sender"
    };
    let detail = Element::group(
        "Error",
        vec![
            Element::text("Type", blame),
            Element::text("Code", &error.code),
            Element::text("Message", &error.message),
        ],
    );
    document(
        "ErrorResponse",
        namespace,
        &[detail, Element::text("RequestId", request_id)],
    )
}

fn document(root: &str, namespace: &str, children: &[Element]) -> String {
    let mut out = format!("<{root} xmlns=\"{}\">\n", escape(namespace));
    for child in children {
        out.push_str("  ");
        child.write(&mut out);
        out.push('\n');
    }
    out.push_str(&format!("</{root}>\n"));
    out
}

/// XML 1.0 has no way to write most control characters, and messages repeat what a client sent.
fn legal(text: &str) -> Cow<'_, str> {
    let forbidden = |c: char| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(forbidden) {
        Cow::Owned(text.replace(forbidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn text_is_escaped_and_characters_that_xml_forbids_are_replaced() {
        let mut out = String::new();
        Element::text("Message", "a<b&\u{1}c").write(&mut out);
        assert_eq!(out, "<Message>a&lt;b&amp;\u{fffd}c</Message>");
    }

    #[test]
    fn an_answer_names_its_operation_twice_and_carries_the_request_id() {
        let text = response(
            "PauseCluster",
            "http://x/",
            vec![Element::text("A", 1)],
            "id",
        );
        assert_eq!(
            text.replace(['\n', ' '], ""),
            "<PauseClusterResponsexmlns=\"http://x/\"><PauseClusterResult><A>1</A></PauseClusterResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></PauseClusterResponse>"
        );
    }

    #[test]
    fn the_blame_follows_the_status() {
        let sender = ApiError::new(Code::ClusterNotFound, "m");
        let receiver = ApiError::new(Code::InternalFailure, "m");
        assert!(error_response(&sender, "n", "i").contains("<Type>Sender</Type>"));
        assert!(error_response(&receiver, "n", "i").contains("<Type>Receiver</Type>"));
    }
}
