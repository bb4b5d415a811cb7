//! What the binary promises, tried on the binary itself.

mod arguments;
mod children;
mod dev;
mod idleness;
mod program;
mod readme;
mod scratchpad;
mod traces;
