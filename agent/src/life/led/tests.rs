use super::*;
use crate::disk::{PUBLIC, SimulatedDisk, make_dirs, read, write_whole};
use crate::testing;

const ALL: [Step; 11] = [
    Step::Checking,
    Step::Downloading,
    Step::Verifying,
    Step::BackingUp,
    Step::Stopping,
    Step::Applying,
    Step::Starting,
    Step::Rebooting,
    Step::HealthCheck,
    Step::Committing,
    Step::RollingBack,
];

#[test]
fn every_state_has_its_pattern() {
    for step in ALL {
        let expected = match step {
            Step::Checking | Step::Downloading | Step::Verifying | Step::BackingUp => SLOW,
            _ => FAST,
        };
        for has_failed in [false, true] {
            for idle in [IdleLed::Steady, IdleLed::Off] {
                assert_eq!(pattern(Some(step), has_failed, idle), expected, "{step}");
            }
        }
    }
    let table = [
        (false, IdleLed::Steady, Pattern::Steady),
        (false, IdleLed::Off, Pattern::Off),
        (true, IdleLed::Steady, FLASH),
        (true, IdleLed::Off, FLASH),
    ];
    for (has_failed, idle, expected) in table {
        assert_eq!(pattern(None, has_failed, idle), expected);
    }
}

/// A lamp as the kernel shows one, that remembers everything that was written to it.
struct Lamp {
    disk: Arc<SimulatedDisk>,
    led: Led,
}

const FILES: [&str; 4] = ["trigger", "brightness", "delay_on", "delay_off"];

impl Lamp {
    fn new() -> Self {
        let disk = Arc::new(SimulatedDisk::default());
        let folder = Path::new("/sys/class/leds/ACT");
        make_dirs(disk.as_ref(), folder).unwrap();
        for name in FILES {
            write_whole(disk.as_ref(), &folder.join(name), b"", PUBLIC).unwrap();
        }
        write_whole(
            disk.as_ref(),
            &folder.join("max_brightness"),
            b"255\n",
            PUBLIC,
        )
        .unwrap();
        let config = LedConfig {
            name: "ACT".to_owned(),
            idle: IdleLed::Steady,
        };
        let led = Led::new(disk.clone(), Path::new("/sys/class/leds"), &config, false);
        Self { disk, led }
    }

    /// Returns what was written since the last time.
    fn written(&self) -> String {
        let mut all = Vec::new();
        for name in FILES {
            let path = Path::new("/sys/class/leds/ACT").join(name);
            let text = read(self.disk.as_ref(), &path, 4096).unwrap().unwrap();
            let text = String::from_utf8(text).unwrap();
            all.extend(text.lines().map(|line| format!("{name}={line}")));
            write_whole(self.disk.as_ref(), &path, b"", PUBLIC).unwrap();
        }
        all.join(" ")
    }

    fn ends(&self, outcome: AttemptState) {
        let mut record = crate::journal::Record {
            attempt: Some(testing::attempt(Step::HealthCheck)),
            ..Default::default()
        };
        record.report(outcome, None, None, None);
        let last = record.outbox.pop().unwrap();
        let attempt = record.attempt.unwrap();
        self.led.attempt_ended(&Ended::new(&attempt, None, last));
        self.led.idle();
    }
}

#[test]
fn it_is_written_when_it_changes_and_only_then() {
    const STEADY: &str = "trigger=none brightness=255";
    const SLOW: &str = "trigger=timer delay_on=1000 delay_off=1000";
    const FAST: &str = "trigger=timer delay_on=100 delay_off=100";
    const FLASH: &str = "trigger=timer delay_on=100 delay_off=1900";
    let lamp = Lamp::new();
    let begin = |step| lamp.led.step_begun(&testing::attempt(step));
    lamp.led.idle();
    assert_eq!(lamp.written(), STEADY);
    lamp.led.idle();
    assert_eq!(lamp.written(), "");
    begin(Step::Checking);
    assert_eq!(lamp.written(), SLOW);
    begin(Step::Downloading);
    assert_eq!(lamp.written(), "");
    begin(Step::Stopping);
    assert_eq!(lamp.written(), FAST);
    begin(Step::RollingBack);
    assert_eq!(lamp.written(), "");
    lamp.ends(AttemptState::RolledBack);
    assert_eq!(lamp.written(), FLASH);
    begin(Step::Checking);
    assert_eq!(lamp.written(), SLOW);
    lamp.ends(AttemptState::Cancelled);
    assert_eq!(lamp.written(), FLASH, "until the next success");
    begin(Step::Applying);
    lamp.ends(AttemptState::Succeeded);
    assert_eq!(
        lamp.written(),
        "trigger=timer trigger=none brightness=255 delay_on=100 delay_off=100"
    );
}

#[test]
fn a_lamp_that_is_not_there_is_no_matter() {
    let config = LedConfig {
        name: "none".to_owned(),
        idle: IdleLed::Off,
    };
    let disk = Arc::new(SimulatedDisk::default());
    let led = Led::new(disk, Path::new("/sys/class/leds"), &config, true);
    led.idle();
    led.step_begun(&testing::attempt(Step::Checking));
    let state = led.state.lock().unwrap();
    assert!(state.has_complained && state.shown.is_none());
}
