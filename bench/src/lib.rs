//! Real processes under load, and under the knife: the parts that the load generator and the crash tests share.

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
