//! Which server to use. Flags take precedence over the environment, the environment over the context in use,
//! and that over a local `dev`.
//!
//! A token is only sent where it belongs: one that is stored with a context or a `dev` is never sent to another
//! address, and one from the environment is not sent if a flag selects a context that has its own.

use std::path::PathBuf;

use reqwest::Url;

use super::Server;
use super::contexts::{Contexts, DEV, token_in};
use crate::dev::DATA_DIR;
use crate::dev::folder::Endpoints;
use crate::failure::Failure;

/// The server to use and how it was chosen.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) token: String,
    /// What selected it, for messages.
    pub(super) by: String,
    /// Advice if the server cannot be reached.
    pub(super) hint: String,
}

/// The address of a server, with the token that belongs to it.
struct ServerAddress {
    url: String,
    /// The token stored with this address.
    own: Option<String>,
    by: String,
    hint: String,
    /// Selected by a flag, so its stored token wins over the environment.
    by_flag: bool,
}

/// Resolves the server from flags, environment and files.
pub(super) fn find(server: &Server, context: Option<&str>) -> Result<Target, Failure> {
    Search { server, context, variable: &|name| std::env::var(name).ok(), contexts: &load }.target()
}

fn load() -> Result<Contexts, Failure> {
    Contexts::load(&Contexts::path()?)
}

/// All sources that may select a server.
struct Search<'a> {
    server: &'a Server,
    context: Option<&'a str>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    contexts: &'a dyn Fn() -> Result<Contexts, Failure>,
}

impl Search<'_> {
    fn target(&self) -> Result<Target, Failure> {
        let address = self.address()?;
        let given = match (&self.server.token, &self.server.token_file) {
            (Some(token), _) => Some(token.clone()).filter(|token| !token.is_empty()),
            (None, Some(file)) => Some(token_in(file)?),
            (None, None) => None,
        };
        let token = match (given, address.by_flag, address.own) {
            (Some(given), ..) => Some(given),
            (None, true, Some(own)) => Some(own),
            (None, _, own) => self.variable_token()?.or(own),
        };
        let token = token.ok_or_else(|| {
            Failure::usage(format!("no token for {}", address.url))
                .hint("use --token, --token-file, STREAMSPACE_TOKEN, or a context that has one")
        })?;
        let url =
            Url::parse(&address.url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            Failure::usage(format!("{:?} ({}) is not the URL of a server", address.url, address.by))
                .hint("use a URL such as --server http://127.0.0.1:8080")
        })?;
        Ok(Target { url, token, by: address.by, hint: address.hint })
    }

    fn address(&self) -> Result<ServerAddress, Failure> {
        if let Some(name) = self.context {
            let address = self.named(name, "--context", true)?;
            return Ok(match &self.server.server {
                Some(url) => ServerAddress { url: url.clone(), ..address },
                None => address,
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

    fn plain(url: String, by: &str) -> ServerAddress {
        let hint = format!("check the address in {by}, or start a server there");
        ServerAddress { url, own: None, by: by.to_owned(), hint, by_flag: false }
    }

    fn named(&self, name: &str, how: &str, by_flag: bool) -> Result<ServerAddress, Failure> {
        let contexts = (self.contexts)()?;
        if name == DEV && !contexts.contexts.contains_key(DEV) {
            return self.dev(by_flag);
        }
        let context = contexts.get(name)?;
        Ok(ServerAddress {
            url: context.url.clone(),
            own: context.token()?,
            by: format!("context {name}, {how}"),
            hint: "start that server, or choose another from `streamspace context list`".into(),
            by_flag,
        })
    }

    /// The `dev` that stores its address and token in a folder.
    fn dev(&self, by_flag: bool) -> Result<ServerAddress, Failure> {
        let folder = self.server.data_dir.clone().or_else(|| self.variable("STREAMSPACE_DATA_DIR").map(PathBuf::from));
        let folder = folder.unwrap_or_else(|| DATA_DIR.into());
        let by = format!("{}/endpoints.json", folder.display());
        let known = Endpoints::read(&folder)?.ok_or_else(|| {
            Failure::usage(format!("no server was given, and there is no {by}"))
                .hint("run `streamspace dev` here, use `--server URL --token TOKEN`, or `streamspace context use NAME`")
        })?;
        let hint = "start it with `streamspace dev`, or choose another server with `--context NAME`".into();
        Ok(ServerAddress { url: known.http, own: Some(known.admin_token), by, hint, by_flag })
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

    /// The resolved address and token.
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
        assert!(alone.target().err().unwrap().message.contains("no token for"));
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
