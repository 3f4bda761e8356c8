//! What is seen of a call beside its result: AWS's clock, how many requests it took, and whether the answer is whole.
//!
//! Owns: reading the `Date` header of whatever answer comes, refusals included, and counting. Never compares it
//! with our clock. An answer that ends too early is refused here, since the SDK takes what it has read for all there is:
//! half a listing would say that the other half's clusters and snapshots are gone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::redshift::{Answer, RedshiftError, ServerDate};

/// Reads the `Date` of the answers to one call, as they come in, whatever they say.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    seen: Arc<Mutex<Option<ServerDate>>>,
    sent: Arc<AtomicU32>,
}

impl Probe {
    /// What a call brought, with the date of the last answer to it.
    pub(super) fn answer<T>(&self, result: Result<T, RedshiftError>) -> Answer<T> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Answer {
            result,
            server_date: seen.unwrap_or(ServerDate::NoAnswer),
            requests: self.sent.load(Ordering::Relaxed),
        }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Probe {
    fn name(&self) -> &'static str {
        "Probe"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context
            .response()
            .headers()
            .get("date")
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map_or(ServerDate::Undated, |date| {
                ServerDate::At(date.with_timezone(&Utc))
            });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
        Ok(())
    }
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        match context.output_or_error() {
            Ok(_) if !is_whole(body) => Err("the answer ends before its XML does".into()),
            _ => Ok(()),
        }
    }
}

/// Whether an XML document has its end.
fn is_whole(body: &[u8]) -> bool {
    let (mut reader, mut depth, mut elements) = (Reader::from_reader(body), 0_u32, 0_u32);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => (depth, elements) = (depth + 1, elements + 1),
            Ok(Event::Empty(_)) => elements += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return depth == 0 && elements > 0,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_root_is_closed_and_at_no_byte_before() {
        let whole = "<?xml version=\"1.0\"?>\n<Response xmlns=\"x\"><Clusters><Cluster><Id>a &amp; b</Id>\
                     </Cluster><Cluster/></Clusters></Response>";
        for end in 0..whole.len() {
            assert!(!is_whole(&whole.as_bytes()[..end]), "{}", &whole[..end]);
        }
        for more in ["", "\n", "\r\n  "] {
            assert!(is_whole(format!("{whole}{more}").as_bytes()));
        }
        assert!(is_whole(b"<Response/>"));
        assert!(!is_whole(b"<a><b></a></b>"));
    }
}
