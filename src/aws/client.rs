//! What the calls of one region are made with, and the making of one.
//!
//! Owns: the clients with their credentials, made anew once AWS or a credentials' source has refused them; telling the
//! meter of every request; and that a panic inside the SDK is an error like any other. Never knows what is asked.

use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use aws_sdk_redshift::Client;
use aws_sdk_redshift::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::sync::Mutex;

use super::connector::Connector;
use super::credentials::{Finder, Lacking};
use super::translate::{error, label};
use super::{Meter, unclear};
use crate::clock::Clock;
use crate::names::Region;
use crate::policy::CredentialSource;
use crate::redshift::{ErrorClass, Operation, RedshiftError};

/// Redshift in one region with one set of credentials.
pub struct AwsRedshift {
    connector: Connector,
    identity: CredentialSource,
    region: Region,
    made: Mutex<Arc<Made>>,
    clock: Arc<dyn Clock>,
    meter: Meter,
}

/// What calls are made with, from the settings as they were at an instant.
pub(super) struct Made {
    redshift: Client,
    pub(super) sts: aws_sdk_sts::Client,
    finder: Arc<Finder>,
    /// In monotonic time.
    at: Duration,
    is_spent: AtomicBool,
}

impl Made {
    async fn anew(
        connector: &Connector,
        identity: &CredentialSource,
        region: &Region,
        at: Duration,
    ) -> Arc<Self> {
        let (settings, finder) = connector.settings(identity, region).await;
        Arc::new(Self {
            redshift: Client::new(&settings),
            sts: aws_sdk_sts::Client::new(&settings),
            finder,
            at,
            is_spent: AtomicBool::new(false),
        })
    }
}

impl AwsRedshift {
    pub(super) async fn new(
        connector: Connector,
        identity: CredentialSource,
        region: Region,
        clock: Arc<dyn Clock>,
        meter: Meter,
    ) -> Self {
        let made = Made::anew(&connector, &identity, &region, clock.monotonic()).await;
        Self {
            connector,
            identity,
            region,
            made: Mutex::new(made),
            clock,
            meter,
        }
    }

    /// What the next call is made with: made anew where AWS, or the credentials' source, has refused the last one.
    pub(super) async fn made(&self) -> Arc<Made> {
        let mut made = self.made.lock().await;
        if made.is_spent.load(Ordering::Relaxed) {
            let now = self.clock.monotonic();
            *made = Made::anew(&self.connector, &self.identity, &self.region, now).await;
        }
        Arc::clone(&made)
    }

    pub(super) async fn client(&self) -> Client {
        self.made().await.redshift.clone()
    }

    /// Whether there are credentials, as far as that can be told without asking AWS: what a call would otherwise wait
    /// for first.
    pub async fn find_credentials(&self) -> Result<(), RedshiftError> {
        let made = self.made().await;
        let found = made.finder.credentials().await;
        found.map(drop).map_err(|lacking| {
            made.is_spent.store(true, Ordering::Relaxed);
            lacking.into()
        })
    }

    /// What a call that began at `began` was made with is of no use, unless it is younger.
    async fn discard(&self, began: Duration) {
        let made = self.made.lock().await;
        if made.at <= began {
            made.is_spent.store(true, Ordering::Relaxed);
        }
    }

    /// Makes one request, in our words, and tells the meter.
    pub(super) async fn measured<T, E>(
        &self,
        operation: Operation,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, RedshiftError>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let began = self.clock.monotonic();
        let result = match unpanicked(request).await {
            Ok(answer) => answer.map_err(error),
            Err(error) => Err(error),
        };
        (self.meter)(
            operation,
            label(&result),
            self.clock.monotonic().saturating_sub(began),
        );
        if result
            .as_ref()
            .is_err_and(|error| error.class == ErrorClass::Credentials)
        {
            self.discard(began).await;
        }
        result
    }
}

impl From<Lacking> for RedshiftError {
    fn from(Lacking { class, told }: Lacking) -> Self {
        Self {
            class,
            code: None,
            message: told.to_string(),
        }
    }
}

/// Carries a request out; a panic inside it is an error like any other. What it says is not repeated: it may hold a
/// header.
async fn unpanicked<T>(request: impl Future<Output = T>) -> Result<T, RedshiftError> {
    let mut request = pin!(request);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(Ok(answer)),
            Err(_) => Poll::Ready(Err(unclear(
                "a fault inside redkeep or the AWS SDK (a panic, whose place is in the log); this is not the network: \
                 report it",
            ))),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;

    use super::super::Target;
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_panic_inside_a_call_is_told_as_one_and_counted() {
        type Told = Lock<Vec<(Operation, &'static str)>>;
        let told: Arc<Told> = Arc::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let meter: Meter = {
            let told = Arc::clone(&told);
            Arc::new(move |operation, code, _| told.lock().unwrap().push((operation, code)))
        };
        let target = Target::Sandbox("http://127.0.0.1:9".to_owned());
        let connector = Connector::new(target, "redkeep".parse().unwrap(), clock);
        let region = "us-east-1".parse().unwrap();
        let aws = connector
            .client(&CredentialSource::default(), &region, meter)
            .await;
        type Never = SdkError<
            aws_sdk_redshift::operation::describe_events::DescribeEventsError,
            HttpResponse,
        >;
        let request = async {
            let key = String::from("hunter2");
            assert!(key.is_empty(), "{key}");
            Ok::<(), Never>(())
        };
        let error = aws
            .measured(Operation::DescribeEvents, request)
            .await
            .unwrap_err();
        assert!(error.message.contains("a panic"), "{error}");
        assert!(error.message.contains("not the network"), "{error}");
        assert!(!error.message.contains("hunter2"), "{error}");
        assert_eq!(
            *told.lock().unwrap(),
            [(Operation::DescribeEvents, "other")]
        );
    }
}
