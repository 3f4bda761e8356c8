//! What is seen of a call beside its result: AWS's clock, and how many requests it took.
//!
//! Owns: reading the `Date` header of whatever answer comes, refusals included, and counting; and what the SDK is given
//! to read of an answer: all of it, or nothing, since it takes what it has read for all there is. Never compares a date
//! with our clock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

use super::body::Read;
use crate::redshift::{Answer, RedshiftError, ServerDate};

/// Reads the `Date` of the answers to one call, as they come in, whatever they say.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    seen: Arc<Mutex<Option<ServerDate>>>,
    sent: Arc<AtomicU32>,
    read: Read,
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

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = self.read.whole(body);
        }
        Ok(())
    }
}
