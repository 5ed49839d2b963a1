//! Shares one limit among holders, as plain numbers.
//!
//! A part of the limit is set aside: each possible holder has a floor, which no other holder can
//! take. What a holder has above its floor comes from the rest, by the dynamic-threshold rule of
//! shared switch buffers: a holder gets no more once it holds more than is still free. So one
//! greedy holder gets half of the shared part, a second one a quarter, and a holder that has
//! nothing can always take its floor. It deliberately knows neither connections nor what is
//! counted.

/// The part of a limit that is set aside for floors: one fourth.
const FLOOR_PART: usize = 4;

/// A limit, and how much of it is taken.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The amount that every holder may have, however much the others hold.
    floor: usize,
    /// The limit of `shared`.
    shared_max: usize,
    /// What all holders together have above their floors.
    shared: usize,
    /// A holder may have at most this many times the free part.
    factor: usize,
}

impl Pool {
    /// A limit for at most `holders_max` holders.
    pub fn new(limit: usize, holders_max: usize) -> Self {
        let holders_max = holders_max.max(1);
        let floor = limit / FLOOR_PART / holders_max;
        Self { floor, shared_max: limit - floor * holders_max, shared: 0, factor: 1 }
    }

    /// A limit whose total is enforced elsewhere. Nothing is set aside for floors, and what is
    /// within them isn't counted: a holder may have its floor as long as the total allows it.
    pub const fn with_free_floors(limit: usize, floor: usize) -> Self {
        Self { floor, shared_max: limit, shared: 0, factor: 1 }
    }

    /// Lets a holder have twice the free part: two thirds of the limit, if it is alone.
    pub const fn generous(mut self) -> Self {
        self.factor = 2;
        self
    }

    /// How much more a holder of `held` may take in small steps.
    pub fn room(&self, held: usize) -> usize {
        let free = self.shared_max - self.shared;
        let shared = (self.factor * free).saturating_sub(self.above(held)) / (self.factor + 1);
        self.floor.saturating_sub(held) + shared
    }

    /// Takes `more` for a holder of `held`, and returns true, if the rule allows it.
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

    /// Gives back `less` of what a holder of `held` has.
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

    /// One step of a random history.
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
        fn all_holders_together_never_exceed_the_limit((limit, moves) in limit_and_moves()) {
            for held in played(&mut Pool::new(limit, HOLDERS), &moves) {
                prop_assert!(held.iter().sum::<usize>() <= limit, "{held:?}");
            }
        }

        #[test]
        fn every_holder_can_always_take_its_floor((limit, moves) in limit_and_moves()) {
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
        fn everything_given_back_is_free_again((limit, moves) in limit_and_moves()) {
            let mut pool = Pool::new(limit, HOLDERS);
            let held = *played(&mut pool, &moves).last().unwrap();
            for mine in held {
                pool.give_back(mine, mine);
            }
            prop_assert_eq!(pool.shared, 0);
        }

        #[test]
        fn one_holder_leaves_as_much_as_it_gets((limit, steps) in (0_usize..2_000, 1_usize..100)) {
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
    fn a_greedy_holder_gets_half_of_the_shared_part_and_the_next_half_of_the_rest() {
        let mut pool = Pool::new(1_000, 250);
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!(takes_all(), 1 + 375, "its floor, and half of the rest");
        assert_eq!(takes_all(), 1 + 188);
        assert_eq!(takes_all(), 1 + 94);
    }

    #[test]
    fn free_floors_come_on_top_of_the_shared_part() {
        let mut pool = Pool::with_free_floors(100, 30);
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!(takes_all(), 30 + 50);
        assert_eq!(takes_all(), 30 + 25);
        pool.give_back(80, 80);
        pool.give_back(55, 55);
        assert_eq!(pool.shared, 0);
        assert!(Pool::with_free_floors(20, 30).take(0, 30), "the total is enforced elsewhere");
    }

    #[test]
    fn a_generous_pool_gives_two_thirds_to_a_single_holder() {
        let mut pool = Pool::with_free_floors(900, 0).generous();
        let mut takes_all = || (0..).take_while(|held| pool.take(*held, 1)).count();
        assert_eq!((takes_all(), takes_all()), (600, 200));
    }

    #[test]
    fn room_is_what_may_be_taken_in_small_steps() {
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
    fn the_smallest_limit_serves_one_holder() {
        let mut pool = Pool::new(1, 1);
        assert!(pool.take(0, 1) && !pool.take(1, 1));
    }

    #[test]
    fn the_largest_numbers_are_refused_without_overflow() {
        let mut pool = Pool::new(1_000, 10);
        assert!(!pool.take(0, usize::MAX) && !pool.take(10, usize::MAX));
    }
}
