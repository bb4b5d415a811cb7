//! The promises of the machines: a table of every pair of state and event, and properties over random histories.

mod diagram;
mod histories;
mod table;
mod world;
