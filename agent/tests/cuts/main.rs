//! The power is cut at every single disk operation of an update: the device always starts a whole version, and ends where an
//! update ends that isn't cut.
//!
//! `cargo xtask cuts` sets `OTTER_CUTS=all` and goes through all of it; without it the tests go through a part.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests stand here"
)]

#[path = "../common/mod.rs"]
mod common;
mod explorer;
mod judge;
mod parts;
mod server;
mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use explorer::{Depth, beginnings, explore, sites};
use world::Story;

/// Every story's worlds after one cut, and a part of those after two and three.
const PART: Depth = Depth {
    second_every: 60,
    third: 10,
};
const ALL: Depth = Depth {
    second_every: 1,
    third: 1000,
};

#[test]
fn every_cut_ends_well() {
    let is_all = std::env::var("OTTER_CUTS").is_ok_and(|cuts| cuts == "all");
    let depth = if is_all { ALL } else { PART };
    let begun = Instant::now();
    let (mut states, mut bad) = (0, Vec::new());
    for story in Story::all() {
        let tally = explore(story, depth, None);
        println!(
            "{:?}, {}, {}, {:?}: {} operations, {} states, {} bad",
            story.kind,
            if story.keeps { "kept" } else { "streamed" },
            if story.is_healthy { "healthy" } else { "sick" },
            story.file_system,
            tally.operations,
            tally.states,
            tally.bad.len()
        );
        states += tally.states;
        bad.extend(tally.bad);
    }
    for bad in bad.iter().take(20) {
        println!("{bad}");
    }
    println!(
        "{states} states, {} bad, {:.1?}",
        bad.len(),
        begun.elapsed()
    );
    assert!(states > 1000 && bad.is_empty());
}

#[test]
fn an_agent_begins_by_syncing_what_a_killed_one_left() {
    for story in Story::all() {
        let (at_risk, settled) = beginnings(story);
        assert!(at_risk > 50, "{story:?}: {at_risk}");
        assert_eq!(at_risk, settled, "{story:?}");
    }
}

#[test]
fn no_sync_and_no_rename_can_be_left_out() {
    let none = Depth {
        second_every: usize::MAX,
        third: 0,
    };
    let deeper = Depth {
        second_every: 10,
        third: 100,
    };
    let stories: Vec<_> = Story::all()
        .into_iter()
        .map(|story| (story, sites(story)))
        .collect();
    let all: BTreeSet<_> = stories.iter().flat_map(|(_, sites)| sites).collect();
    let matters = |site, depth| {
        let mut stories = stories.iter().filter(|(_, sites)| sites.contains(site));
        stories.any(|(story, _)| !explore(*story, depth, Some(*site)).bad.is_empty())
    };
    let useless: Vec<String> = all
        .iter()
        .filter(|site| !matters(site, none) && !matters(site, deeper))
        .map(ToString::to_string)
        .collect();
    println!("{} places that sync or rename", all.len());
    assert!(all.len() > 20, "{all:?}");
    assert!(useless.is_empty(), "these change nothing: {useless:#?}");
}
