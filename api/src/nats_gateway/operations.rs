//! Maps `<domain>.<action>` to operations: an operation's id, read backwards. `create_session` is
//! `session.create`, `list_session_events` is `session_event.list`.

use std::collections::HashMap;

use poem::http::Method;

use crate::document::Apis;
use crate::routes::Routes;

/// An operation, as far as building a request for it requires.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    /// Its path with placeholders, such as `/api/v1/sessions/{id}`.
    pub(super) path: String,
    /// Its query parameters.
    pub(super) query: Vec<String>,
    /// Whether it has a body.
    pub(super) body: bool,
}

/// All operations by `<domain>.<action>`, except streaming ones, because a reply is a single message.
pub(super) fn table() -> HashMap<String, Operation> {
    let (routes, mut table) = (Routes::of::<Apis>(), HashMap::new());
    for (route, operation) in routes.operations().filter(|(_, operation)| !operation.streams) {
        let Some((action, domain)) = operation.id.and_then(parts) else { continue };
        let name = format!("{domain}.{action}");
        let (method, path, body) = (operation.method.clone(), route.path.clone(), operation.body);
        let query = operation.query.clone().unwrap_or_default();
        table.insert(name, Operation { method, path, query, body });
    }
    table
}

/// Action and domain of an operation's id.
fn parts(id: &str) -> Option<(&str, String)> {
    let (verb, nouns) = id.split_once('_')?;
    let action = if verb == "touch" { "activity" } else { verb };
    Some((action, nouns.strip_suffix('s').unwrap_or(nouns).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_api_has_a_name_of_its_own() {
        let (table, routes) = (table(), Routes::of::<Apis>());
        let counted = routes.operations().filter(|(_, operation)| operation.id.is_some() && !operation.streams).count();
        assert_eq!(table.len(), counted);
        let session =
            ["create", "list", "get", "delete", "hibernate", "wake", "activity"].map(|a| format!("session.{a}"));
        let template = ["put", "list", "get", "delete"].map(|action| format!("template.{action}"));
        for name in session.into_iter().chain(template) {
            assert!(table.contains_key(&name), "{name}");
        }
    }
}
