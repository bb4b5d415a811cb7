//! Answers what the engine asks of this controller: the end of a session's log, the homes that it keeps, and the schema of
//! its block in templates.

use std::{sync::Arc, time::Duration};

use async_nats::Message;
use futures::StreamExt;
use streams::tasks::Task;
use streams::wire::{Answer, Failure, HOMES_MAX, LOG_BYTES_MAX, Question, Scope};
use tokio::task::JoinSet;

use super::{Controller, loops::Subscription};
use crate::driver::{retryable, user_error};

/// Questions that are answered at the same time; the others wait in the subscription.
const AT_ONCE: usize = 4;
/// How long one may take. The engine waits no longer for any.
const PATIENCE: Duration = Duration::from_secs(30);

impl Controller {
    /// Answers each question until it is cancelled. One whose answer panics is not answered: the engine reports a timeout, and the caller can ask again.
    pub(super) async fn answer_questions(
        self: Arc<Self>,
        questions: &Subscription,
        client: &async_nats::Client,
        task: &Task,
    ) {
        let (cancel, mut questions, mut answers) = (task.cancel(), questions.lock().await, JoinSet::new());
        while let Some(next) = cancel.run_until_cancelled(questions.next()).await {
            let Some(message) = next else { return cancel.cancelled().await }; // the connection is closed for good
            let (controller, client, task) = (self.clone(), client.clone(), task.clone());
            answers.spawn(async move { task.work(controller.answer(message, &client)).await });
            while answers.try_join_next().is_some() {}
            if answers.len() >= AT_ONCE {
                let _ = cancel.run_until_cancelled(answers.join_next()).await; // its outcome was logged
            }
        }
    }

    async fn answer(&self, message: Message, client: &async_nats::Client) {
        let Some(reply) = message.reply else { return };
        let answer = match serde_json::from_slice(&message.payload) {
            Ok(question) => tokio::time::timeout(PATIENCE, self.asked(question)).await.unwrap_or_else(|_| Err(late())),
            Err(e) => Err(user_error("not_supported", format!("this controller does not know what is asked: {e}"))),
        };
        let answer = answer.unwrap_or_else(|failure| Answer { error: Some(failure), ..Answer::default() });
        let payload = fitted(answer, client.max_payload());
        if let Err(error) = client.publish(reply, payload.into()).await {
            tracing::warn!(%error, "a question could not be answered");
        }
    }

    async fn asked(&self, question: Question) -> Result<Answer, Failure> {
        Ok(match question {
            Question::Log { session_id, bytes } => {
                let log = self.driver.log(session_id, bytes.min(LOG_BYTES_MAX)).await?;
                Answer { log: Some(log), ..Answer::default() }
            }
            Question::Homes { user_id } => {
                let mut homes = self.driver.homes(user_id.as_deref()).await?;
                let truncated = homes.len() > HOMES_MAX;
                homes.truncate(HOMES_MAX);
                Answer { homes: Some(homes), truncated, ..Answer::default() }
            }
            Question::DeleteHome { name } => {
                self.driver.delete_home(&name).await?;
                tracing::info!(home.name = name, "deleted a home");
                Answer::default()
            }
            Question::TemplateSchema => match &self.config.template_schema {
                Some(schema) => Answer { template_schema: Some(schema.clone()), ..Answer::default() },
                None => {
                    return Err(user_error("not_supported", "this controller has no schema of its block in templates"));
                }
            },
        })
    }
}

fn late() -> Failure {
    retryable("timeout", format!("not answered within {PATIENCE:?}; what was begun goes on")).of(Scope::Session)
}

/// An answer as JSON, with less in it where one message could not hold it.
fn fitted(mut answer: Answer, most: usize) -> Vec<u8> {
    loop {
        let payload = serde_json::to_vec(&answer).unwrap_or_default(); // plain data: it always can be written
        if payload.len() <= most || !halved(&mut answer) {
            return payload;
        }
    }
}

/// Takes half of it away: the older part of a log, the later homes; false where there is nothing left to take.
fn halved(answer: &mut Answer) -> bool {
    if let Some(log) = answer.log.as_mut().filter(|log| !log.text.is_empty()) {
        let half = log.text.len().div_ceil(2);
        let at = (half..=log.text.len()).find(|at| log.text.is_char_boundary(*at)).unwrap_or(half);
        log.text.drain(..at);
        return true;
    }
    if let Some(homes) = answer.homes.as_mut().filter(|homes| !homes.is_empty()) {
        homes.truncate(homes.len() / 2);
        answer.truncated = true;
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use streams::wire::{Home, LogEnd};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_answer_fits_into_one_message_and_keeps_what_was_written_last() {
        let text = format!("{}the end", "\u{1}é".repeat(40_000));
        let log = Answer { log: Some(LogEnd { text, kept_bytes: 7 }), ..Answer::default() };
        let payload = fitted(log, 10_000);
        assert!(payload.len() <= 10_000 && payload.len() > 2_000, "{}", payload.len());
        let read: Answer = serde_json::from_slice(&payload).unwrap_or_default();
        assert!(read.log.is_some_and(|log| log.text.ends_with("the end") && log.kept_bytes == 7));

        let home = Home { name: "n".repeat(200), user_id: None, bytes: None, sessions: vec![Uuid::nil(); 100] };
        let homes = Answer { homes: Some(vec![home; HOMES_MAX]), ..Answer::default() };
        let payload = fitted(homes, 1 << 20);
        let read: Answer = serde_json::from_slice(&payload).unwrap_or_default();
        assert!(payload.len() <= 1 << 20 && read.truncated && read.homes.is_some_and(|homes| homes.len() >= 100));
    }

    #[test]
    fn what_cannot_be_made_smaller_is_answered_as_it_is() {
        assert_eq!(fitted(Answer::default(), 0), b"{}");
    }
}
