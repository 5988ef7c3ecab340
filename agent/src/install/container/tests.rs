//! The installer against an engine that says whatever a test wants it to.

use std::path::Path;
use std::sync::Mutex as StdMutex;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use futures::stream;

use super::super::Intake;
use super::*;
use crate::config::Config;
use crate::disk::SimulatedDisk;

const VERSION: &str = r#"{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#;
const LINE: &str =
    "127.0.0.1:5000/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SECRET: &str = "fish-for-otters";

/// What an engine was asked: method, path, `X-Registry-Auth`, length of the body.
type Asked = Arc<StdMutex<Vec<(String, Option<String>, usize)>>>;

/// What an engine answers by method and path; `None` is silence.
type Answer = fn(&str) -> Option<Response>;

struct Fake {
    folder: tempfile::TempDir,
    asked: Asked,
    disk: Arc<SimulatedDisk>,
}

impl Fake {
    /// An engine that answers so; paths come without the API's version.
    fn new(answer: Answer) -> Self {
        let fake = Self::away();
        let listener = tokio::net::UnixListener::bind(fake.socket()).unwrap();
        let asked = fake.asked.clone();
        let router = Router::new().fallback(async move |request: Request| {
            let path = request.uri().path().replace("/v1.41", "");
            let what = format!("{} {path}", request.method());
            let auth = request.headers().get("x-registry-auth");
            let auth = auth.map(|auth| auth.to_str().unwrap().to_owned());
            let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            asked.lock().unwrap().push((what.clone(), auth, body.len()));
            match answer(&what) {
                Some(response) => response,
                None => std::future::pending().await,
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    /// A socket where nobody is.
    fn away() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            asked: Asked::default(),
            disk: Arc::new(SimulatedDisk::default()),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn installer(&self) -> ContainerInstaller {
        let text = format!(
            "server = \"http://a\"\ndevice_id = \"a\"\nmodel = \"m\"\nstate_dir = \"/state\"\n[container]\nname = \"app\"\n\
             socket = \"{}\"\ncreate = \"/create.json\"\nauth_file = \"/auth.json\"\nwait_sec = 0.3\ncall_timeout_sec = 1\n",
            self.socket().display()
        );
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let login = base64::engine::general_purpose::STANDARD.encode(format!("otter:{SECRET}"));
        let auth = format!("{{\"auths\": {{\"127.0.0.1:5000\": {{\"auth\": \"{login}\"}}}}}}");
        let disk = self.disk.as_ref();
        crate::disk::make_dirs(disk, Path::new("/state")).unwrap();
        crate::disk::write_whole(disk, Path::new("/auth.json"), auth.as_bytes(), 0o600).unwrap();
        let container = config.container.unwrap();
        ContainerInstaller::begin(
            self.disk.clone(),
            &container,
            &config.state_dir,
            BTreeMap::new(),
        )
        .unwrap()
    }

    /// Has an artifact prepared that was downloaded.
    async fn prepare(&self, artifact: &[u8]) -> Result<Installed, String> {
        let downloads = Downloads::new(self.disk.clone(), Path::new("/state"));
        let signed = crate::testing::signed(artifact);
        let mut intake = downloads.open(&signed).unwrap();
        if intake.taken() == 0 {
            intake.take(artifact).unwrap();
            intake.finish().unwrap();
        }
        let prepared = self.installer().prepare(&signed, &downloads, &[]).await;
        prepared.map_err(|error| error.to_string())
    }

    fn asked(&self, what: &str) -> Vec<(String, Option<String>, usize)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(path, ..)| path == what)
            .cloned()
            .collect()
    }
}

fn tar(length: usize) -> Vec<u8> {
    let mut tar = vec![0; length];
    tar[257..262].copy_from_slice(b"ustar");
    tar
}

fn version() -> Installed {
    Installed {
        version: "1.0.0".into(),
        release_counter: 1,
        name: "sha256:aa".to_owned(),
    }
}

fn text(text: &'static str) -> Option<Response> {
    Some(text.into_response())
}

/// An engine on which all goes well.
fn good(what: &str) -> Option<Response> {
    match what {
        "GET /version" => text(VERSION),
        "GET /images/json" => text("[]"),
        "POST /images/create" => text("{\"status\": \"Pulling\"}\n{\"status\": \"Done\"}\n"),
        "POST /images/load" => text("{\"stream\": \"Loaded image: a:1\\n\"}\n"),
        path if path.starts_with("GET /images/") => text("{\"Id\": \"sha256:aa\"}"),
        path if path.starts_with("DELETE /images/") => text("[]"),
        "GET /containers/json" => text("[]"),
        _ => Some(StatusCode::NOT_FOUND.into_response()),
    }
}

#[tokio::test]
async fn an_image_is_pulled_once_with_the_registrys_login_and_removed_when_nothing_needs_it() {
    let fake = Fake::new(good);
    for _ in 0..2 {
        let prepared = fake.prepare(LINE.as_bytes()).await.unwrap();
        assert_eq!(
            (prepared.name.as_str(), prepared.release_counter),
            ("sha256:aa", 2)
        );
    }
    let pulls = fake.asked("POST /images/create");
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let header = base64::engine::general_purpose::URL_SAFE.decode(pulls[0].1.as_ref().unwrap());
    assert!(String::from_utf8(header.unwrap()).unwrap().contains(SECRET));
    let installer = fake.installer();
    let keep = Installed {
        release_counter: 2,
        ..version()
    };
    installer.clean(&[keep]).await.unwrap();
    assert!(fake.asked("DELETE /images/sha256:aa").is_empty());
    for _ in 0..2 {
        installer.clean(&[]).await.unwrap();
    }
    assert_eq!(fake.asked("DELETE /images/sha256:aa").len(), 1);
}

#[tokio::test]
async fn an_image_that_was_there_before_stays() {
    let fake = Fake::new(|what| match what {
        "GET /images/json" => text("[{\"Id\": \"sha256:aa\"}]"),
        other => good(other),
    });
    fake.prepare(LINE.as_bytes()).await.unwrap();
    fake.installer().clean(&[]).await.unwrap();
    assert!(fake.asked("DELETE /images/sha256:aa").is_empty());
}

#[tokio::test]
async fn archives_are_streamed_unpacked() {
    let fake = Fake::new(good);
    let archive = tar(3 << 20);
    let packed = zstd::encode_all(archive.as_slice(), 3).unwrap();
    assert!(packed.len() < archive.len() / 10);
    fake.prepare(&packed).await.unwrap();
    assert_eq!(fake.asked("POST /images/load")[0].2, archive.len());
    // One that is torn in the middle is never taken for whole.
    let error = fake.prepare(&packed[..packed.len() - 9]).await.unwrap_err();
    assert!(error.contains("can't be unpacked"), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_away_keeps_nobody_from_working() {
    let fake = Fake::away();
    let installer = fake.installer();
    assert_eq!(
        installer.recover(Some(&version())).await.unwrap(),
        Some(version())
    );
    assert_eq!(installer.recover(None).await.unwrap(), None);
    let error = fake.prepare(LINE.as_bytes()).await.unwrap_err();
    assert!(
        error.contains("docker.sock is away: No such file"),
        "{error}"
    );
    for error in [
        installer.stop().await.unwrap_err(),
        installer
            .start(&version(), Trial::Trusted)
            .await
            .unwrap_err(),
        installer
            .start(&version(), Trial::OnTrial)
            .await
            .unwrap_err(),
        installer.commit(&version()).await.unwrap_err(),
        installer
            .roll_back(None, Some(&version()))
            .await
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains("is away"), "{error}");
    }
}

#[tokio::test]
async fn bad_answers_are_errors_that_say_what_is_wrong() {
    let cases: [(Answer, &str); 8] = [
        (
            |_| text("<html>"),
            "its version: the container engine's answer makes no sense",
        ),
        (
            |_| text("{\"ApiVersion\": \"1.99\", \"MinAPIVersion\": \"1.90\"}"),
            "this agent 1.25 to 1.47",
        ),
        (|_| None, "longer than 1s"),
        (
            |what| match what {
                "GET /images/json" => Some(endless()),
                other => good(other),
            },
            "listing images: the container engine's answer makes no sense: it has more than",
        ),
        (
            |what| match what {
                "POST /images/create" => {
                    text("{\"errorDetail\": {\"message\": \"toomanyrequests\"}}\n")
                }
                other => good(other),
            },
            "toomanyrequests",
        ),
        (
            |what| match what {
                "POST /images/create" => Some(endless()),
                other => good(other),
            },
            "a line has more than",
        ),
        (
            |what| match what {
                "POST /images/create" => {
                    Some((StatusCode::FORBIDDEN, "{\"message\": \"denied\"}").into_response())
                }
                other => good(other),
            },
            "says no (403): denied",
        ),
        (
            |what| match what {
                path if path.starts_with("GET /images/127") => {
                    Some(StatusCode::NOT_FOUND.into_response())
                }
                other => good(other),
            },
            "has no such image",
        ),
    ];
    for (answer, words) in cases {
        let error = Fake::new(answer)
            .prepare(LINE.as_bytes())
            .await
            .unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

/// An answer without end.
fn endless() -> Response {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let body = stream::repeat_with(move || Ok::<_, std::convert::Infallible>(piece.clone()));
    Body::from_stream(body).into_response()
}

#[tokio::test]
async fn a_body_that_makes_no_sense_fails_before_anything_changes() {
    let fake = Fake::new(good);
    let installer = fake.installer();
    let error = installer.back_up(None).await.unwrap_err().to_string();
    assert!(
        error.contains("`container.create` /create.json: there is no such file"),
        "{error}"
    );
    let disk = fake.disk.as_ref();
    crate::disk::write_whole(
        disk,
        Path::new("/create.json"),
        b"{\"Image\": \"x\"}",
        0o644,
    )
    .unwrap();
    let error = installer.back_up(None).await.unwrap_err().to_string();
    assert!(error.contains("leave `Image` out"), "{error}");
}

#[tokio::test]
async fn an_archive_of_two_images_is_refused_as_often_as_it_comes() {
    let fake = Fake::new(|what| match what {
        "POST /images/load" => text(
            "{\"stream\": \"Loaded image: a:1\"}\n{\"stream\": \"Loaded image ID: sha256:bb\"}\n",
        ),
        "GET /images/sha256:bb/json" => text("{\"Id\": \"sha256:bb\"}"),
        // Something else uses them.
        path if path.starts_with("DELETE /images/") => Some(StatusCode::CONFLICT.into_response()),
        other => good(other),
    });
    for _ in 0..2 {
        let error = fake.prepare(&tar(1 << 10)).await.unwrap_err();
        assert!(error.contains("holds 2 images"), "{error}");
        fake.installer().clean(&[]).await.unwrap();
    }
    assert_eq!(fake.asked("DELETE /images/sha256:aa").len(), 2);
    assert_eq!(fake.asked("DELETE /images/sha256:bb").len(), 2);
}
