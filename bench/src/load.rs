//! The load: connections that each create one session after the other.
//!
//! Two things are measured: how fast work is accepted while no controller carries it out ([`Goal::Accepted`]),
//! and how fast it is finished if each connection requests the next session once its last one runs
//! ([`Goal::Running`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use hyper::Method;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::connection::Connection;
use crate::stack::Stack;

/// What a connection waits for before its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The answer 202, sent after the commit.
    Accepted,
    /// The answer 201 of a request with `?wait=running`.
    Running,
}

impl Goal {
    fn path(self) -> &'static str {
        match self {
            Self::Accepted => "/api/v1/sessions",
            Self::Running => "/api/v1/sessions?wait=running&timeout=2m",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::Accepted => 202,
            Self::Running => 201,
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    /// Seconds until the last answer.
    pub seconds: f64,
    /// Milliseconds from each request to its answer, sorted.
    pub answer_ms: Vec<f64>,
}

/// Creates `sessions` over `connections`.
///
/// # Errors
/// A create is refused, or does not reach its goal.
pub async fn run(stack: &Stack, goal: Goal, sessions: usize, connections: usize) -> Result<Run> {
    let left = Arc::new(AtomicUsize::new(sessions));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(&stack.http, &stack.token).await?);
    }
    let begun = Instant::now();
    let workers: Vec<_> = open.into_iter().map(|one| tokio::spawn(create_all(one, goal, left.clone()))).collect();
    let mut answer_ms = Vec::with_capacity(sessions);
    for worker in workers {
        answer_ms.extend(worker.await??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    answer_ms.sort_by(f64::total_cmp);
    Ok(Run { seconds, answer_ms })
}

async fn create_all(mut connection: Connection, goal: Goal, left: Arc<AtomicUsize>) -> Result<Vec<f64>> {
    let body = json!({ "template_id": "scratchpad", "platform": "noop", "user_id": "bench" });
    let body = Bytes::from(body.to_string());
    let mut took = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let begun = Instant::now();
        let (status, text) = connection.send(Method::POST, goal.path(), body.clone()).await?;
        ensure!(status == goal.status(), "a create answered {status}: {}", String::from_utf8_lossy(&text));
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}
