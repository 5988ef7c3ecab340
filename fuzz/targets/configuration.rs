//! Whatever a configuration says, it is taken or refused in words.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use otter_agent::config::Config;

fuzz_target!(|text: &str| {
    match Config::parse(text, Path::new("/etc/otter")) {
        Ok(config) => {
            assert!(config.state_dir.is_absolute());
            for failures in [1, 2, 40, u32::MAX] {
                config.retry.ceiling(failures);
            }
            config.check_in.interval(u32::MAX);
        }
        Err(why) => assert!(!why.is_empty()),
    }
});
