//! The agent is a small guest: little memory, whatever it installs, and few wakes while there is nothing to do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "only tests stand here"
)]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::device::Device;
use common::eventually;
use common::publisher::Publisher;
use common::server::{Server, block};
use otter_protocol::ArtifactKind;

const GIB: u64 = 1 << 30;
/// Most KiB of the agent's own data that may be resident at once. The shipped program is under 6 MiB of pages that the system
/// can drop and read again, so that both together stay under 12 MiB. (Those of the program that tests run are not counted:
/// it is ten times as large.)
const MOST_KIB: u64 = 6 << 10;
/// Most times a second that an agent wakes which has nothing to do: its service's log is looked at every five seconds.
const MOST_WAKES: f64 = 3.0;

/// A boot loader that takes every word, and a machine that never goes down.
const BOOT: &str = "#!/bin/sh\ntest \"$1\" != current || echo a\n";

fn device(server: &Server) -> Device {
    let device = Device::bare(server, "", |device| {
        let boot = device.program("boot", BOOT).display().to_string();
        format!(
            "[image]\nslots = [{{name = \"a\", device = \"a\"}}, {{name = \"b\", device = \"b\"}}]\n\
             boot = {{flow = \"command\", command = [\"{boot}\"]}}\ninitial_version = \"1.0.0\"\n\
             [restart]\ncommand = [\"true\"]\n"
        )
    });
    for slot in ["a", "b"] {
        let file = fs::File::create(device.path(slot)).unwrap();
        file.set_len(GIB).unwrap();
    }
    device
}

/// Returns a number of a process's status file; none where it has ended.
fn status(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Looks at the agent's own resident data all the time, and keeps the most that was seen.
struct Scales {
    most: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Scales {
    fn under(pid: i32) -> Self {
        let scales = Self {
            most: Arc::default(),
            looks: Arc::default(),
            is_over: Arc::default(),
        };
        let (most, looks) = (scales.most.clone(), scales.looks.clone());
        let is_over = scales.is_over.clone();
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let anonymous = status(&format!("/proc/{pid}/status"), "RssAnon:");
                most.fetch_max(anonymous.unwrap_or(0), Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        scales
    }
}

impl Drop for Scales {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_is_installed_in_a_few_mebibytes_of_memory() {
    let server = Server::start().await;
    let mut publisher = Publisher::new();
    let mut device = device(&server);
    device.start();
    let pid = device.pid().unwrap().as_raw_nonzero().get();
    let scales = Scales::under(pid);
    let release = publisher.release_of_blocks(ArtifactKind::Image, "1.1.0", GIB);
    server.fleet().files = publisher.files.clone();
    server.offer_blocks(&release, GIB);
    let begun = Instant::now();
    let is_there = || {
        let attempt = device.journal().attempt?;
        attempt.restarting.is_some().then_some(())
    };
    // Longer than other waits: every byte is hashed twice, by a program that isn't optimised.
    while is_there().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "{}",
            device.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.fleet().served as u64, GIB, "every byte went by");
    let (most, looks) = (
        scales.most.load(Ordering::Relaxed),
        scales.looks.load(Ordering::Relaxed),
    );
    println!(
        "{most} KiB of its own at most, seen {looks} times, {:.1?}",
        begun.elapsed()
    );
    assert!(looks > 100 && most > 0, "{looks} looks, {most} KiB");
    assert!(most < MOST_KIB, "{most} KiB");
    let mut piece = vec![0; block().len()];
    let slot = fs::File::open(device.path("b")).unwrap();
    for at in [0, GIB / 2, GIB - block().len() as u64] {
        std::os::unix::fs::FileExt::read_exact_at(&slot, &mut piece, at).unwrap();
        assert!(piece == block(), "at {at}");
    }
}

/// Counts how often all of a process's threads went to sleep, which is how often they woke.
fn wakes(pid: i32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let paths = tasks.map(|task| task.unwrap().path().join("status"));
    paths
        .filter_map(|path| status(path.to_str()?, "voluntary_ctxt_switches:"))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_wakes_for_its_timers_only() {
    let server = Server::start().await;
    let mut device = Device::new(&server);
    for key in ["min", "max"] {
        device.edit(
            &format!("{key}_interval_sec = 0.05"),
            &format!("{key}_interval_sec = 3600"),
        );
    }
    device.start();
    device.answers_with("1.0.0").await;
    let has_checked_in = || (!server.fleet().check_ins.is_empty()).then_some(());
    eventually("a check-in", has_checked_in).await;
    let pid = device.pid().unwrap().as_raw_nonzero().get();
    // What its start left to do is done when two looks in a row see little.
    let mut rate = f64::MAX;
    for _ in 0..5 {
        let (before, begun) = (wakes(pid), Instant::now());
        tokio::time::sleep(Duration::from_secs(6)).await;
        rate = (wakes(pid) - before) as f64 / begun.elapsed().as_secs_f64();
        println!("{rate:.2} wakes a second");
        if rate < MOST_WAKES {
            break;
        }
    }
    assert!(rate < MOST_WAKES, "{rate:.2} wakes a second");
    assert_eq!(server.fleet().check_ins.len(), 1, "it was idle");
}
