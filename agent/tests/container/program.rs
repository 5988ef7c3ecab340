//! The program in the images of the tests: says which version it is, or why it won't live; then lives on.

use std::time::Duration;
use std::{env, fs, process, thread};

fn main() {
    let said = |key: &str| env::var(key).unwrap_or_default();
    let (version, mood) = (said("GREETER"), said("MOOD"));
    if env::args().nth(1).as_deref() == Some("--health") {
        println!("no fish in {version}");
        process::exit(1);
    }
    println!("greeter {version} begins");
    if mood == "broken" {
        eprintln!("out of otters in {version}");
        process::exit(3);
    }
    // The text comes whole or not at all.
    let text = format!(
        "{version} of {} on {}",
        said("OTTER_VERSION"),
        said("OTTER_DEVICE_ID")
    );
    fs::write("/out/new", text).unwrap();
    fs::rename("/out/new", "/out/says").unwrap();
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
