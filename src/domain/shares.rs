//! How tenants share one of the server's limits, so that a tenant that floods the server takes
//! nothing that another tenant needs.
//!
//! The rule: half of the limit is guaranteed, in equal parts, to the tenants that the operator has
//! named, and the other half is common. What a tenant holds beyond its guarantee counts against the
//! common half. A single tenant may hold everything. Without named tenants everything is common.
//! Beside that, a tenant may have a limit of its own.
//!
//! It deliberately doesn't know what is counted.

use std::collections::HashMap;

use crate::domain::{TenantId, Tenants};

/// One limit, and what each tenant holds of it.
#[derive(Debug)]
pub struct TenantShares {
    total: usize,
    /// The tenants for whom `common` was summed up.
    tenants: Tenants,
    held: HashMap<TenantId, usize>,
    held_in_all: usize,
    /// What all tenants together hold beyond their guarantees.
    common: usize,
}

/// Which limit is exhausted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Exhausted {
    /// The tenant's own limit.
    #[error("the tenant is at its own limit")]
    Own,
    /// The half that the tenants have in common.
    #[error("the part that tenants share is taken")]
    Common,
}

impl TenantShares {
    /// A limit of which nothing is held.
    pub fn new(total: usize) -> Self {
        let (tenants, held) = (Tenants::default(), HashMap::new());
        Self { total, tenants, held, held_in_all: 0, common: 0 }
    }

    /// The limit.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Sets the limit. What was taken before stays, so all together may hold more than the limit
    /// until it is given back.
    pub fn set_total(&mut self, total: usize) {
        self.total = total;
        self.count_common();
    }

    /// What all tenants together hold.
    pub fn held(&self) -> usize {
        self.held_in_all
    }

    /// What each tenant holds.
    pub fn by_tenant(&self) -> HashMap<TenantId, usize> {
        self.held.clone()
    }

    /// Takes an amount for a tenant whose own limit is `own_max`, with the tenants of this moment.
    ///
    /// # Errors
    /// Which limit is exhausted. Nothing is taken then.
    pub fn take(
        &mut self,
        tenant: &TenantId,
        amount: usize,
        own_max: Option<usize>,
        tenants: &Tenants,
    ) -> Result<(), Exhausted> {
        self.adopt(tenants);
        let held = self.held_by(tenant);
        let wanted = held.checked_add(amount).ok_or(Exhausted::Common)?;
        if own_max.is_some_and(|max| wanted > max) {
            return Err(Exhausted::Own);
        }
        let guarantee = self.guarantee(tenant);
        let growth = wanted.saturating_sub(guarantee) - held.saturating_sub(guarantee);
        if growth > self.common_max().saturating_sub(self.common) {
            return Err(Exhausted::Common);
        }
        self.set(tenant, held, wanted);
        Ok(())
    }

    /// Counts an amount that a tenant holds in any case, also beyond all limits.
    pub fn force(&mut self, tenant: &TenantId, amount: usize, tenants: &Tenants) {
        self.adopt(tenants);
        let held = self.held_by(tenant);
        self.set(tenant, held, held.saturating_add(amount));
    }

    /// Gives back a part of what a tenant holds.
    pub fn give_back(&mut self, tenant: &TenantId, amount: usize) {
        let held = self.held_by(tenant);
        self.set(tenant, held, held.saturating_sub(amount));
    }

    /// Whether a tenant may take an amount however much the others hold, and there are others.
    pub fn is_set_aside(&mut self, tenant: &TenantId, amount: usize, tenants: &Tenants) -> bool {
        self.adopt(tenants);
        let wanted = self.held_by(tenant).saturating_add(amount);
        self.tenants.count() > 1 && wanted <= self.guarantee(tenant)
    }

    /// Goes on with the tenants of this moment. What was taken before stays, so all together may
    /// hold more than the limit until it is given back.
    fn adopt(&mut self, tenants: &Tenants) {
        if self.tenants.is_same(tenants) {
            return;
        }
        self.tenants = tenants.clone();
        self.count_common();
    }

    fn count_common(&mut self) {
        let beyond =
            |(tenant, held): (&TenantId, &usize)| held.saturating_sub(self.guarantee(tenant));
        self.common = self.held.iter().map(beyond).sum();
    }

    fn set(&mut self, tenant: &TenantId, held: usize, wanted: usize) {
        let guarantee = self.guarantee(tenant);
        let beyond = |amount: usize| amount.saturating_sub(guarantee);
        self.common = self.common - beyond(held) + beyond(wanted);
        self.held_in_all = self.held_in_all - held + wanted;
        match self.held.get_mut(tenant) {
            Some(_) if wanted == 0 => {
                self.held.remove(tenant);
            }
            Some(amount) => *amount = wanted,
            None if wanted == 0 => {}
            None => {
                self.held.insert(tenant.clone(), wanted);
            }
        }
    }

    fn held_by(&self, tenant: &TenantId) -> usize {
        self.held.get(tenant).copied().unwrap_or(0)
    }

    /// A tenant that isn't named any more may still have matches; nothing is set aside for it.
    fn guarantee(&self, tenant: &TenantId) -> usize {
        if self.tenants.has(tenant) { self.total / 2 / self.tenants.count() } else { 0 }
    }

    fn common_max(&self) -> usize {
        let named = if self.tenants.is_empty() { 0 } else { self.tenants.count() };
        self.total - self.total / 2 / self.tenants.count() * named
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::TenantTerms;

    const TENANTS: usize = 5;

    /// One step of a random history.
    #[derive(Clone, Copy, Debug)]
    enum Move {
        Takes {
            tenant: usize,
            amount: usize,
            own_max: Option<usize>,
        },
        GivesBack {
            tenant: usize,
            amount: usize,
        },
        /// The operator names so many tenants from now on.
        Named(usize),
    }

    fn tenant(nth: usize) -> TenantId {
        TenantId::from_stored(&format!("tenant-{nth}"))
    }

    /// So many named tenants.
    fn named(count: usize) -> Tenants {
        Tenants::new((0..count).map(|nth| (tenant(nth), TenantTerms::default())).collect())
    }

    fn moves(total: usize) -> impl Strategy<Value = Vec<Move>> {
        let takes = (0..TENANTS, 0..=total, prop::option::weighted(0.2, 0..=total))
            .prop_map(|(tenant, amount, own_max)| Move::Takes { tenant, amount, own_max });
        let gives =
            (0..TENANTS, 0..=total).prop_map(|(tenant, amount)| Move::GivesBack { tenant, amount });
        prop::collection::vec(prop_oneof![3 => takes, 2 => gives], 0..200)
    }

    fn total_and_moves() -> impl Strategy<Value = (usize, Vec<Move>)> {
        (0_usize..2_000).prop_flat_map(|total| (Just(total), moves(total)))
    }

    /// What each tenant holds after a history.
    fn played(shares: &mut TenantShares, names: usize, moves: &[Move]) -> [usize; TENANTS] {
        let (mut held, mut tenants) = ([0; TENANTS], named(names));
        for one in moves {
            match *one {
                Move::Takes { tenant: nth, amount, own_max } => {
                    match shares.take(&tenant(nth), amount, own_max, &tenants) {
                        Ok(()) => held[nth] += amount,
                        Err(Exhausted::Own) => assert!(held[nth] + amount > own_max.unwrap()),
                        Err(Exhausted::Common) => {}
                    }
                }
                Move::GivesBack { tenant: nth, amount } => {
                    let less = amount.min(held[nth]);
                    shares.give_back(&tenant(nth), less);
                    held[nth] -= less;
                }
                Move::Named(count) => tenants = named(count),
            }
            assert_eq!(shares.held(), held.iter().sum::<usize>());
        }
        held
    }

    proptest! {
        #[test]
        fn all_tenants_together_never_exceed_the_limit(
            (total, moves) in total_and_moves(),
            names in 0..=TENANTS,
        ) {
            for count in 0..=moves.len() {
                let mut shares = TenantShares::new(total);
                let held = played(&mut shares, names, &moves[..count]);
                prop_assert!(held.iter().sum::<usize>() <= total, "{held:?}");
            }
        }

        #[test]
        fn every_named_tenant_can_always_take_its_guarantee(
            (total, moves) in total_and_moves(),
            names in 1..=TENANTS,
        ) {
            let guarantee = total / (2 * names);
            let mut shares = TenantShares::new(total);
            let held = played(&mut shares, names, &moves);
            for (nth, held) in held.into_iter().enumerate().take(names) {
                let missing = guarantee.saturating_sub(held);
                let taken = shares.take(&tenant(nth), missing, None, &named(names));
                prop_assert_eq!(taken, Ok(()));
            }
        }

        #[test]
        fn a_single_tenant_has_everything((total, moves) in total_and_moves(), names in 0..=1_usize) {
            let only = |it: &Move| match *it {
                Move::Takes { amount, .. } => Move::Takes { tenant: 0, amount, own_max: None },
                Move::GivesBack { amount, .. } => Move::GivesBack { tenant: 0, amount },
                Move::Named(_) => *it,
            };
            let mut shares = TenantShares::new(total);
            let moves: Vec<_> = moves.iter().map(only).collect();
            let held = played(&mut shares, names, &moves)[0];
            let tenants = named(names);
            prop_assert_eq!(shares.take(&tenant(0), total - held, None, &tenants), Ok(()));
            prop_assert_eq!(shares.take(&tenant(0), 1, None, &tenants), Err(Exhausted::Common));
        }

        #[test]
        fn everything_given_back_is_free_again_whatever_tenants_were_named(
            (total, moves) in total_and_moves(),
            names in prop::collection::vec((any::<prop::sample::Index>(), 0..=TENANTS), 0..10),
        ) {
            let mut moves = moves;
            for (at, count) in names {
                let at = at.index(moves.len() + 1);
                moves.insert(at, Move::Named(count));
            }
            let mut shares = TenantShares::new(total);
            let held = played(&mut shares, 2, &moves);
            for (nth, held) in held.into_iter().enumerate() {
                shares.give_back(&tenant(nth), held);
            }
            prop_assert_eq!((shares.held(), shares.common), (0, 0));
            prop_assert!(shares.held.is_empty());
        }
    }

    #[test]
    fn a_flooding_tenant_gets_its_guarantee_and_the_common_half() {
        let (mut shares, tenants) = (TenantShares::new(100), named(5));
        let flood = (0..).take_while(|_| shares.take(&tenant(0), 1, None, &tenants).is_ok());
        assert_eq!(flood.count(), 10 + 50);
        assert_eq!(shares.take(&tenant(1), 11, None, &tenants), Err(Exhausted::Common));
        assert_eq!(shares.take(&tenant(1), 10, None, &tenants), Ok(()));
        assert_eq!(shares.take(&tenant(9), 1, None, &tenants), Err(Exhausted::Common));
    }

    #[test]
    fn what_is_forced_counts_and_leaves_the_guarantees_of_others() {
        let (mut shares, tenants) = (TenantShares::new(8), named(2));
        shares.force(&tenant(0), 20, &tenants);
        assert_eq!(shares.held(), 20);
        assert_eq!(shares.take(&tenant(0), 1, None, &tenants), Err(Exhausted::Common));
        assert!(shares.is_set_aside(&tenant(1), 2, &tenants));
        assert!(!shares.is_set_aside(&tenant(1), 3, &tenants));
        assert_eq!(shares.take(&tenant(1), 2, None, &tenants), Ok(()));
        assert_eq!(shares.take(&tenant(1), 1, None, &tenants), Err(Exhausted::Common));
    }

    #[test]
    fn a_single_tenant_has_no_others_for_whom_something_is_set_aside() {
        let mut shares = TenantShares::new(8);
        assert!(!shares.is_set_aside(&tenant(0), 1, &named(1)));
    }

    #[test]
    fn the_largest_amounts_are_refused_without_overflow() {
        let (mut shares, tenants) = (TenantShares::new(8), named(2));
        assert_eq!(shares.take(&tenant(0), 1, None, &tenants), Ok(()));
        let all = shares.take(&tenant(0), usize::MAX, None, &tenants);
        assert_eq!(all, Err(Exhausted::Common));
    }
}
