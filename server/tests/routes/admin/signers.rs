//! Several people with `otter`, each with keys of their own, on a real server.

use clap::Parser as _;
use otter_cli::{Arguments, Failure, commands};
use otter_protocol::admin::{TrustStatus, TrustWarning};
use otter_protocol::release::{Release, ReleaseState};
use otter_protocol::{Sha256Digest, Timestamp};
use tempfile::TempDir;

use crate::common::{Publisher, TestApp, new_release, on_each_database};

/// A folder with everybody's keys; each command names those of one person.
struct Desk<'a> {
    app: &'a TestApp,
    folder: TempDir,
}

impl<'a> Desk<'a> {
    async fn new(app: &'a TestApp, keys: &[&str]) -> Self {
        let desk = Self {
            app,
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(desk.path("passphrase"), "otters hold hands").unwrap();
        for name in keys {
            let role = name.split('-').next_back().unwrap();
            desk.run(&format!("key generate --role {role} --out @{name}"))
                .await
                .unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command as an admin does; `@` stands for the folder.
    async fn run(&self, command: &str) -> Result<(), Failure> {
        let folder = format!("{}/", self.folder.path().display());
        let words = command.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => format!("{folder}{name}"),
            None => word.to_owned(),
        });
        let server = format!("http://{}", self.app.address);
        let key = self.app.admin().secret.unwrap();
        let common = ["otter", "--server", &server, "--api-key", &key].map(str::to_owned);
        let mut all: Vec<String> = common.into_iter().chain(words).collect();
        let opens_keys = ["--key ", "--root-key ", "generate"];
        if opens_keys.iter().any(|option| command.contains(option)) {
            all.extend([
                "--passphrase-file".to_owned(),
                format!("{folder}passphrase"),
            ]);
        }
        commands::run(Arguments::try_parse_from(all).unwrap()).await
    }

    async fn is_refused(&self, command: &str, words: &str) {
        let error = self.run(command).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    async fn status(&self) -> TrustStatus {
        self.app.viewer().get("/api/v1/trust").await.expect(200)
    }
}

/// Uploads a draft, as somebody without any key can.
async fn draft(app: &TestApp, version: &str) -> Release {
    let bytes = version.as_bytes();
    let path = format!("/api/v1/artifacts/{}", Sha256Digest::of(bytes));
    app.operator().put_bytes(&path, bytes).await;
    app.operator()
        .post("/api/v1/releases", &new_release(version, bytes))
        .await
        .expect(201)
}

async fn state(app: &TestApp, release: &Release) -> ReleaseState {
    let path = format!("/api/v1/releases/{}", release.id);
    app.viewer().get(&path).await.expect::<Release>(200).state
}

on_each_database! {
    async fn people_sign_change_keys_and_lose_one(app: TestApp) {
        let desk = Desk::new(&app, &["ada-root", "bob-root", "cyd-root", "ada-targets", "bob-targets"]).await;
        desk.run("trust init --root-key @ada-root --root-key @bob-root --threshold 2 --targets-key @ada-targets \
                  --targets-key @bob-targets --targets-threshold 2 --out @root.json").await.unwrap();
        let first = draft(&app, "1.0.0").await;
        desk.is_refused("release sign 1.0.0 --yes --key @ada-targets", "1 came together").await;
        desk.run("release sign 1.0.0 --yes --key @ada-targets --out @list.json").await.unwrap();
        desk.is_refused("trust publish @list.json", "1 of the 2 signatures").await;
        assert_eq!(state(&app, &first).await, ReleaseState::Draft);
        desk.run("trust sign @list.json --yes --key @bob-targets").await.unwrap();
        desk.run("trust publish @list.json").await.unwrap();
        assert_eq!(state(&app, &first).await, ReleaseState::Published);

        // Bob's root key is lost: Ada and he sign it away with what he still has, and Cyd's takes its place.
        desk.run("trust revoke @bob-root --replace-with @cyd-root --key @ada-root --root @root.json --out @2.json")
            .await.unwrap();
        desk.is_refused("trust publish @2.json", "1 of the 2 signatures").await;
        desk.run("trust sign @2.json --yes --key @cyd-root").await.unwrap();
        // Enough of the new keys, too few of the old.
        desk.is_refused("trust publish @2.json", "1 of the 2 signatures").await;
        assert_eq!(desk.status().await.root_version, Some(1));
        desk.run("trust sign @2.json --yes --key @bob-root").await.unwrap();
        desk.run("trust publish @2.json").await.unwrap();
        let server = format!("http://{}", app.address);
        desk.run(&format!("trust verify {server} --root @root.json")).await.unwrap();

        // Bob's targets key was stolen. Until the list is signed anew, devices refuse it, and everybody is told.
        desk.run("trust revoke @bob-targets --replace-with @ada-targets --key @ada-root --key @cyd-root --out @3.json")
            .await.unwrap_err();
        desk.run("key generate --role targets --out @dan-targets").await.unwrap();
        desk.run("trust revoke @bob-targets --replace-with @dan-targets --key @ada-root --key @cyd-root --out @3.json")
            .await.unwrap();
        let status = desk.status().await;
        assert_eq!(status.root_version, Some(3));
        assert_eq!(status.warnings(Timestamp::from(jiff::Timestamp::now())), [TrustWarning::TargetsUntrusted]);
        desk.is_refused(&format!("trust verify {server} --root @root.json"), "1 of the 2 signatures").await;
        desk.is_refused("trust renew --key @ada-targets --key @bob-targets", "is not among those").await;
        desk.run("trust renew --key @ada-targets --key @dan-targets --root @root.json").await.unwrap();
        assert!(!desk.status().await.targets_untrusted);
        desk.run(&format!("trust verify {server} --root @root.json")).await.unwrap();
        desk.run("trust show").await.unwrap();
    }
}

/// Uploads a draft for a model of its own.
async fn draft_for(app: &TestApp, version: &str, model: &str) -> Release {
    let bytes = version.as_bytes();
    let path = format!("/api/v1/artifacts/{}", Sha256Digest::of(bytes));
    app.operator().put_bytes(&path, bytes).await;
    let mut new = new_release(version, bytes);
    new["artifacts"][0]["models"] = serde_json::json!([model]);
    app.operator()
        .post("/api/v1/releases", &new)
        .await
        .expect(201)
}

on_each_database! {
    async fn a_team_signs_for_its_models_alone(app: TestApp) {
        let keys = ["ada-root", "ada-targets", "bob-targets", "tom-targets", "tim-targets", "ted-targets"];
        let desk = Desk::new(&app, &keys).await;
        desk.run("trust init --root-key @ada-root --targets-key @ada-targets --targets-key @bob-targets \
                  --targets-threshold 2 --out @root.json").await.unwrap();
        let server = format!("http://{}", app.address);

        // Two people give the team its models, on a file that travels; the team can't give itself more.
        desk.is_refused("trust delegate team-a --key @ada-targets", "Say for which models").await;
        desk.run("trust delegate team-a --model gateway --add-key @tom-targets --add-key @tim-targets --threshold 2 \
                  --key @ada-targets --out @list.json").await.unwrap();
        desk.is_refused("trust publish @list.json", "1 of the 2 signatures").await;
        desk.run("trust sign @list.json --yes --key @bob-targets --root @root.json").await.unwrap();
        desk.run("trust publish @list.json").await.unwrap();
        desk.is_refused("trust delegate team-a --model router --key @tom-targets", "signs for team-a alone").await;

        // The team signs its release, one after another, and nobody else's.
        let own = draft_for(&app, "7.0", "gateway").await;
        let others = draft_for(&app, "8.0", "rpi4").await;
        desk.is_refused("release sign 8.0 --yes --key @tom-targets --key @tim-targets", "which team-a was not given").await;
        desk.is_refused("release sign 7.0 --yes --key @tom-targets", "the delegation to team-a asks for 2").await;
        desk.is_refused("release sign 7.0 --yes --key @ted-targets", "is not among those that the root lets").await;
        desk.run("release sign 7.0 --yes --key @tom-targets --out @team.json").await.unwrap();
        desk.is_refused("trust publish @team.json", "1 of the 2 signatures").await;
        desk.run("trust sign @team.json --yes --key @tim-targets --targets @list.json").await.unwrap();
        desk.run("trust show @team.json --targets @list.json").await.unwrap();
        desk.run("trust publish @team.json").await.unwrap();
        assert_eq!(state(&app, &own).await, ReleaseState::Published);
        assert_eq!(state(&app, &others).await, ReleaseState::Draft);
        desk.run(&format!("trust verify {server} --root @root.json")).await.unwrap();

        // The publishers go on after the team's counter.
        desk.run("release sign 8.0 --yes --key @ada-targets --key @bob-targets").await.unwrap();
        let release: Release = app.viewer().get(&format!("/api/v1/releases/{}", others.id)).await.expect(200);
        assert_eq!(release.release_counter, Some(2));

        // Tim's key is stolen: until the team has signed with Ted's, its devices refuse, and everybody is told.
        desk.run("trust delegate team-a --remove-key @tim-targets --add-key @ted-targets --key @ada-targets --key @bob-targets")
            .await.unwrap();
        let role = "team-a".to_owned();
        let now = Timestamp::from(jiff::Timestamp::now());
        assert_eq!(desk.status().await.warnings(now), [TrustWarning::DelegatedUntrusted { role }]);
        desk.is_refused(&format!("trust verify {server} --root @root.json"), "on the list of team-a").await;
        desk.is_refused("trust renew --key @tom-targets --key @tim-targets", "is not among those").await;
        desk.run("trust renew --role team-a --key @tom-targets --key @ted-targets").await.unwrap();
        assert_eq!(desk.status().await.warnings(now), []);

        // What is taken back stays where it is wanted, signed by the publishers.
        let take_back = "trust delegate team-a --take-back --key @ada-targets --key @bob-targets";
        desk.is_refused(take_back, "of release 7.0, which is published").await;
        desk.run(&format!("{take_back} --keep-releases")).await.unwrap();
        assert_eq!(desk.status().await.delegated, []);
        desk.run(&format!("trust verify {server} --root @root.json")).await.unwrap();
        desk.is_refused("trust renew --key @tom-targets --key @ted-targets", "is not among those").await;
        desk.run("trust show").await.unwrap();

        // Given again, the role goes on where its list was.
        desk.run("trust delegate team-a --model gateway --add-key @tom-targets --key @ada-targets --key @bob-targets")
            .await.unwrap();
        let next = draft_for(&app, "7.1", "gateway").await;
        desk.run("release sign 7.1 --yes --key @tom-targets").await.unwrap();
        assert_eq!(state(&app, &next).await, ReleaseState::Published);
        desk.run(&format!("trust verify {server} --root @root.json")).await.unwrap();
    }
}

on_each_database! {
    async fn the_fingerprint_is_that_of_the_first_root(app: TestApp) {
        Publisher::new(&app).await;
        let first = app.stranger().get("/device/v1/trust/1.root.json").await;
        let status: TrustStatus = app.viewer().get("/api/v1/trust").await.expect(200);
        assert_eq!(status.root_fingerprint, Some(Sha256Digest::of(first.text().as_bytes())));
    }
}
