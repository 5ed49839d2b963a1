//! The updates of all matches of a tenant: each once, in the journal's order, whatever the streams.

use std::collections::{BTreeMap, BTreeSet};

use crate::invariants::{DurableUpdate, UpdateChecker};

/// An update among those of all matches: its match and its sequence.
pub type UpdateKey<Id> = (Id, u64);

/// What one follower of all matches has received, over all streams that it opened.
#[derive(Clone, Debug)]
pub struct FollowerHistory<Id> {
    token: String,
    updates: Vec<UpdateKey<Id>>,
    checkers: BTreeMap<Id, UpdateChecker>,
}

impl<Id> Default for FollowerHistory<Id> {
    fn default() -> Self {
        let (updates, checkers) = (Vec::new(), BTreeMap::new());
        Self { token: "earliest".to_owned(), updates, checkers }
    }
}

impl<Id: Clone + Ord> FollowerHistory<Id> {
    /// The token that the next stream resumes with.
    pub fn token(&self) -> String {
        self.token.clone()
    }

    /// Resumes after an update later on, also if the update itself tells nothing new.
    pub fn resume_after(&mut self, token: String) {
        self.token = token;
    }

    /// Checks the next durable update of a match.
    pub fn see(&mut self, id: Id, update: &DurableUpdate<'_>) {
        self.checkers.entry(id.clone()).or_default().check(update);
        self.updates.push((id, update.sequence));
    }

    /// The durable updates, in the order in which they were received.
    pub fn updates(&self) -> &[UpdateKey<Id>] {
        &self.updates
    }
}

/// How the updates that a follower has received differ from the journal's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// How many were not received.
    pub missing: usize,
    /// How many were received again.
    pub repeated: usize,
    /// How many the journal doesn't have, or has for another tenant.
    pub foreign: usize,
    /// How many are not in the journal's order, if nothing else differs.
    pub misplaced: usize,
}

impl Difference {
    /// Compares what was received with all of the journal's updates, by position.
    pub fn of<Id: Ord>(received: &[UpdateKey<Id>], all: &[UpdateKey<Id>]) -> Self {
        if received == all {
            return Self::default();
        }
        let once: BTreeSet<_> = received.iter().collect();
        let known: BTreeSet<_> = all.iter().collect();
        let sets = Self {
            missing: known.difference(&once).count(),
            repeated: received.len() - once.len(),
            foreign: once.difference(&known).count(),
            misplaced: 0,
        };
        if sets != Self::default() {
            return sets;
        }
        let pairs = received.iter().zip(all);
        Self { misplaced: pairs.filter(|(received, stored)| received != stored).count(), ..sets }
    }

    /// Adds the difference of another follower.
    pub fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.foreign += other.foreign;
        self.misplaced += other.misplaced;
    }
}
