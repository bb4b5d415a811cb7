//! The API against a real engine, a real database and a real NATS server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what it expects by failing

mod again;
mod app;
mod applications;
mod bad_input;
mod cors;
mod document;
mod fate;
mod feed;
mod homes;
mod integers;
mod jobs;
mod layers;
mod letter;
mod limits;
mod lists;
mod moments;
mod nats_gateway;
mod operators;
mod probes;
mod sessions;
mod stopping;
mod templates;
mod tls;
mod traffic;
mod ui;
mod verify;
