//! Filters and order of the list of sessions.

use engine::use_cases::SessionSort;
use poem_openapi::Enum;
use streams::wire::SessionState;

use crate::problem::Problem;

/// Order of the list.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "SessionSort")]
pub(super) enum Sort {
    /// Oldest first.
    #[oai(rename = "created_at")]
    Oldest,
    /// Newest first.
    #[oai(rename = "-created_at")]
    Newest,
    /// By user, the oldest session of each first.
    #[oai(rename = "user_id")]
    User,
    /// By user in reverse, the newest session of each first.
    #[oai(rename = "-user_id")]
    UserBackwards,
}

impl From<Sort> for SessionSort {
    fn from(sort: Sort) -> Self {
        Self {
            by_user: matches!(sort, Sort::User | Sort::UserBackwards),
            ascending: matches!(sort, Sort::Oldest | Sort::User),
        }
    }
}

/// Parses a comma-separated list of states.
pub(super) fn states(text: Option<&str>) -> Result<Vec<String>, Problem> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut states: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let known = |name: &str| SessionState::from_name(name).is_some();
    if let Some(wrong) = states.iter().find(|name| !known(name) && *name != "all") {
        let names = SessionState::ALL.map(SessionState::as_str).join(", ");
        let hint = format!("use all, or some of {names}, separated by commas");
        return Err(Problem::parameter("status", format!("{wrong:?} is not a state of a session"), hint));
    }
    if states.iter().any(|name| name == "all") {
        return Ok(vec!["all".to_owned()]);
    }
    states.sort_unstable();
    states.dedup();
    Ok(states)
}
