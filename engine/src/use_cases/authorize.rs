//! What a caller may do. Decided only here, for HTTP and NATS alike.
//!
//! The API asks before it reads a request's body, by the route, so that a stranger learns nothing from how a body is refused;
//! each use case asks again with what it touches. What is not allowed to users below is for the administrator.

use uuid::Uuid;

use super::caller::{Caller, Role};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read templates, controllers or platforms.
    ReadCatalog,
    /// Create a session for a user.
    CreateSession,
    /// List a user's sessions.
    ListSessions,
    /// Read, change or delete one session, or read its log.
    UseSession,
    /// List a user's persistent homes.
    ListHomes,
    /// Delete a persistent home.
    DeleteHome,
    /// Write or delete templates.
    ManageTemplates,
    /// Read, install or uninstall applications.
    ManageApplications,
    /// Decide about controllers.
    OperateControllers,
    /// Read or settle dead letters.
    ManageDeadLetters,
    /// Read, create or end jobs.
    ManageJobs,
    /// Read the event log, or watch it.
    ReadLog,
    /// Read what waits.
    ReadQueue,
    /// Declare the streams anew.
    RebuildStreams,
    /// Read the state of the engine itself.
    Diagnose,
    /// Anything else.
    Administer,
}

/// What an action touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// What belongs to the installation, or is not known yet.
    Installation,
    /// What belongs to this user; to any user where there is none.
    OfUser(Option<&'a str>),
    /// One session, with its user; `None` where there is no such session.
    Session(Uuid, Option<&'a str>),
}

/// Why a caller may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is for the administrator.
    #[error("only the administrator may do this")]
    NotAdministrator,
    /// It is another user's.
    #[error("{0} may not use another user_id")]
    AnotherUser(String),
    /// The session does not exist, or is another user's, which the caller must not learn.
    #[error("there is no session {0}")]
    NoSuchSession(Uuid),
}

/// Whether a caller may do something to a resource.
///
/// # Errors
/// [`Denied`] where not.
pub fn authorize(caller: &Caller, action: Action, resource: &Resource<'_>) -> Result<(), Denied> {
    if caller.role == Role::Administrator {
        return Ok(());
    }
    let own = |user: Option<&str>| user == Some(caller.name.as_str());
    match (action, resource) {
        (Action::ReadCatalog, _) => Ok(()),
        (Action::CreateSession | Action::ListSessions | Action::ListHomes, Resource::Installation) => Ok(()),
        (Action::CreateSession | Action::ListSessions | Action::ListHomes, Resource::OfUser(user)) => {
            if own(*user) {
                Ok(())
            } else {
                Err(Denied::AnotherUser(caller.name.clone()))
            }
        }
        (Action::UseSession, Resource::Session(id, user)) => {
            if own(*user) {
                Ok(())
            } else {
                Err(Denied::NoSuchSession(*id))
            }
        }
        _ => Err(Denied::NotAdministrator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::use_cases::Through;

    const ALL: [Action; 16] = [
        Action::ReadCatalog,
        Action::CreateSession,
        Action::ListSessions,
        Action::UseSession,
        Action::ListHomes,
        Action::DeleteHome,
        Action::ManageTemplates,
        Action::ManageApplications,
        Action::OperateControllers,
        Action::ManageDeadLetters,
        Action::ManageJobs,
        Action::ReadLog,
        Action::ReadQueue,
        Action::RebuildStreams,
        Action::Diagnose,
        Action::Administer,
    ];

    fn ada() -> Caller {
        Caller { name: "ada".into(), role: Role::User, through: Through::Nats, request_id: None }
    }

    #[test]
    fn a_user_reaches_the_catalog_and_what_is_their_own_and_nothing_else() {
        let id = Uuid::nil();
        let resources = [
            Resource::Installation,
            Resource::OfUser(None),
            Resource::OfUser(Some("ada")),
            Resource::OfUser(Some("bob")),
        ];
        let sessions =
            [Resource::Session(id, Some("ada")), Resource::Session(id, Some("bob")), Resource::Session(id, None)];
        for action in ALL {
            for resource in resources.into_iter().chain(sessions) {
                let own = matches!(resource, Resource::Installation | Resource::OfUser(Some("ada")));
                let expected = match action {
                    Action::ReadCatalog => true,
                    Action::CreateSession | Action::ListSessions | Action::ListHomes => own,
                    Action::UseSession => resource == Resource::Session(id, Some("ada")),
                    _ => false,
                };
                assert_eq!(authorize(&ada(), action, &resource).is_ok(), expected, "{action:?} {resource:?}");
            }
        }
    }

    #[test]
    fn the_administrator_may_do_everything() {
        let admin = Caller::administrator(Through::Http);
        assert!(ALL.into_iter().all(|action| authorize(&admin, action, &Resource::OfUser(Some("ada"))).is_ok()));
    }

    #[test]
    fn another_users_session_looks_as_if_it_did_not_exist() {
        let (id, denied) =
            (Uuid::nil(), |user| authorize(&ada(), Action::UseSession, &Resource::Session(Uuid::nil(), user)));
        assert_eq!(denied(Some("bob")), Err(Denied::NoSuchSession(id)));
        assert_eq!(denied(Some("bob")), denied(None));
    }
}
