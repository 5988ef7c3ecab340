//! `cargo xtask vm`: updates of a real machine, slot to slot, whose power is cut at random moments and then at every flush.
//!
//! | file | what |
//! |---|---|
//! | `system` | a small root of Debian packages with the agent in it, and images of its versions |
//! | `disk` | the machine's disk: boot loader, two slots, and a file system for data |
//! | `machine` | QEMU, and what the machine says on its serial line |
//! | `world` | server, publisher and machine together |
//! | `updates` | one update after another, each with a power cut at a random moment |
//! | `flushes` | one update recorded, and the machine started from the disk as it was at each flush |
//! | `log_writes` | what QEMU's `blklogwrites` records |

mod disk;
mod flushes;
mod log_writes;
mod machine;
mod system;
mod updates;
mod world;

use anyhow::{Result, ensure};
use clap::Args;

use crate::random::{Random, seed_of_now};
use crate::steps::Steps;
use crate::{build, paths, process, tools};
use world::World;

/// Options of `cargo xtask vm`.
#[derive(Args)]
pub(crate) struct Options {
    /// How many updates are cut at a random moment.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=200))]
    updates: u32,
    /// From how many flushes of a recorded update the machine is started, spread over all of them.
    #[arg(long, value_name = "N", default_value_t = 200)]
    flushes: usize,
    /// From every flush.
    #[arg(long, conflicts_with = "flushes")]
    all: bool,
    /// Repeats the random moments of a run that printed this number.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Takes the programs as they were built last.
    #[arg(long)]
    no_build: bool,
}

/// What a machine needs that is made here.
const PACKAGES: [tools::Package; 5] = [
    tools::QEMU,
    tools::GRUB_PC,
    tools::MMDEBSTRAP,
    tools::FDISK,
    tools::ZSTD,
];

/// Runs the machine; the last line says how many starts there were and how many of them were bad.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the machine's root file system belongs to root: run this as root"
    );
    let seed = options.seed.unwrap_or_else(seed_of_now);
    let mut steps = Steps::new();
    steps.run("packages", || tools::ensure_packages(&PACKAGES))?;
    if !options.no_build {
        build::everything(&mut steps, false)?;
        steps.run("the agent as devices get it", build::agent)?;
    }
    let folder = crate::programs::Folder::fresh("vm")?;
    folder.take_programs(false)?;
    let agent = paths::binaries(true).join("otter-agent");
    let greeter = folder.program("greeter");
    let port = process::lasting_port()?;
    let system = steps.run("a small Debian", || {
        system::System::make(&agent, &greeter, port)
    })?;
    let mut world = steps.run("the machine, enrolled", || {
        World::start(folder, system, port)
    })?;
    eprintln!("repeat the random moments with --seed {seed}");
    let mut random = Random::new(seed);
    let cuts = steps.run("updates with power cuts", || {
        updates::play(&mut world, options.updates, &mut random)
    })?;
    let most = if options.all {
        usize::MAX
    } else {
        options.flushes
    };
    let replay = steps.run("starts from recorded flushes", || {
        flushes::play(&mut world, most)
    })?;
    eprintln!("\n{}\n", steps.table());
    println!("{cuts}");
    println!("{replay}");
    let (starts, bad) = (cuts.starts + replay.starts, cuts.bad + replay.bad);
    println!("{starts} starts, {bad} bad (seed {seed})");
    ensure!(bad == 0, "a machine did not start whole; see above");
    Ok(())
}
