//! The bodies of answers: never larger than redkeep can hold.
//!
//! Owns: how much of an answer is read at most, and of all the pages of one listing together. What is larger is refused
//! while it comes in, so that an answer without end costs no more than the largest that is taken. Never looks into it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::members::readable;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The largest answer that is taken. A page of 100 snapshots with 50 long tags each has about three million bytes.
const ANSWER_MAX: u64 = 64 << 20;
/// The largest listing that is taken, all pages together: some 60,000 snapshots.
const LISTING_MAX: u64 = 128 << 20;

/// Why an answer was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooLarge {
    #[error("the answer is larger than {} MiB, the most that is read of one", ANSWER_MAX >> 20)]
    Answer,
    #[error(
        "the pages of the listing are larger than {} MiB together, the most that is read of one",
        LISTING_MAX >> 20
    )]
    Listing,
}

/// A body that is refused when it turns out to be larger than [`ANSWER_MAX`].
pub(super) fn bounded(inner: SdkBody) -> SdkBody {
    SdkBody::from_body_1_x(Bounded {
        inner,
        left: ANSWER_MAX,
    })
}

struct Bounded {
    inner: SdkBody,
    left: u64,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.inner.size_hint().lower() > self.left {
            return Poll::Ready(Some(Err(TooLarge::Answer.into())));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(data)) = frame
            .as_ref()
            .map(|frame| frame.as_ref().map(Frame::data_ref))
        {
            let came = data.map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(came) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(TooLarge::Answer.into()))),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// How much of one listing has been read.
#[derive(Debug, Clone, Default)]
pub(super) struct Read(Arc<AtomicU64>);

impl Read {
    /// A body that comes as a whole, without the members that cannot be read, and is refused when what has been read
    /// of the listing is larger than [`LISTING_MAX`].
    pub(super) fn whole(&self, inner: SdkBody) -> SdkBody {
        SdkBody::from_body_1_x(Whole {
            inner,
            read: Some(Vec::new()),
            of_listing: self.clone(),
        })
    }

    fn take(&self, came: usize) -> Result<(), TooLarge> {
        let before = self.0.fetch_add(came as u64, Ordering::Relaxed);
        match before + came as u64 > LISTING_MAX {
            true => Err(TooLarge::Listing),
            false => Ok(()),
        }
    }
}

struct Whole {
    inner: SdkBody,
    /// `None` when it has been handed on.
    read: Option<Vec<u8>>,
    of_listing: Read,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while self.read.is_some() {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(context)).transpose()?;
            let Some(frame) = frame else {
                let read = self.read.take().unwrap_or_default();
                let whole = readable(read).map_err(Error::from);
                return Poll::Ready(Some(whole.map(|whole| Frame::data(whole.into()))));
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            self.of_listing.take(data.len())?;
            if let Some(read) = &mut self.read {
                read.extend_from_slice(data);
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of so many parts of a megabyte, of which it says nothing beforehand.
    struct Parts(u64);

    impl Body for Parts {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            let is_over = self.0 == 0;
            self.0 = self.0.saturating_sub(1);
            let part = (!is_over).then(|| Ok(Frame::data(Bytes::from(vec![b'x'; 1 << 20]))));
            Poll::Ready(part)
        }
    }

    /// How many parts come, and why no more do.
    fn read(body: SdkBody) -> (usize, String) {
        let mut body = body;
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut parts = 0;
        loop {
            match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(_))) => parts += 1,
                Poll::Ready(Some(Err(error))) => return (parts, error.to_string()),
                Poll::Ready(None) => return (parts, String::new()),
                Poll::Pending => unreachable!("the parts are there"),
            }
        }
    }

    #[test]
    fn an_answer_without_end_is_refused_after_64_mebibytes() {
        let (parts, why) = read(bounded(SdkBody::from_body_1_x(Parts(u64::MAX))));
        assert_eq!(parts, 64);
        assert!(why.contains("larger than 64 MiB"), "{why}");
        assert_eq!(read(bounded(SdkBody::from_body_1_x(Parts(64)))).0, 64);
    }

    #[test]
    fn an_answer_that_says_that_it_is_too_large_is_not_read_at_all() {
        let body = SdkBody::from(vec![b'x'; (ANSWER_MAX + 1) as usize]);
        let (parts, why) = read(bounded(body));
        assert_eq!(parts, 0);
        assert!(why.contains("larger than 64 MiB"), "{why}");
    }

    #[test]
    fn the_pages_of_a_listing_are_bounded_together() {
        let of_listing = Read::default();
        for _ in 0..2 {
            let (_, why) = read(of_listing.whole(SdkBody::from_body_1_x(Parts(60))));
            assert!(why.contains("ends before its XML"), "{why}");
        }
        let (_, why) = read(of_listing.whole(SdkBody::from_body_1_x(Parts(60))));
        assert!(why.contains("128 MiB together"), "{why}");
    }
}
