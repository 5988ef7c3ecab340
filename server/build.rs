//! Builds the server again when the site that it embeds has changed.

/// Where `cargo xtask` puts the site.
const SITE: &str = "../target/site";

fn main() {
    // A missing folder would be "changed" at every build; `cargo check` without a site makes an empty one.
    if let Err(error) = std::fs::create_dir_all(SITE) {
        println!("cargo::warning=cannot make {SITE}: {error}");
    }
    println!("cargo::rerun-if-changed={SITE}");
    println!("cargo::rerun-if-changed=build.rs");
}
