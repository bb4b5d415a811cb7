//! What to do about a mistake.
//!
//! A hint is typed where its words depend on the surface: HTTP names a path, the command line a command. Each surface words it
//! itself, or recognises it by its code.

/// What to do about a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Advice in the same words on every surface.
    Text(String),
    /// Choose an existing template, or add it first.
    Templates,
    /// Choose an existing template, or send its manifest.
    TemplatesOrManifest,
    /// Choose an existing platform.
    Platforms,
    /// Delete the sessions that use it first, or force the request.
    Force,
    /// Read the present state again, because older changes are no longer kept.
    ListAgain,
    /// Look up what is accepted in the reference.
    Document,
}

impl Hint {
    /// A stable name for clients; `None` for a plain text.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Text(_) => None,
            Self::Templates | Self::TemplatesOrManifest => Some("list_templates"),
            Self::Platforms => Some("list_platforms"),
            Self::Force => Some("force"),
            Self::ListAgain => Some("list_again"),
            Self::Document => Some("see_document"),
        }
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
