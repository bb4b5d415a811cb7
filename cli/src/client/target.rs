//! Whom to ask. What a flag names wins over the environment, that over the context in use, that over the `dev` here.
//!
//! A token goes only where it belongs: one that a context or a `dev` keeps is never sent to another address, and one of the
//! environment is not sent where a flag named a context that has its own.

use std::path::PathBuf;

use reqwest::Url;

use super::Server;
use super::contexts::{Contexts, DEV, token_in};
use crate::dev::DATA_DIR;
use crate::dev::folder::Endpoints;
use crate::failure::Failure;

/// A server, and how we came to it.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) token: String,
    /// What named it, for messages.
    pub(super) by: String,
    /// What to do when nobody is there.
    pub(super) hint: String,
}

/// A server that something named.
struct Place {
    url: String,
    /// The token that was kept with it.
    own: Option<String>,
    by: String,
    hint: String,
    /// A flag named it: what is kept with it wins over the environment.
    firm: bool,
}

/// The server that the flags, the environment, or a file name.
pub(super) fn find(server: &Server, context: Option<&str>) -> Result<Target, Failure> {
    Search { server, context, variable: &|name| std::env::var(name).ok(), contexts: &load }.target()
}

fn load() -> Result<Contexts, Failure> {
    Contexts::load(&Contexts::path()?)
}

/// Everything that may name one.
struct Search<'a> {
    server: &'a Server,
    context: Option<&'a str>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    contexts: &'a dyn Fn() -> Result<Contexts, Failure>,
}

impl Search<'_> {
    fn target(&self) -> Result<Target, Failure> {
        let place = self.place()?;
        let said = match (&self.server.token, &self.server.token_file) {
            (Some(token), _) => Some(token.clone()).filter(|token| !token.is_empty()),
            (None, Some(file)) => Some(token_in(file)?),
            (None, None) => None,
        };
        let token = match (said, place.firm, place.own) {
            (Some(said), ..) => Some(said),
            (None, true, Some(own)) => Some(own),
            (None, _, own) => self.variable_token()?.or(own),
        };
        let token = token.ok_or_else(|| {
            Failure::usage(format!("a token is needed for {}", place.url))
                .hint("--token, --token-file, STREAMSPACE_TOKEN, or a context that has one")
        })?;
        let url = Url::parse(&place.url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            Failure::usage(format!("{:?} ({}) is no URL of a server", place.url, place.by))
                .hint("--server http://127.0.0.1:8080")
        })?;
        Ok(Target { url, token, by: place.by, hint: place.hint })
    }

    fn place(&self) -> Result<Place, Failure> {
        if let Some(name) = self.context {
            let place = self.named(name, "--context", true)?;
            return Ok(match &self.server.server {
                Some(url) => Place { url: url.clone(), ..place },
                None => place,
            });
        }
        if let Some(url) = self.server.server.clone().filter(|url| !url.is_empty()) {
            return Ok(Self::plain(url, "--server"));
        }
        if self.server.data_dir.is_some() {
            return self.dev(true);
        }
        if let Some(url) = self.variable("STREAMSPACE_SERVER") {
            return Ok(Self::plain(url, "STREAMSPACE_SERVER"));
        }
        if let Some(name) = self.variable("STREAMSPACE_CONTEXT") {
            return self.named(&name, "STREAMSPACE_CONTEXT", false);
        }
        if self.variable("STREAMSPACE_DATA_DIR").is_some() {
            return self.dev(false);
        }
        match (self.contexts)()?.current {
            Some(name) => self.named(&name, "in use", false),
            None => self.dev(false),
        }
    }

    fn plain(url: String, by: &str) -> Place {
        let hint = format!("the address in {by}, or start a server there");
        Place { url, own: None, by: by.to_owned(), hint, firm: false }
    }

    fn named(&self, name: &str, how: &str, firm: bool) -> Result<Place, Failure> {
        let contexts = (self.contexts)()?;
        if name == DEV && !contexts.contexts.contains_key(DEV) {
            return self.dev(firm);
        }
        let context = contexts.get(name)?;
        Ok(Place {
            url: context.url.clone(),
            own: context.token()?,
            by: format!("context {name}, {how}"),
            hint: "`streamspace context list` for the others, or start that server".into(),
            firm,
        })
    }

    /// The `dev` that keeps its address and its token in a folder.
    fn dev(&self, firm: bool) -> Result<Place, Failure> {
        let folder = self.server.data_dir.clone().or_else(|| self.variable("STREAMSPACE_DATA_DIR").map(PathBuf::from));
        let folder = folder.unwrap_or_else(|| DATA_DIR.into());
        let by = format!("{}/endpoints.json", folder.display());
        let known = Endpoints::read(&folder)?.ok_or_else(|| {
            Failure::usage(format!("no server was named, and there is no {by}"))
                .hint("`streamspace dev` here, `--server URL --token TOKEN`, or `streamspace context use NAME`")
        })?;
        let hint = "`streamspace dev` to start it, or `--context NAME` for another server".into();
        Ok(Place { url: known.http, own: Some(known.admin_token), by, hint, firm })
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn variable_token(&self) -> Result<Option<String>, Failure> {
        match (self.variable("STREAMSPACE_TOKEN"), self.variable("STREAMSPACE_TOKEN_FILE")) {
            (Some(token), _) => Ok(Some(token)),
            (None, Some(file)) => token_in(file.as_ref()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contexts::Context;
    use super::*;

    fn contexts() -> Result<Contexts, Failure> {
        let context =
            |name: &str| (name.to_owned(), Context::with_token(format!("http://{name}"), format!("of-{name}")));
        Ok(Contexts { current: Some("used".into()), contexts: ["used", "other"].map(context).into() })
    }

    /// What is asked, and with which token.
    fn found(server: Server, context: Option<&str>, environment: &[(&str, &str)]) -> (String, String) {
        let variable = |name: &str| Some(environment.iter().find(|(known, _)| *known == name)?.1.to_owned());
        let search = Search { server: &server, context, variable: &variable, contexts: &contexts };
        let target = search.target().unwrap();
        (target.url.host_str().unwrap().to_owned(), target.token)
    }

    fn server(url: &str, token: Option<&str>) -> Server {
        Server { server: Some(url.into()), token: token.map(str::to_owned), ..Server::default() }
    }

    fn is(found: (String, String), url: &str, token: &str) {
        assert_eq!((found.0.as_str(), found.1.as_str()), (url, token));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_context_in_use() {
        let environment = [("STREAMSPACE_SERVER", "http://env"), ("STREAMSPACE_TOKEN", "of-env")];
        is(found(server("http://flag", Some("said")), None, &environment), "flag", "said");
        is(found(server("http://flag", None), None, &environment), "flag", "of-env");
        is(found(Server::default(), None, &environment), "env", "of-env");
        is(found(Server::default(), None, &[]), "used", "of-used");
        is(found(Server::default(), None, &[("STREAMSPACE_CONTEXT", "other")]), "other", "of-other");
    }

    #[test]
    fn a_token_goes_only_where_it_belongs() {
        let environment = [("STREAMSPACE_TOKEN", "of-env")];
        is(found(Server::default(), Some("other"), &environment), "other", "of-other");
        is(found(Server::default(), None, &environment), "used", "of-env");
        let alone = Search {
            server: &server("http://elsewhere", None),
            context: None,
            variable: &|_| None,
            contexts: &contexts,
        };
        assert!(alone.target().err().unwrap().message.contains("a token is needed"));
    }

    #[test]
    fn a_dev_that_is_named_is_asked_whatever_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = r#"{"http":"http://dev:1","nats":"n","admin_token":"of-dev"}"#;
        std::fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
        let here = Server { data_dir: Some(folder.path().into()), ..Server::default() };
        is(found(here.clone(), None, &[("STREAMSPACE_TOKEN", "of-env")]), "dev", "of-dev");
        is(found(here, Some(DEV), &[]), "dev", "of-dev");
    }
}
