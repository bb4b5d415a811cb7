//! Every history within bounds: the production machine with engines, JetStream, controllers and their platforms.
//!
//! `state` is the world between two steps, `step` what may happen next, `engine` the transaction (the machine and the outbox),
//! `controller` the worker. `check` walks all states breadth first, `random` walks far beyond the bounds. `breaker` walks a breaker by itself, amid the
//! starts of several sessions. A bug is a switch of
//! the model, never of production code: `check` proves that each kind would be found.

mod breaker;
mod check;
mod controller;
mod engine;
mod random;
mod state;
mod step;
