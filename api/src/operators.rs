//! What an operator does to a controller.

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

/// What is to become of a breaker.
#[derive(Debug, Clone, Copy, Enum, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum BreakerAction {
    /// Open now; it finds out by itself when the controller is well again.
    Open,
    /// Closed now, as if nothing had failed.
    Close,
    /// Open until it is released.
    HoldOpen,
    /// Closed until it is released, whatever fails.
    HoldClosed,
    /// By itself again; one that was held open is probed at once.
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

/// An order for a breaker.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerOrder {
    /// What is to become of it.
    action: BreakerAction,
    /// Why, for whoever asks later.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// Why an operator does something.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorReason {
    /// Why, for whoever asks later.
    #[oai(validator(min_length = 1, max_length = 500, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    reason: String,
}

/// What is wrong with a reason: it has to say something.
pub(crate) fn unsaid(reason: &str) -> Vec<FieldError> {
    let count = reason.chars().count();
    if (1..=500).contains(&count) && !reason.contains('\0') && !reason.trim().is_empty() {
        return Vec::new();
    }
    let rule = format!("must have 1 to 500 characters and say something, not {count}");
    vec![FieldError { field: "reason".into(), rule, hint: "say why, for whoever asks later".into() }]
}

impl Body<OperatorReason> {
    fn reason(self) -> Result<String, Problem> {
        Ok(self.check(|order| unsaid(&order.reason))?.reason)
    }
}

pub(crate) struct Operators(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Controllers")]
impl Operators {
    /// Order a controller's breaker
    ///
    /// Opens, closes, holds or releases it. The log keeps who did so and why. What holds already changes nothing.
    #[oai(path = "/admin/controllers/:controller_id/breaker", method = "post", operation_id = "order_breaker")]
    async fn breaker(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<BreakerOrder>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let BreakerOrder { action, reason } = body.check(|order| unsaid(&order.reason))?;
        let row = self.0.order_breaker(&controller_id, action.into(), reason, caller.0.name).await?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }

    /// Revoke a controller
    ///
    /// It gets no new work, and its sessions move: those that are to run start anew on other controllers, at a new generation, or
    /// wait for one. The answer is the job that moves them, which counts them. What the controller has of them it is told to remove
    /// as soon as it is back. Only an operator does this; a missed heartbeat never does. Asking again answers the same job.
    #[oai(path = "/admin/controllers/:controller_id/revoke", method = "post", operation_id = "revoke_controller")]
    async fn revoke(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Accepted, Refused<Operation>> {
        let (_, job) = self.0.revoke(&controller_id, body.reason()?, caller.0.name).await?;
        Ok(Accepted::of(job))
    }

    /// Reinstate a controller
    ///
    /// Puts a revoked one back into service. What has moved stays where it is.
    #[oai(path = "/admin/controllers/:controller_id/reinstate", method = "post", operation_id = "reinstate_controller")]
    async fn reinstate(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let row = self.0.reinstate(&controller_id, body.reason()?, caller.0.name).await?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }

    /// Admit a controller
    ///
    /// Lets a newcomer serve its platform beside the others. One that may already is answered as it is. A second controller of the
    /// core lane is refused, because both would carry out each command of the platform.
    #[oai(path = "/admin/controllers/:controller_id/admit", method = "post", operation_id = "admit_controller")]
    async fn admit(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let row = self.0.admit(&controller_id, body.reason()?, caller.0.name).await?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }

    /// Reset a controller
    ///
    /// For one whose host was reinstalled, or that speaks another protocol from now on: what tells its host from others is forgotten,
    /// and the next one that speaks under its id is taken for it. Until then it gets no work.
    #[oai(path = "/admin/controllers/:controller_id/reset", method = "post", operation_id = "reset_controller")]
    async fn reset(
        &self,
        caller: Caller,
        controller_id: Path<String>,
        body: Body<OperatorReason>,
    ) -> Result<Json<Controller>, Refused<Operation>> {
        let row = self.0.reset(&controller_id, body.reason()?, caller.0.name).await?;
        Ok(Json(Controller::now(&self.0, row).await?))
    }
}
