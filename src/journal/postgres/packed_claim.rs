//! A lease's number, and how a claim under it is packed into the epoch of a [`Claim`].
//!
//! It deliberately knows neither whether a lease is alive nor which claim holds.

use sqlx::{Row, postgres::PgRow};

use crate::{domain::MatchId, journal::Claim};

const LEASE_BITS: u32 = 32;
const LENT: u64 = 1 << LEASE_BITS;
const EPOCH_SHIFT: u32 = LEASE_BITS + 1;

/// The number of a lease, greater than zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LeaseId(i32);

impl LeaseId {
    pub(super) const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number, as the database has it.
    pub(super) const fn number(self) -> i32 {
        self.0
    }

    pub(super) const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// From the lowest 32 bits of a claim's epoch.
    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits are the lease")]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self((bits as u32).cast_signed())
    }
}

/// The parts of a [`Claim`]'s epoch in this engine, the most significant first, so that the epoch
/// grows with every takeover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PackedClaim {
    /// The epoch in the match's row.
    pub epoch: i64,
    /// Whether a replica that has the match's photo may take the match over.
    pub lent: bool,
    /// The lease under which the match was claimed.
    pub lease: LeaseId,
}

impl PackedClaim {
    /// The claim of the replica that admits a match.
    pub(super) const fn of_new(lease: LeaseId) -> Self {
        Self { epoch: 1, lent: false, lease }
    }

    pub(super) fn claim(self, match_id: MatchId) -> Claim {
        let lent = if self.lent { LENT } else { 0 };
        let epoch = self.epoch.cast_unsigned() << EPOCH_SHIFT | lent | u64::from(self.lease.bits());
        Claim { match_id, epoch }
    }

    /// From the columns epoch, lent, owner.
    pub(super) fn read(row: &PgRow) -> sqlx::Result<Self> {
        let lease = LeaseId::from_number(row.try_get(2)?);
        Ok(Self { epoch: row.try_get(0)?, lent: row.try_get(1)?, lease })
    }

    pub(super) fn of(claim: Claim) -> Self {
        Self {
            epoch: (claim.epoch >> EPOCH_SHIFT).cast_signed(),
            lent: claim.epoch & LENT != 0,
            lease: LeaseId::from_bits(claim.epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::suite::facts::match_id;

    #[test]
    fn a_packed_claim_is_read_back_from_its_epoch_which_grows_with_every_takeover() {
        let mut former = 0;
        for epoch in [1, 2, 1 << 20, (1 << 30) + 1] {
            for (lent, number) in [(false, 1), (true, i32::MAX), (false, 77)] {
                let hold = PackedClaim { epoch, lent, lease: LeaseId::from_number(number) };
                let claim = hold.claim(match_id(0, 0));
                assert_eq!(PackedClaim::of(claim), hold);
            }
            let claim = PackedClaim { epoch, lent: false, lease: LeaseId::from_number(1) }
                .claim(match_id(0, 0));
            assert!(claim.epoch > former);
            former = claim.epoch;
        }
    }
}
