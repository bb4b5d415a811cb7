//! Real processes under load and under fire, shared by the load generator and the crash tests.

pub mod account;
pub mod age;
pub mod chaos;
pub mod connection;
pub mod feed;
pub mod load;
pub mod process;
pub mod recovery;
pub mod report;
pub mod stack;
pub mod verify;
