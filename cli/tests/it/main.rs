//! What the binary promises, tried on the binary itself.

mod arguments;
mod children;
mod contexts;
mod dev;
mod exits;
mod fake;
mod help;
mod program;
mod readme;
mod scratchpad;
mod server;
mod terminal;
mod traces;
