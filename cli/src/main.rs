//! `otter`, the publisher's command line.

fn main() -> std::process::ExitCode {
    otter_cli::main()
}
