//! The load: connections that each create one session after the other.
//!
//! Two questions are asked. How fast is work taken in, while nobody does it ([`Goal::Accepted`]); and how fast does it come out at
//! the other end, when each connection asks for the next session once its last one runs ([`Goal::Running`]).

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

/// What a connection waits for before it asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The answer 202, which is after the commit.
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

/// What one run gave.
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
/// Where a create is refused, or does not reach its goal.
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
