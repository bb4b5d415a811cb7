//! Operators' actions on controllers.

use std::sync::Arc;

use engine::{Engine, FieldError};
use machine::breaker::Order;
use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;

use crate::auth::Caller;
use crate::body::Body;
use crate::controllers::Controller;
use crate::document::Tag;
use crate::jobs::Accepted;
use crate::json::Json;
use crate::problem::{Operation, Problem, Refused};

/// An order for a circuit breaker.
#[derive(Debug, Clone, Copy, Enum, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum BreakerAction {
    /// Open it now; it probes by itself when it may close.
    Open,
    /// Close it now, and forget all failures.
    Close,
    /// Hold it open until it is released.
    HoldOpen,
    /// Hold it closed until it is released, whatever fails.
    HoldClosed,
    /// Return to normal; one that was held open is probed at once.
    Release,
}

impl From<BreakerAction> for Order {
    fn from(action: BreakerAction) -> Self {
        match action {
            BreakerAction::Open => Self::Open,
            BreakerAction::Close => Self::Close,
            BreakerAction::HoldOpen => Self::HoldOpen,
            BreakerAction::HoldClosed => Self::HoldClosed,
            BreakerAction::Release => Self::Release,
        }
    }
}

/// An order for a circuit breaker, with its reason.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerOrder {
    /// The order.
    action: BreakerAction,
    /// Reason, kept in the log.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// The reason for an operator's action.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorReason {
    /// Reason, kept in the log.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// The mistake of a reason that is blank or too long.
pub(crate) fn unsaid(reason: &str) -> Vec<FieldError> {
    let count = reason.chars().count();
    if (1..=500).contains(&count) && !reason.contains('\0') && !reason.trim().is_empty() {
        return Vec::new();
    }
    let rule = format!("must have 1 to 500 characters and say something, not {count}");
    vec![FieldError { field: "reason".into(), rule, hint: "say why; the log keeps it".into() }]
}

impl Body<OperatorReason> {
    fn reason(self) -> Result<String, Problem> {
        Ok(self.check(|order| unsaid(&order.reason))?.reason)
    }
}

pub(crate) struct Operators(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Operators {
    /// Control a controller's circuit breaker
    ///
    /// Opens, closes, holds or releases it. The log keeps who did so and why. An order that changes nothing has
    /// no effect.
    #[oai(path = "/admin/controllers/:controller_id/breaker", method = "post", operation_id = "order_breaker")]
    async fn breaker(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<BreakerOrder>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let BreakerOrder { action, reason } = body.check(|order| unsaid(&order.reason))?;
        let acting = caller.on(&self.0);
        let row = acting.order_breaker(&controller_id, action.into(), reason).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }

    /// Revoke a controller
    ///
    /// It gets no new work, and its sessions move: those that should run start on other controllers, at a new
    /// generation, or wait for one. The answer is the job that moves them, with its counters. The controller is
    /// ordered to remove its leftovers of them when it returns. Only an operator does this, never a missed
    /// heartbeat. Repeating the request returns the same job.
    #[oai(path = "/admin/controllers/:controller_id/revoke", method = "post", operation_id = "revoke_controller")]
    async fn revoke(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Accepted, Refused<Operation>> {
        let (_, job) = caller.on(&self.0).revoke(&controller_id, body.reason()?).await?;
        Ok(Accepted::of(job))
    }

    /// Reinstate a controller
    ///
    /// Puts a revoked controller back into service. Sessions that have moved stay where they are.
    #[oai(path = "/admin/controllers/:controller_id/reinstate", method = "post", operation_id = "reinstate_controller")]
    async fn reinstate(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let acting = caller.on(&self.0);
        let row = acting.reinstate(&controller_id, body.reason()?).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }

    /// Admit a controller
    ///
    /// Lets a new controller serve its platform beside the others. Has no effect if it may already. A second
    /// controller of the core lane is refused, because both would carry out each command of the platform.
    #[oai(path = "/admin/controllers/:controller_id/admit", method = "post", operation_id = "admit_controller")]
    async fn admit(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let acting = caller.on(&self.0);
        let row = acting.admit(&controller_id, body.reason()?).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }

    /// Reset a controller
    ///
    /// For a host that was reinstalled or changes its protocol: what identifies its host is forgotten, and the
    /// next host that uses its id is accepted. Until then it gets no work.
    #[oai(path = "/admin/controllers/:controller_id/reset", method = "post", operation_id = "reset_controller")]
    async fn reset(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let acting = caller.on(&self.0);
        let row = acting.reset(&controller_id, body.reason()?).await?;
        Ok(Json(Controller::now(&acting, row).await?))
    }
}
