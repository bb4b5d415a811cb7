//! The types of problems. Their names are part of the API: clients rely on them, and `/problems/<name>` explains each.

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

/// The description of a type.
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
    /// All types.
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
                "A parameter of the path or the query is invalid. `errors` names it and says what to do.",
            ),
            Self::Unauthorized => about(
                "unauthorized",
                "Authentication required",
                S::UNAUTHORIZED,
                "The request has no valid token. Everything under /api/v1 needs the header `Authorization: Bearer <token>` with a valid token.",
            ),
            Self::Forbidden => about(
                "forbidden",
                "Not permitted",
                S::FORBIDDEN,
                "The principal is authenticated, but may not do this: a user sees and changes their own sessions, sees their own homes, \
                 and reads templates, controllers and platforms. Ask an administrator.",
            ),
            Self::NotFound => about(
                "not-found",
                "Not found",
                S::NOT_FOUND,
                "What the path names does not exist, or no longer does. The lists show what exists.",
            ),
            Self::MethodNotAllowed => about(
                "method-not-allowed",
                "Method not allowed",
                S::METHOD_NOT_ALLOWED,
                "The path does not support this method. The header `Allow` lists those that it supports.",
            ),
            Self::IllegalTransition => about(
                "illegal-transition",
                "Not possible in the present state",
                S::CONFLICT,
                "The session's state does not permit the request. `state` is its present state, `allowed` the requests that are possible now.",
            ),
            Self::Superseded => about(
                "superseded",
                "Superseded by something newer",
                S::CONFLICT,
                "The request refers to a state that has been superseded. Read the resource again before you decide.",
            ),
            Self::Conflict => about(
                "conflict",
                "Conflict with the present state",
                S::CONFLICT,
                "The request contradicts what exists. `detail` says how. Read the resource again before you decide.",
            ),
            Self::InUse => about(
                "in-use",
                "Still in use",
                S::CONFLICT,
                "What should be deleted is in use. `detail` says by how many and by what. Delete those first, or use `force=true`.",
            ),
            Self::Gone => about(
                "gone",
                "Cursor expired: the feed cannot be resumed from this position",
                S::GONE,
                "What followed that position is no longer kept, or the database was restored to a state without it. Read the lists for the present state, and watch again without `after`.",
            ),
            Self::Pruned => about(
                "pruned",
                "History no longer kept",
                S::GONE,
                "The log of what the path names was pruned behind a snapshot that is more recent than the requested time. \
                 `detail` says from when on it is known.",
            ),
            Self::TooLarge => about(
                "too-large",
                "Body too large",
                S::PAYLOAD_TOO_LARGE,
                "The body exceeds the limit. `detail` names the limit. Send less, or in several requests.",
            ),
            Self::UnsupportedMediaType => about(
                "unsupported-media-type",
                "Unsupported content type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The header `Content-Type` is missing, or its type is not supported here. `detail` names one that is.",
            ),
            Self::RequestTimeout => about(
                "request-timeout",
                "Request timeout",
                S::REQUEST_TIMEOUT,
                "The body did not arrive in time. Nothing was done. Send it again over a better connection, or send less.",
            ),
            Self::UriTooLong => about(
                "uri-too-long",
                "URL too long",
                S::URI_TOO_LONG,
                "Path and query together exceed the limit, which `detail` names. Use fewer or shorter filters.",
            ),
            Self::HeadersTooLarge => about(
                "headers-too-large",
                "Headers too large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "There are too many headers, or too many bytes in them. `detail` names the limit. Send only the necessary ones.",
            ),
            Self::InvalidFields => about(
                "invalid-fields",
                "Invalid fields",
                S::UNPROCESSABLE_ENTITY,
                "The body is well-formed, but some of its fields are invalid. `errors` names each with its rule and what to do.",
            ),
            Self::UpgradeRequired => about(
                "upgrade-required",
                "WebSocket required",
                S::UPGRADE_REQUIRED,
                "This path speaks WebSocket (RFC 6455, version 13). Send its handshake, or read the same over SSE at /api/v1/stream.",
            ),
            Self::IdempotencyKeyReused => about(
                "idempotency-key-reused",
                "Idempotency key already used for another request",
                S::UNPROCESSABLE_ENTITY,
                "Within the last 24 hours the same `Idempotency-Key` was used with another method, path or body. Nothing was done. A key \
                 belongs to one request: make a new one, or send the first request again as it was.",
            ),
            Self::PreconditionFailed => about(
                "precondition-failed",
                "The resource has changed",
                S::PRECONDITION_FAILED,
                "The resource has changed since the ETag in `If-Match` was read: another request has changed it. Nothing \
                 was done. The header `ETag` tells the present state. Read the resource again, decide anew, and send the new ETag.",
            ),
            Self::TooManyRequests => about(
                "too-many-requests",
                "Too many requests",
                S::TOO_MANY_REQUESTS,
                "This principal, or this address, sends more requests than permitted. Wait for the seconds in `Retry-After`. The headers \
                 `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) of every answer tell how much is left.",
            ),
            Self::Unavailable => about(
                "unavailable",
                "Temporarily unavailable",
                S::SERVICE_UNAVAILABLE,
                "Nothing was accepted, because it could not be carried out or kept now. Wait for the seconds in `Retry-After`, and send it again.",
            ),
            Self::Internal => about(
                "internal",
                "A defect",
                S::INTERNAL_SERVER_ERROR,
                "An internal error. The server's log has the reason under the `request.id` that `instance` names.",
            ),
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        self.about().name
    }

    /// Path of the page that explains it.
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
