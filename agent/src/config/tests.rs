use std::time::Duration;

use super::*;
use crate::config::BootloaderVersion as Says;

const SMALL: &str = "server = \"http://127.0.0.1:8080\"\ndevice_id = \"gw-1\"\nmodel = \"rpi4\"\n\
    state_dir = \"state\"\n[bundle]\nroot = \"/opt/greeter\"\n";

fn refusal(text: &str) -> String {
    Config::parse(text, Path::new("/etc")).unwrap_err()
}

#[test]
fn a_small_one_is_enough_and_paths_stand_beside_the_file() {
    let config = Config::parse(SMALL, Path::new("/etc")).unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/state"));
    assert_eq!(config.check_in.interval(0), Duration::from_secs(1));
    assert_eq!(config.check_in.interval(60), Duration::from_secs(60));
    assert_eq!(config.bundle.unwrap().root, Path::new("/opt/greeter"));
}

#[test]
fn the_example_is_valid() {
    let example = include_str!("../../otter-agent.example.toml");
    let config = Config::parse(example, Path::new("/etc")).unwrap();
    assert_eq!(config.health.check.len(), 3);
}

#[test]
fn the_examples_links_are_valid_without_their_comment_signs() {
    let example = include_str!("../../otter-agent.example.toml");
    let (_, links) = example.split_once("# [[link]]").unwrap();
    let (links, _) = links.split_once("\n\n").unwrap();
    let links = links.replace("\n# ", "\n").replace("\n#", "\n");
    let text = format!("{SMALL}[[link]]{links}\n");
    let config = Config::parse(&text, Path::new("/etc")).unwrap();
    let names: Vec<&str> = config.link.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["wifi", "modem", "lora"]);
}

#[test]
fn unknown_keys_are_named_with_their_line_wherever_they_stand() {
    let tables = [
        ("", "colour"),
        ("[check_in]\n", "colour"),
        ("[download]\n", "colour"),
        ("[health]\n", "colour"),
        ("[policy]\n", "colour"),
        ("[[health.check]]\nkind = \"process\"\n", "colour"),
        ("[bundle.service]\ncommand = [\"x\"]\n", "colour"),
    ];
    for (table, key) in tables {
        let (text, line) = if table.is_empty() {
            (format!("{key} = 1\n{SMALL}"), 1)
        } else {
            let text = format!("{SMALL}{table}{key} = 1\n");
            let line = text.lines().count();
            (text, line)
        };
        let error = refusal(&text);
        assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
        assert!(error.contains(&format!("line {line}")), "{error}");
    }
}

#[test]
fn nonsense_is_refused_in_words() {
    let cases = [
        (SMALL.replace("http://", "ftp://"), "http://"),
        (SMALL.replace("gw-1", " "), "device id"),
        (format!("{SMALL}initial = \"x\"\n"), "go together"),
        (
            format!("{SMALL}[bundle.service]\ncommand = []\n"),
            "program",
        ),
        (format!("{SMALL}[retry]\nbase_sec = -1\n"), "seconds"),
        (
            format!("{SMALL}[check_in]\nmin_interval_sec = 2\nmax_interval_sec = 0.5\n"),
            "more than",
        ),
        (
            format!("{SMALL}[health]\nsettle_sec = 60\n"),
            "less than `health.deadline_sec`",
        ),
        (format!("proxy = \"socks5://x\"\n{SMALL}"), "`proxy`"),
        (
            format!("{SMALL}[download]\nconnect_timeout_sec = 0\n"),
            "more than 0",
        ),
        (
            format!("{SMALL}[download]\nmax_bytes_per_sec = 0\n"),
            "nonzero",
        ),
        (
            format!("{SMALL}[[health.check]]\nkind = \"http\"\n"),
            "number 1: needs `url`",
        ),
        (
            format!("{SMALL}[[health.check]]\nkind = \"process\"\n"),
            "bundle.service",
        ),
    ];
    for (text, words) in cases {
        let error = refusal(&text);
        assert!(error.contains(words), "{error}");
    }
}

/// The example with a section that stands there as a comment, in place of the bundle.
fn example_with(section: &str) -> Config {
    let example = include_str!("../../otter-agent.example.toml");
    let (head, rest) = example.split_once("[bundle]\n").unwrap();
    let begin = rest.find(&format!("# [{section}]\n")).unwrap();
    let lines = rest[begin..].lines().take_while(|line| !line.is_empty());
    // Keys and tables; what explains them stays a comment.
    let plain: String = lines
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .map(|line| format!("{line}\n"))
        .collect();
    Config::parse(&format!("{head}{plain}"), Path::new("/etc")).unwrap()
}

#[test]
fn what_the_example_shows_as_defaults_is_so() {
    let shown = example_with("firmware").firmware.unwrap();
    let text = SMALL.replace(
        "[bundle]\nroot = \"/opt/greeter\"",
        "[firmware]\nflash = [\"f\", \"{artifact}\"]\nread_version = [\"v\"]",
    );
    let small = Config::parse(&text, Path::new("/etc")).unwrap();
    let is = small.firmware.unwrap();
    assert_eq!(shown.extension, is.extension);
    assert_eq!(shown.flash_timeout(), is.flash_timeout());
    assert_eq!(shown.read_timeout(), is.read_timeout());
    assert_eq!(shown.read_interval(), is.read_interval());
    assert_eq!(shown.read_back(), is.read_back());
    let module = example_with("module").module.unwrap();
    assert_eq!(module.timeout(Verb::Commit), Duration::from_secs(300));
    assert_eq!(module.timeout(Verb::Apply), Duration::from_secs(1800));
    assert_eq!(module.executable, Path::new("/usr/lib/otter/single-file"));
}

#[test]
fn commands_that_can_not_work_are_refused() {
    let refused =
        |section: &str| refusal(&SMALL.replace("[bundle]\nroot = \"/opt/greeter\"", section));
    let flash = "flash = [\"f\", \"{artifact}\"]\nread_version = [\"v\"]";
    let table = [
        (
            "[firmware]\nflash = [\"f\"]\nread_version = [\"v\"]".to_owned(),
            "`{artifact}`",
        ),
        (
            format!("[firmware]\n{flash}\nread_out = [\"r\"]"),
            "`{file}`",
        ),
        (
            format!("[firmware]\n{flash}\nextension = \"../x\""),
            "letters and digits",
        ),
        (
            "[module]\nexecutable = \"m\"\ntimeout_sec = 0".to_owned(),
            "more than 0",
        ),
        (
            "[module]\nexecutable = \"m\"\nverb_timeout_sec = { fly = 1 }".to_owned(),
            "fly",
        ),
        (
            format!("[module]\nexecutable = \"m\"\n[firmware]\n{flash}"),
            "both there",
        ),
    ];
    for (section, words) in table {
        let error = refused(&section);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn links_keep_their_order_and_nonsense_in_them_is_refused() {
    let link = |rest: &str| format!("{SMALL}[[link]]\nname = \"wifi\"\n{rest}");
    let good = link(
        "kind = \"wifi\"\ninterface = \"wlan0\"\n[[link]]\nname = \"lte\"\nkind = \"cellular\"\n\
         source = \"10.0.0.5\"\nis_metered = true\nprice_per_mib = 0.05\nprobe_timeout_sec = 2.5\n\
         [metered]\nmax_cost = 1\n",
    );
    let config = Config::parse(&good, Path::new("/etc")).unwrap();
    let names: Vec<&str> = config.link.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["wifi", "lte"]);
    assert_eq!(config.link[0].kind, LinkKind::Wifi);
    assert_eq!(
        config.link[1].probe_timeout(),
        Some(Duration::from_millis(2500))
    );
    assert_eq!(config.metered.max_cost.unwrap().to_string(), "1");
    let crowd: String = (0..61).map(|n| format!("k{n} = \"v\"\n")).collect();
    let cases = [
        (link("colour = 1\n"), "unknown field `colour`"),
        (link("kind = \"smoke\"\n"), "unknown variant `smoke`"),
        (link("interface = \"../eth0\"\n"), "number 1: `interface`"),
        (link("source = \"home\"\n"), "IP address"),
        (link("price_per_mib = 1\n"), "is_metered = true"),
        (link("is_metered = true\nprice_per_mib = -1\n"), "no price"),
        (link("probe_timeout_sec = 0\n"), "more than 0"),
        (
            link("[[link]]\nname = \"wifi\"\n"),
            "number 2: another link",
        ),
        (link("[[link]]\nname = \"\"\n"), "number 2: `name`"),
        (link(&format!("[metadata]\n{crowd}")), "more than 60 keys"),
        (format!("{SMALL}[metered]\ncolour = 1\n"), "unknown field"),
    ];
    for (text, words) in cases {
        let error = refusal(&text);
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn back_off_grows_to_its_ceiling() {
    let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(10));
    let ceilings: Vec<u64> = (1..7).map(|n| policy.ceiling(n).as_secs()).collect();
    assert_eq!(ceilings, [1, 2, 4, 8, 10, 10]);
    assert_eq!(policy.ceiling(u32::MAX).as_secs(), 10);
}

#[test]
fn checks_have_the_keys_of_their_kind_and_no_others() {
    let good = [
        "kind = 'tcp'\naddress = '[::1]:80'",
        "kind = 'mqtt'\naddress = 'broker:1883'\nuser = 'a'\npassword_file = 'p'\ngrace_sec = 5",
        "kind = 'unit'\nunit = 'getty@tty1.service'",
        "kind = 'file_age'\npath = 'alive'\nmax_age_sec = 60",
    ];
    for check in good {
        let text = format!("{SMALL}[[health.check]]\n{check}\n");
        let config = Config::parse(&text, Path::new("/etc")).unwrap();
        let probe = config.health.check[0].probe().unwrap();
        match probe {
            Probe::Mqtt(login) => assert_eq!(login.password_file.unwrap(), Path::new("/etc/p")),
            Probe::FileAge { path, .. } => assert_eq!(path, Path::new("/etc/alive")),
            Probe::Tcp(_) | Probe::Unit(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let bad = [
        ("kind = 'tcp'", "needs `address`"),
        ("kind = 'tcp'\naddress = 'x'", "needs `address`"),
        ("kind = 'tcp'\naddress = 'x:0'", "needs `address`"),
        (
            "kind = 'tcp'\naddress = 'x:1'\nuser = 'a'",
            "`user` belongs",
        ),
        (
            "kind = 'mqtt'\naddress = 'x:1'\npassword_file = 'p'",
            "`password_file` needs `user`",
        ),
        ("kind = 'unit'\nunit = '-x.service'", "no name"),
        ("kind = 'file_age'\npath = 'x'", "needs `path` and"),
        ("kind = 'http'\npath = 'x'", "`path` belongs"),
        (
            "kind = 'tcp'\naddress = 'x:1'\ngrace_sec = 60",
            "less than `health.deadline_sec`",
        ),
    ];
    for (check, words) in bad {
        let error = refusal(&format!("{SMALL}[[health.check]]\n{check}\n"));
        assert!(error.contains("number 1: "), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn containers_are_made_in_one_way_and_named_so_that_the_engine_takes_it() {
    let container = SMALL.replace("[bundle]\nroot = \"/opt/greeter\"\n", "[container]\n");
    let good = format!("{container}name = \"app\"\ncreate = \"app.json\"\n");
    let config = Config::parse(&good, Path::new("/etc/otter")).unwrap();
    let section = config.container.as_ref().unwrap();
    let body = PathBuf::from("/etc/otter/app.json");
    assert_eq!(section.way(), Some(Way::Create(&body)));
    assert_eq!(section.socket, Path::new("/var/run/docker.sock"));
    let cases = [
        (
            format!("{container}name = \"app\"\n"),
            "either `container.create`",
        ),
        (
            format!("{good}compose = \"app.yaml\"\n"),
            "either `container.create`",
        ),
        (
            good.replace("\"app\"", "\"../App\""),
            "`container.name` is `../App`",
        ),
        (good.replace("\"app\"", "\"\""), "begins with"),
        (format!("{good}compose_command = []\n"), "program"),
        (format!("{good}colour = 1\n"), "unknown field `colour`"),
        (
            format!("{good}[bundle]\nroot = \"/a\"\n"),
            "one kind of artifact",
        ),
    ];
    for (text, words) in cases {
        let error = refusal(&text);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn signs_of_life_are_checked() {
    let text = format!("{SMALL}[watchdog]\ndevice = '/dev/watchdog'\n[led]\nname = 'ACT'\n");
    let config = Config::parse(&text, Path::new("/etc")).unwrap();
    assert_eq!(config.watchdog.unwrap().interval(), Duration::from_secs(5));
    assert_eq!(config.led.unwrap().idle, IdleLed::Steady);
    let bad = [
        (
            "[watchdog]\ndevice = 'x'\ninterval_sec = 0\n",
            "more than 0",
        ),
        ("[led]\nname = '../x'\n", "/sys/class/leds"),
        ("[led]\nname = '..'\n", "/sys/class/leds"),
        ("[led]\nname = ''\n", "/sys/class/leds"),
    ];
    for (section, words) in bad {
        let error = refusal(&format!("{SMALL}{section}"));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_examples_container_section_has_every_key() {
    let example = include_str!("../../otter-agent.example.toml");
    let (_, section) = example.split_once("# [container]\n").unwrap();
    let (section, _) = section.split_once("\n\n").unwrap();
    let keys = section.lines().filter_map(|line| line.strip_prefix("# "));
    let keys = keys.filter(|line| line.contains(" = ") && !line.starts_with("compose = "));
    let keys: Vec<&str> = keys.collect();
    assert_eq!(keys.len(), 10, "{keys:?}");
    let text = SMALL.replace("[bundle]\nroot = \"/opt/greeter\"\n", "[container]\n");
    let config = Config::parse(&format!("{text}{}\n", keys.join("\n")), Path::new("/etc"));
    let container = config.unwrap().container.unwrap();
    assert_eq!(container.name, "greeter");
    assert_eq!(container.wait(), Duration::from_secs(60));
}

#[test]
fn the_boot_loaders_version_is_told_in_any_of_three_ways() {
    let example = include_str!("../../otter-agent.example.toml");
    let lines = example.lines().filter_map(|line| line.strip_prefix("# "));
    let ways: Vec<_> = lines
        .filter(|line| line.starts_with("bootloader_version = "))
        .map(|line| Config::parse(&format!("{line}\n{SMALL}"), Path::new("/etc")).unwrap())
        .map(|config| config.bootloader_version.unwrap())
        .collect();
    let [Says::Is(_), Says::File { file }, Says::Command { command }] = ways.as_slice() else {
        panic!("{ways:?}");
    };
    assert!(file.is_absolute() && command.len() == 3);
    let error = refusal(&format!("bootloader_version = 3\n{SMALL}"));
    assert!(error.contains("must be a text, `{ file = … }`"), "{error}");
}
