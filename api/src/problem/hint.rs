//! The words of hints over HTTP.

use std::borrow::Cow;

use engine::Hint;

/// What an HTTP client can do.
pub(super) fn words(hint: &Hint) -> Cow<'_, str> {
    let known = match hint {
        Hint::Text(text) => return Cow::Borrowed(text),
        Hint::Templates => "GET /api/v1/templates lists them; POST one there first",
        Hint::TemplatesOrManifest => "GET /api/v1/templates lists them; or send the manifest itself",
        Hint::Platforms => "GET /api/v1/platforms lists them",
        Hint::Force => "delete the sessions first, or use force=true: they keep what they were created from",
        Hint::ListAgain => "read the lists for the present state, and watch without after",
        Hint::Document => "see /docs for what is accepted",
    };
    Cow::Borrowed(known)
}
