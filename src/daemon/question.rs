//! A question to the store that is not waited for longer than is good for the slots.
//!
//! Owns: the question while it is open. Never gives one up: what the store answers late is taken in then.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::store::StoreError;

/// A question of one kind, of which one is open at most.
#[derive(Debug)]
pub(super) enum Question<T> {
    /// There is none.
    None,
    /// It is not answered.
    Open(JoinHandle<Result<T, StoreError>>),
    /// It was answered late.
    Answered(Result<T, StoreError>),
}

impl<T: Send + 'static> Question<T> {
    /// Whether a question was not answered in time.
    pub(super) fn is_late(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The answer of the question that is open, as far as it is there; or else of a new one, if it comes in time.
    pub(super) async fn ask<F>(
        &mut self,
        patience: Duration,
        question: impl FnOnce() -> F,
    ) -> Option<Result<T, StoreError>>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (mut task, patience) = match std::mem::replace(self, Self::None) {
            Self::Answered(answer) => return Some(answer),
            Self::Open(task) => (task, Duration::ZERO),
            Self::None => (tokio::spawn(question()), patience),
        };
        match timeout(patience, &mut task).await {
            Ok(joined) => Some(answer(joined)),
            Err(_) => {
                *self = Self::Open(task);
                None
            }
        }
    }

    /// Ends when the question that is open is answered; never where there is none.
    pub(super) async fn answered(&mut self) {
        match self {
            Self::None => std::future::pending().await,
            Self::Answered(_) => {}
            Self::Open(task) => {
                let joined = task.await;
                *self = Self::Answered(answer(joined));
            }
        }
    }
}

/// A task that has panicked answers nothing, as a store that is closed.
fn answer<T>(joined: Result<Result<T, StoreError>, JoinError>) -> Result<T, StoreError> {
    joined.unwrap_or(Err(StoreError::Closed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    const SHORT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn an_answer_that_comes_late_is_taken_in_once_and_then_a_new_question_is_asked() {
        let (tell, told) = oneshot::channel();
        let mut question = Question::None;
        let late = async move { Ok(told.await.unwrap()) };
        assert!(question.ask(SHORT, || late).await.is_none());
        assert!(question.is_late());
        // Nothing else is asked meanwhile.
        assert!(question.ask(SHORT, || async { Ok(9) }).await.is_none());
        tell.send(7).unwrap();
        question.answered().await;
        let mut ask = async |number| {
            let answer = question.ask(SHORT, || async move { Ok(number) }).await;
            answer.unwrap().unwrap()
        };
        assert_eq!((ask(8).await, ask(9).await), (7, 9));
    }
}
