//! What the sessions under test are made from.

use serde_json::json;
use streams::wire::{API_VERSION, Manifest};

/// The templates of an examination.
#[derive(Debug, Clone)]
pub struct Templates {
    /// One that runs.
    pub good: Manifest,
    /// One that can never run.
    pub bad: Option<Manifest>,
    /// One that starts, never becomes ready, and is given up within a minute.
    pub unready: Option<Manifest>,
}

impl Templates {
    /// The built-in ones. The platform `local` runs the notes page of the program itself; controllers that know no block of their own
    /// go by `webapp`: a `healthCheck` that is no path is a mistake, and the page `/never` is missing.
    ///
    /// `noop` runs anything, so for it there are no others.
    #[must_use]
    pub fn built_in(platform: &str) -> Option<Self> {
        let scratchpad = json!(["${STREAMSPACE_BIN}", "scratchpad", "--port", "${PORT}", "--home", "${HOME}"]);
        let good = manifest("/", &scratchpad, "30s")?;
        if platform == "noop" {
            return Some(Self { good, bad: None, unready: None });
        }
        let bad = manifest("not a path", &json!(["/nonexistent/program"]), "30s");
        let unready = manifest("/never", &json!(["sleep", "3600"]), "3s");
        Some(Self { good, bad, unready })
    }
}

fn manifest(health: &str, command: &serde_json::Value, timeout: &str) -> Option<Manifest> {
    serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "Template", "metadata": { "name": "conformance" },
        "spec": {
            "displayName": "Conformance",
            "webapp": { "enabled": true, "port": 8080, "path": "/", "healthCheck": health },
            "local": { "command": command, "readiness": { "timeout": timeout } },
        }
    }))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::Templates;

    #[test]
    fn every_platform_has_a_template_that_the_contract_accepts() {
        for platform in ["local", "noop", "python"] {
            let templates = Templates::built_in(platform);
            assert!(templates.is_some_and(|all| all.good.check().is_ok()), "{platform}");
        }
    }
}
