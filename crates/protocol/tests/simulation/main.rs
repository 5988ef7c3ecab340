//! A fleet, its rollouts and a server in memory, under a simulated clock: whatever the devices do, what must hold holds.
//!
//! | file | what |
//! |---|---|
//! | `inputs` | random fleets, plans and orders |
//! | `things` | what devices do: good, failing, flapping, silent, late and lying ones |
//! | `server` | check-ins, grants and reports, as the real server does them |
//! | `engine` | silence, counts and steps |
//! | `witness` | what must hold, from a count of its own |
//! | `world` | the clock that drives them |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod engine;
mod inputs;
mod server;
mod things;
mod witness;
mod world;

use proptest::prelude::*;

use crate::world::World;

/// Small fleets, of which many can be tried.
const SMALL: std::ops::RangeInclusive<usize> = 5..=20;

/// Large ones.
const LARGE: std::ops::RangeInclusive<usize> = 21..=200;

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig {
        cases: number,
        failure_persistence: None,
        max_shrink_iters: 400,
        max_shrink_time: 10_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1_250))]

    #[test]
    fn small_fleets_under_any_plan(input in inputs::any_input(SMALL)) {
        World::new(input).run();
    }
}

proptest! {
    #![proptest_config(cases(700))]

    /// Nothing is out of reach and somebody always goes on: every rollout comes to its end.
    #[test]
    fn what_can_be_reached_comes_to_an_end(input in inputs::reachable_input(SMALL)) {
        World::new(input).run_to_the_end();
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn large_fleets_under_any_plan(input in inputs::any_input(LARGE)) {
        World::new(input).run();
    }
}

#[test]
fn ten_thousand_devices_in_five_phases() {
    World::new(inputs::ten_thousand()).run_to_the_end();
}
