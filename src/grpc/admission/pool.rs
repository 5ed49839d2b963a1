//! How one limit is shared out among connections, as plain numbers.
//!
//! A part of the limit is set aside: each connection that there may be has a floor, which no other
//! connection can take. What a connection holds above its floor comes from the rest, by the rule
//! that shared buffers of switches follow (dynamic threshold): a connection gets no more once it
//! holds more than is still free. So one hog gets half of the shared part, a second one a quarter,
//! and a connection that holds nothing always has its floor. It deliberately knows neither connections
//! nor what is counted.

/// The part of a limit that is set aside for floors: one fourth.
const FLOOR_PART: usize = 4;

/// A limit, and how much of it is taken.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What every holder may have whatever the others hold.
    floor: usize,
    shared_max: usize,
    /// What holders have above their floors.
    shared: usize,
    /// How many times what is still free a holder may have.
    factor: usize,
}

impl Pool {
    /// A limit for at most so many holders.
    pub fn new(limit: usize, holders_max: usize) -> Self {
        let holders_max = holders_max.max(1);
        let floor = limit / FLOOR_PART / holders_max;
        Self { floor, shared_max: limit - floor * holders_max, shared: 0, factor: 1 }
    }

    /// A limit that is bounded elsewhere as a whole, where each holder may have as much as the floor
    /// while the others hold less than all: nothing is set aside for floors, and what is within
    /// them isn't counted.
    pub const fn with_free_floors(limit: usize, floor: usize) -> Self {
        Self { floor, shared_max: limit, shared: 0, factor: 1 }
    }

    /// The same where a holder may have twice what is still free: two thirds, if it is alone.
    pub const fn generous(mut self) -> Self {
        self.factor = 2;
        self
    }

    /// How much more a holder of `held` may take, bit by bit.
    pub fn room(&self, held: usize) -> usize {
        let free = self.shared_max - self.shared;
        let shared = (self.factor * free).saturating_sub(self.above(held)) / (self.factor + 1);
        self.floor.saturating_sub(held) + shared
    }

    /// Whether a holder of `held` may take so much more; then it is taken.
    pub fn take(&mut self, held: usize, more: usize) -> bool {
        let Some(wanted) = held.checked_add(more) else { return false };
        let above = self.above(held);
        let growth = self.above(wanted) - above;
        let free = self.shared_max - self.shared;
        let may =
            growth == 0 || free.checked_sub(growth).is_some_and(|rest| above <= self.factor * rest);
        self.shared += if may { growth } else { 0 };
        may
    }

    /// A holder of `held` gives so much back.
    pub fn give_back(&mut self, held: usize, less: usize) {
        self.shared -= self.above(held) - self.above(held - less);
    }

    fn above(&self, held: usize) -> usize {
        held.saturating_sub(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLDERS: usize = 5;

    /// One thing that a holder does.
    #[derive(Clone, Copy, Debug)]
    struct Move {
        holder: usize,
        amount: usize,
        takes: bool,
    }

    fn moves(limit: usize) -> impl Strategy<Value = Vec<Move>> {
        let one = (0..HOLDERS, 0..=limit, any::<bool>());
        let one = one.prop_map(|(holder, amount, takes)| Move { holder, amount, takes });
        prop::collection::vec(one, 0..200)
    }

    fn played(pool: &mut Pool, moves: &[Move]) -> Vec<[usize; HOLDERS]> {
        let mut held = [0; HOLDERS];
        let mut states = vec![held];
        for one in moves {
            let mine = &mut held[one.holder];
            if !one.takes {
                let less = one.amount.min(*mine);
                pool.give_back(*mine, less);
                *mine -= less;
            } else if pool.take(*mine, one.amount) {
                *mine += one.amount;
            }
            states.push(held);
        }
        states
    }

    fn limit_and_moves() -> impl Strategy<Value = (usize, Vec<Move>)> {
        (0_usize..2_000).prop_flat_map(|limit| (Just(limit), moves(limit)))
    }

    proptest! {
        #[test]
        fn all_together_never_hold_more_than_the_limit((limit, moves) in limit_and_moves()) {
            for held in played(&mut Pool::new(limit, HOLDERS), &moves) {
                prop_assert!(held.iter().sum::<usize>() <= limit, "{held:?}");
            }
        }

        #[test]
        fn a_newcomer_always_has_its_floor((limit, moves) in limit_and_moves()) {
            let floor = limit / FLOOR_PART / HOLDERS;
            for count in 0..=moves.len() {
                let mut pool = Pool::new(limit, HOLDERS);
                let held = *played(&mut pool, &moves[..count]).last().unwrap();
                for mine in held {
                    prop_assert!(mine > floor || pool.take(mine, floor - mine), "{held:?}");
                }
            }
        }

        #[test]
        fn everything_returns((limit, moves) in limit_and_moves()) {
            let mut pool = Pool::new(limit, HOLDERS);
            let held = *played(&mut pool, &moves).last().unwrap();
            for mine in held {
                pool.give_back(mine, mine);
            }
            prop_assert_eq!(pool.shared, 0);
        }

        #[test]
        fn one_hog_leaves_as_much_as_it_gets((limit, steps) in (0_usize..2_000, 1_usize..100)) {
            let mut pool = Pool::new(limit, HOLDERS);
            let mut held = 0;
            while pool.take(held, steps) {
                held += steps;
            }
            let above = held.saturating_sub(pool.floor);
            prop_assert!(above <= pool.shared_max - pool.shared + steps);
        }
    }

    #[test]
    fn a_hog_gets_half_of_what_is_shared_and_the_next_one_half_of_the_rest() {
        let mut pool = Pool::new(1_000, 250);
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!(takes_all(), 1 + 375, "its floor, and half of the rest");
        assert_eq!(takes_all(), 1 + 188);
        assert_eq!(takes_all(), 1 + 94);
    }

    #[test]
    fn free_floors_come_beside_what_is_shared() {
        let mut pool = Pool::with_free_floors(100, 30);
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!(takes_all(), 30 + 50);
        assert_eq!(takes_all(), 30 + 25);
        pool.give_back(80, 80);
        pool.give_back(55, 55);
        assert_eq!(pool.shared, 0);
        assert!(Pool::with_free_floors(20, 30).take(0, 30), "a limit elsewhere is for that");
    }

    #[test]
    fn a_generous_pool_gives_two_thirds_to_one() {
        let mut pool = Pool::with_free_floors(900, 0).generous();
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!((takes_all(), takes_all()), (600, 200));
    }

    #[test]
    fn room_is_what_may_be_taken_bit_by_bit() {
        for pool in [Pool::new(1_000, 10), Pool::with_free_floors(1_000, 0).generous()] {
            for held in [0, 10, 100, 300] {
                let mut pool = pool.clone();
                assert!(pool.take(0, held));
                let room = pool.room(held);
                let taken = (held..).take_while(|held| pool.take(*held, 1)).count();
                assert!(taken.abs_diff(room) <= 2, "{held}: {room} and {taken}");
            }
        }
    }

    #[test]
    fn the_least_limit_serves_one() {
        let mut pool = Pool::new(1, 1);
        assert!(pool.take(0, 1) && !pool.take(1, 1));
    }

    #[test]
    fn no_number_is_too_large_to_be_refused() {
        let mut pool = Pool::new(1_000, 10);
        assert!(!pool.take(0, usize::MAX) && !pool.take(10, usize::MAX));
    }
}
