//! What opening a journal would do to its store.

/// What opening a journal would do. Nothing of it has been done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preview {
    /// It would create the journal: there is none yet.
    Create,
    /// It would bring the journal's schema to this version.
    Migrate {
        /// The schema's version now.
        from: usize,
        /// Its version then.
        to: usize,
    },
    /// It would add columns or indexes that an earlier version lacks; the schema's version stays.
    Extend,
    /// It would change nothing of the schema.
    Open,
}

impl Preview {
    /// For a store whose schema has the version `found`, zero if there is none.
    pub(super) const fn of(found: usize, known: usize) -> Self {
        match found {
            0 => Self::Create,
            from if from < known => Self::Migrate { from, to: known },
            _ => Self::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_schema_is_migrated_and_none_created() {
        assert_eq!(Preview::of(0, 2), Preview::Create);
        assert_eq!(Preview::of(1, 2), Preview::Migrate { from: 1, to: 2 });
        assert_eq!(Preview::of(2, 2), Preview::Open);
    }
}
