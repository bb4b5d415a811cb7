//! Read requests, one after the other over one connection.

use std::time::Instant;

use anyhow::{Result, ensure};
use rand::RngExt;
use reqwest::Method;
use serde::Serialize;

use super::fill::{Age, PER_USER, begin_ms, session_id};
use crate::report::percentile;
use crate::stack::Stack;

/// Latencies of a kind of request.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct Probed {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Probed {
    pub(super) fn of(sorted: &[f64]) -> Self {
        Self { p50_ms: percentile(sorted, 0.50), p99_ms: percentile(sorted, 0.99) }
    }
}

/// A name, and a function that makes a request's path.
type Kind = (&'static str, fn(Age) -> String);

const KINDS: [Kind; 10] = [
    ("get", |age| format!("/sessions/{}", any(age))),
    ("list of a user", |age| format!("/sessions?limit=50&user_id=user-{}", any_number(age) / PER_USER)),
    ("list, first page", |_| "/sessions?limit=50".into()),
    ("list, running on a platform", |_| "/sessions?limit=50&status=running&platform=noop".into()),
    ("list, running on a rare platform", |_| "/sessions?limit=50&status=running&platform=rare".into()),
    ("list, hibernated on a rare platform", |_| "/sessions?limit=50&status=hibernated&platform=rare".into()),
    ("list, a rare platform", |_| "/sessions?limit=50&platform=rare".into()),
    ("log of a session", |age| format!("/sessions/{}/events", any(age))),
    ("events, first page", |_| "/events?limit=50".into()),
    ("queue", |_| "/queue?limit=50".into()),
];

fn any_number(age: Age) -> u64 {
    rand::rng().random_range(1..=age.sessions)
}

fn any(age: Age) -> uuid::Uuid {
    session_id(age, begin_ms(age), any_number(age))
}

pub(super) async fn all(stack: &Stack, age: Age, requests: usize) -> Result<Vec<(&'static str, Probed)>> {
    let mut figures = Vec::new();
    for (name, path) in KINDS {
        let mut took = Vec::with_capacity(requests);
        for number in 0..requests + requests / 10 {
            let path = path(age);
            let begun = Instant::now();
            let (status, body) = stack.request(Method::GET, &path, None).await?;
            ensure!(status == 200, "GET {path} answered {status}: {body}");
            if number >= requests / 10 {
                took.push(begun.elapsed().as_secs_f64() * 1e3); // the first tenth is a warm-up
            }
        }
        took.sort_by(f64::total_cmp);
        figures.push((name, Probed::of(&took)));
    }
    Ok(figures)
}
