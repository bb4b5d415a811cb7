//! The few rows that nearly every transaction needs: all controllers, and the templates of what is created.
//!
//! One process owns a SQLite file and writes it here alone, so that what one transaction knew when it was committed is what the
//! next one would read. On PostgreSQL others write, too: there nothing is kept.

use std::collections::BTreeMap;

use sea_orm::DbBackend;

use super::batch::{Slot, State};
use crate::store::{controller, template};

/// Templates that are kept at most.
const TEMPLATES: usize = 256;

/// What a transaction knew at its end.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// All controllers, where they were read.
    pub(super) controllers: Option<BTreeMap<String, Slot<controller::Model>>>,
    /// Some templates.
    pub(super) templates: BTreeMap<String, Slot<template::Model>>,
}

impl Known {
    /// What of it the next transaction may take for what it would read.
    pub(super) fn kept(mut self, backend: DbBackend) -> Self {
        if backend != DbBackend::Sqlite {
            return Self::default();
        }
        if self.templates.len() > TEMPLATES {
            self.templates.clear();
        }
        self.controllers.iter_mut().flat_map(BTreeMap::values_mut).for_each(settled);
        self.templates.values_mut().for_each(settled);
        self
    }
}

/// It is written.
fn settled<M>(slot: &mut Slot<M>) {
    slot.state = State::Clean;
}
