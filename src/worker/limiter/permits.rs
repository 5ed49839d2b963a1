//! Counts the requests in flight. Their limit may change at any time.
//!
//! It deliberately revokes no permit: when the limit shrinks, requests in flight go on, and permits
//! are granted again once fewer are in flight than the new limit.

/// The permits of this replica: its share of the permits of all replicas.
#[derive(Debug)]
pub struct PermitCount {
    /// The permits of all replicas together.
    all: usize,
    replicas: usize,
    share: usize,
    taken: usize,
}

impl PermitCount {
    /// This many permits, and at least one, for the only replica.
    pub fn new(all: usize) -> Self {
        let all = all.max(1);
        Self { all, replicas: 1, share: all, taken: 0 }
    }

    /// Whether a permit is free.
    pub fn has_free(&self) -> bool {
        self.taken < self.share
    }

    /// How many permits are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a free permit.
    pub fn take(&mut self) {
        self.taken += 1;
    }

    /// Takes a permit back.
    pub fn give_back(&mut self) {
        self.taken -= 1;
    }

    /// Keeps to the share of one among `replicas` replicas, and to at least one permit: a replica
    /// without a permit would hold its matches in vain.
    pub fn share_among(&mut self, replicas: usize) {
        self.replicas = replicas.max(1);
        self.share = (self.all / self.replicas).max(1);
    }

    /// Sets the permits of all replicas together.
    pub fn set_all(&mut self, all: usize) {
        self.all = all.max(1);
        self.share_among(self.replicas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all free permits, and returns how many.
    fn takes_all(permits: &mut PermitCount) -> usize {
        let mut taken = 0;
        while permits.has_free() {
            permits.take();
            taken += 1;
        }
        taken
    }

    #[test]
    fn each_replica_has_an_even_share_and_at_least_one_permit() {
        for (replicas, share) in [(1, 10), (2, 5), (3, 3), (10, 1), (11, 1), (4, 2), (0, 10)] {
            let mut permits = PermitCount::new(10);
            permits.share_among(replicas);
            assert_eq!(takes_all(&mut permits), share, "of {replicas} replicas");
        }
    }

    #[test]
    fn a_share_that_shrinks_lets_requests_finish_and_withdraws_their_permits() {
        let mut permits = PermitCount::new(6);
        assert_eq!(takes_all(&mut permits), 6);
        permits.share_among(3);
        for under_way in (2..6).rev() {
            permits.give_back();
            assert!(!permits.has_free(), "{under_way} are under way");
        }
        permits.give_back();
        assert_eq!(takes_all(&mut permits), 1);
    }

    #[test]
    fn a_new_number_of_permits_is_shared_as_the_old_one_was() {
        let mut permits = PermitCount::new(10);
        permits.share_among(2);
        assert_eq!(takes_all(&mut permits), 5);
        permits.set_all(16);
        assert_eq!(takes_all(&mut permits), 3);
        permits.set_all(4);
        assert!(!permits.has_free());
    }

    #[test]
    fn a_share_that_grows_again_has_its_permits_at_once() {
        let mut permits = PermitCount::new(8);
        assert_eq!(takes_all(&mut permits), 8);
        for replicas in [8, 2, 4, 1] {
            permits.share_among(replicas);
            assert!(!permits.has_free());
        }
        permits.give_back();
        assert_eq!(takes_all(&mut permits), 1);
    }
}
