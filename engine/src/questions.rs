//! What only a controller knows, and the engine does not keep: logs of sessions, and homes. Asked when somebody wants to know.
//!
//! Only controllers of the durable lane are asked: the subject names one, so that permissions can hold both sides of it. What a
//! controller answers is a stranger's word: it is bounded here again, and shows nobody more than was asked for.

use std::time::Duration;

use futures::future::join_all;
use machine::Lane;
use serde_json::Value;
use streams::{
    async_nats::{Request, RequestErrorKind},
    ids::{ControllerId, Platform},
    subject,
    wire::{Answer, Failure, HOME_SESSIONS_MAX, HOMES_MAX, Home, LogEnd, Question},
};
use uuid::Uuid;

use crate::Engine;
use crate::ReadError;
use crate::queries;
use crate::store::controller;

/// How long a controller may take to read something.
const READING: Duration = Duration::from_secs(10);
/// Removing a large home takes its time.
const REMOVING: Duration = Duration::from_secs(25);
/// Controllers that are asked for their homes at most.
const KEEPERS_MAX: usize = 100;
/// Characters of a controller's reason that are shown.
const REASON_MAX: usize = 1000;
/// What a controller's heartbeat says where it answers questions about homes.
const HOMES: &str = "homes";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// Nobody listens there.
    #[error("controller {0} cannot be asked now: it is not connected, or of a version that answers no questions")]
    Away(String),
    /// It has not answered.
    #[error("controller {controller} has not answered within {} s; what it has begun goes on", .within.as_secs())]
    Late {
        /// Which.
        controller: String,
        /// How long it had.
        within: Duration,
    },
    /// The question did not reach NATS.
    #[error("controller {0} cannot be asked now: NATS does not take the question")]
    Unsent(String),
    /// The controller said no.
    #[error("controller {controller} says: {}", .failure.message)]
    Refused {
        /// Which.
        controller: String,
        /// Why.
        failure: Failure,
    },
    /// The answer is none.
    #[error("the answer of controller {controller} cannot be read: {source}")]
    Unreadable {
        /// Whose.
        controller: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] ReadError),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// The homes of all controllers, as far as they answered.
#[derive(Debug, Default)]
pub struct Homes {
    /// With their controllers, by controller and name.
    pub homes: Vec<(String, Home)>,
    /// There are more.
    pub truncated: bool,
    /// Controllers that keep homes and did not answer.
    pub silent: Vec<String>,
}

impl Engine {
    /// The end of a session's log, with the controller that it is from.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub async fn session_log(&self, session: Uuid, bytes: u32) -> Result<(String, LogEnd), Error> {
        let row = queries::session(self.reader(), session).await?;
        let row = row.ok_or_else(|| Error::NotFound(format!("session {session}")))?;
        let none = |why: &str| Error::NotFound(format!("log of session {session}: {why}"));
        let owner = row.controller_id.ok_or_else(|| none("it has no controller yet"))?;
        let keeper = queries::controller(self.reader(), &owner).await?.ok_or_else(|| Error::Away(owner.clone()))?;
        if keeper.lane() == Lane::Core {
            return Err(none(&format!("controller {owner} is in the core lane, and those answer no questions")));
        }
        let answer = self.question(&keeper, &Question::Log { session_id: session, bytes }, READING).await?;
        let mut log = answer.log.ok_or_else(|| none(&format!("controller {owner} keeps none")))?;
        keep_end(&mut log.text, bytes as usize);
        Ok((owner, log))
    }

    /// The persistent homes of all controllers that keep some, or those of one user.
    ///
    /// # Errors
    /// What the database says. A controller that does not answer is named.
    pub async fn homes(&self, user_id: Option<&str>) -> Result<Homes, Error> {
        let mut keepers = queries::controllers(self.reader()).await?;
        keepers.retain(keeps_homes);
        let mut all = Homes { truncated: keepers.len() > KEEPERS_MAX, ..Homes::default() };
        keepers.truncate(KEEPERS_MAX);
        let question = Question::Homes { user_id: user_id.map(str::to_owned) };
        let answers = join_all(keepers.iter().map(|keeper| self.question(keeper, &question, READING))).await;
        for (keeper, answer) in keepers.into_iter().zip(answers) {
            match answer {
                Ok(Answer { homes: Some(homes), truncated, .. }) => {
                    let of_whom = |home: &Home| user_id.is_none() || home.user_id.as_deref() == user_id;
                    let homes = homes.into_iter().filter(of_whom).map(|home| (keeper.controller_id.clone(), home));
                    all.homes.extend(homes);
                    all.truncated |= truncated;
                }
                Ok(_) => all.silent.push(keeper.controller_id),
                Err(error) => {
                    tracing::warn!(controller.id = keeper.controller_id, %error, "a controller does not tell its homes");
                    all.silent.push(keeper.controller_id);
                }
            }
        }
        all.truncated |= all.homes.len() > HOMES_MAX;
        all.homes.truncate(HOMES_MAX);
        all.homes.iter_mut().for_each(|(_, home)| home.sessions.truncate(HOME_SESSIONS_MAX));
        Ok(all)
    }

    /// Removes a persistent home that no session has.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub async fn delete_home(&self, controller: &str, name: &str) -> Result<(), Error> {
        let keeper = queries::controller(self.reader(), controller).await?;
        let keeper = keeper.ok_or_else(|| Error::NotFound(format!("controller {controller}")))?;
        if !keeps_homes(&keeper) {
            return Err(Error::NotFound(format!("home {name:?}: controller {controller} tells of none")));
        }
        self.question(&keeper, &Question::DeleteHome { name: name.to_owned() }, REMOVING).await.map(drop)
    }

    async fn question(
        &self,
        keeper: &controller::Model,
        question: &Question,
        within: Duration,
    ) -> Result<Answer, Error> {
        ask(&self.link().client, keeper, question, within).await
    }
}

/// The JSON Schema of a controller's block in templates.
pub(crate) async fn ask_for_schema(client: &async_nats::Client, keeper: &controller::Model) -> Result<Value, Error> {
    let answer = ask(client, keeper, &Question::TemplateSchema, READING).await?;
    let none = || Error::NotFound(format!("template schema: controller {} answers with none", keeper.controller_id));
    answer.template_schema.ok_or_else(none)
}

async fn ask(
    client: &async_nats::Client,
    keeper: &controller::Model,
    question: &Question,
    within: Duration,
) -> Result<Answer, Error> {
    let controller = keeper.controller_id.clone();
    let (platform, id) = (Platform::try_new(&keeper.platform), ControllerId::try_new(&controller));
    let (Ok(platform), Ok(id)) = (platform, id) else { return Err(Error::Away(controller)) };
    let payload = serde_json::to_vec(question).unwrap_or_default(); // plain data: it always can be written
    let request = Request::new().payload(payload.into()).timeout(Some(within));
    let answer = client.send_request(subject::question(&platform, &id), request).await;
    let answer = match answer.map_err(|error| error.kind()) {
        Ok(answer) => answer,
        Err(RequestErrorKind::NoResponders) => return Err(Error::Away(controller)),
        Err(RequestErrorKind::TimedOut) => return Err(Error::Late { controller, within }),
        Err(_) => return Err(Error::Unsent(controller)),
    };
    match serde_json::from_slice::<Answer>(&answer.payload) {
        Err(source) => Err(Error::Unreadable { controller, source }),
        Ok(Answer { error: Some(failure), .. }) => Err(refused(controller, failure)),
        Ok(answer) => Ok(answer),
    }
}

fn keeps_homes(row: &controller::Model) -> bool {
    let said = row.capabilities.as_ref().and_then(|said| said.as_array());
    row.lane() == Lane::Durable && said.is_some_and(|said| said.iter().any(|one| one == HOMES))
}

fn refused(controller: String, failure: Failure) -> Error {
    let message = failure.message.chars().take(REASON_MAX).collect::<String>();
    match failure.code.as_str() {
        "not_found" => Error::NotFound(message),
        _ => Error::Refused { controller, failure: Failure { message, ..failure } },
    }
}

/// The end of a text, in bytes.
fn keep_end(text: &mut String, most: usize) {
    // replaced bytes are three each: as many characters as there were bytes are never cut
    let start = text.len().saturating_sub(most.saturating_mul(3));
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    text.drain(..start);
}
