//! The types of problems. Their names are part of the API: clients decide by them, and `/problems/<name>` explains each.

use poem::http::StatusCode;

/// A type of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedBody,
    InvalidParameter,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    IllegalTransition,
    Superseded,
    Conflict,
    InUse,
    Gone,
    Pruned,
    TooLarge,
    UnsupportedMediaType,
    RequestTimeout,
    UriTooLong,
    HeadersTooLarge,
    InvalidFields,
    UpgradeRequired,
    IdempotencyKeyReused,
    PreconditionFailed,
    TooManyRequests,
    Unavailable,
    Internal,
}

/// Everything that is said about a type.
struct About {
    name: &'static str,
    title: &'static str,
    status: StatusCode,
    text: &'static str,
}

const fn about(name: &'static str, title: &'static str, status: StatusCode, text: &'static str) -> About {
    About { name, title, status, text }
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 24] = [
        Self::MalformedBody,
        Self::InvalidParameter,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::IllegalTransition,
        Self::Superseded,
        Self::Conflict,
        Self::InUse,
        Self::Gone,
        Self::Pruned,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RequestTimeout,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::InvalidFields,
        Self::UpgradeRequired,
        Self::IdempotencyKeyReused,
        Self::PreconditionFailed,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Internal,
    ];

    const fn about(self) -> About {
        use StatusCode as S;
        match self {
            Self::MalformedBody => about(
                "malformed-body",
                "The body cannot be read",
                S::BAD_REQUEST,
                "The body is not well-formed, or broke off. `detail` says where. Correct it and send it again.",
            ),
            Self::InvalidParameter => about(
                "invalid-parameter",
                "A parameter is wrong",
                S::BAD_REQUEST,
                "A part of the path or of the query is not what it must be. `errors` names it, and the way out.",
            ),
            Self::Unauthorized => about(
                "unauthorized",
                "A token is needed",
                S::UNAUTHORIZED,
                "The request came without a valid token. Everything under /api/v1 needs the header `Authorization: Bearer <token>` with a valid token.",
            ),
            Self::Forbidden => about(
                "forbidden",
                "Not for this principal",
                S::FORBIDDEN,
                "Whoever asks is known, but may not do this: a user sees and changes their own sessions, sees their own homes, \
                 and reads templates, controllers and platforms. Ask an administrator.",
            ),
            Self::NotFound => about(
                "not-found",
                "There is no such thing",
                S::NOT_FOUND,
                "What the path names does not exist, or not any more. The lists tell what does.",
            ),
            Self::MethodNotAllowed => about(
                "method-not-allowed",
                "The path does not take this method",
                S::METHOD_NOT_ALLOWED,
                "The path exists, but not with this method. The header `Allow` lists those that it takes.",
            ),
            Self::IllegalTransition => about(
                "illegal-transition",
                "Not possible in this state",
                S::CONFLICT,
                "The session's state does not permit what was asked. `state` says where it stands, `allowed` what may be asked now.",
            ),
            Self::Superseded => about(
                "superseded",
                "Something newer has happened",
                S::CONFLICT,
                "What was asked belongs to a past that has been overtaken. Read the resource again and decide anew.",
            ),
            Self::Conflict => about(
                "conflict",
                "It contradicts what is there",
                S::CONFLICT,
                "What was asked contradicts what exists. `detail` says what. Read the resource again and decide anew.",
            ),
            Self::InUse => about(
                "in-use",
                "Something still uses it",
                S::CONFLICT,
                "What was to be taken away is in use. `detail` says by how many and by whom. End those first, or ask with `force=true`.",
            ),
            Self::Gone => about(
                "gone",
                "The feed cannot be gone on with from there",
                S::GONE,
                "What followed that position is not kept any more, or the database was restored to a state without it. Read the lists for what is true now, and watch again without `after`.",
            ),
            Self::Pruned => about(
                "pruned",
                "So far back nothing is kept",
                S::GONE,
                "The log of what the path names was pruned behind a snapshot that is younger than the time that was asked for. \
                 `detail` says from when on it is known.",
            ),
            Self::TooLarge => about(
                "too-large",
                "The body is too large",
                S::PAYLOAD_TOO_LARGE,
                "The body has more bytes than are accepted. `detail` names the limit. Send less, or in several requests.",
            ),
            Self::UnsupportedMediaType => about(
                "unsupported-media-type",
                "The body has the wrong type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The header `Content-Type` is missing, or names a type that is not accepted here. `detail` names one that is.",
            ),
            Self::RequestTimeout => about(
                "request-timeout",
                "The request came too slowly",
                S::REQUEST_TIMEOUT,
                "The body did not come within the time that one may take. Nothing was done. Send it again over a better connection, or send less.",
            ),
            Self::UriTooLong => about(
                "uri-too-long",
                "The URL is too long",
                S::URI_TOO_LONG,
                "Path and query have more bytes together than are accepted. `detail` names the limit. Filter by less.",
            ),
            Self::HeadersTooLarge => about(
                "headers-too-large",
                "The headers are too large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are too many, or have too many bytes. `detail` names the limit. Send those that are needed.",
            ),
            Self::InvalidFields => about(
                "invalid-fields",
                "Fields are wrong",
                S::UNPROCESSABLE_ENTITY,
                "The body is well-formed, but fields of it break rules. `errors` names each, its rule, and the way out.",
            ),
            Self::UpgradeRequired => about(
                "upgrade-required",
                "This is a WebSocket",
                S::UPGRADE_REQUIRED,
                "This path speaks WebSocket (RFC 6455, version 13). Ask with its handshake, or read the same over SSE at /api/v1/stream.",
            ),
            Self::IdempotencyKeyReused => about(
                "idempotency-key-reused",
                "The idempotency key was used for another request",
                S::UNPROCESSABLE_ENTITY,
                "Within the last 24 hours the same `Idempotency-Key` came with another method, path or body. Nothing was done. A key \
                 belongs to one request: make a new one, or send the first request again as it was.",
            ),
            Self::PreconditionFailed => about(
                "precondition-failed",
                "It is not any more as you believe",
                S::PRECONDITION_FAILED,
                "The header `If-Match` names a state that has been left: somebody asked for something else, or changed it. Nothing \
                 was done. The header `ETag` tells the present state. Read the resource again, decide anew, and send the new ETag.",
            ),
            Self::TooManyRequests => about(
                "too-many-requests",
                "Too many requests",
                S::TOO_MANY_REQUESTS,
                "This principal, or this address, asks more often than is permitted. Wait for the seconds in `Retry-After`. The headers \
                 `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) of every answer tell how much is left.",
            ),
            Self::Unavailable => about(
                "unavailable",
                "Not now",
                S::SERVICE_UNAVAILABLE,
                "Nothing was accepted, because it could not have been kept. Wait for the seconds in `Retry-After`, and send it again.",
            ),
            Self::Internal => about(
                "internal",
                "A defect",
                S::INTERNAL_SERVER_ERROR,
                "Something went wrong that should not. The server's log has the reason under the `request.id` that `instance` names.",
            ),
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        self.about().name
    }

    /// Where it is explained.
    pub(crate) fn path(self) -> String {
        format!("/problems/{}", self.name())
    }

    pub(crate) const fn title(self) -> &'static str {
        self.about().title
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.about().status
    }

    pub(crate) const fn text(self) -> &'static str {
        self.about().text
    }
}
