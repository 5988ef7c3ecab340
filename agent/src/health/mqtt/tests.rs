use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's broker, from the package `mosquitto`.
struct Broker {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// Starts one that lets in whom its configuration says.
    async fn start(who: &str, folder: tempfile::TempDir) -> Self {
        // Between the choice of a port and its use somebody else may take it: then the broker ends, and another port is
        // chosen. That this happens over and over is no bad luck any more.
        for _ in 0..20 {
            let port = free_port();
            let config = folder.path().join("mosquitto.conf");
            let text = format!("listener {port} 127.0.0.1\nuser root\n{who}\n");
            std::fs::write(&config, text).unwrap();
            let log = folder.path().join("log");
            let mut process = Command::new("/usr/sbin/mosquitto")
                .arg("-c")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(&log).unwrap())
                .spawn()
                .expect("Debian's package `mosquitto` is there");
            if runs(&mut process, &log).await {
                return Self {
                    process,
                    address: format!("127.0.0.1:{port}"),
                    _folder: folder,
                };
            }
        }
        panic!("the broker doesn't run: {who}");
    }

    async fn for_anyone() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start("allow_anonymous true", folder).await
    }

    /// Starts one that lets in `ann` with `secret`.
    async fn for_ann() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&file)
            .args(["ann", "secret"])
            .status();
        assert!(made.expect("`mosquitto_passwd` is there").success());
        let who = format!("allow_anonymous false\npassword_file {}", file.display());
        Self::start(&who, folder).await
    }

    fn login(&self) -> MqttLogin {
        login(&self.address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn free_port() -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until a broker says that it runs; not where it ended. Its word is waited for, not its port: one that is connected to
/// and left in its first moments may break off the next connection.
async fn runs(process: &mut Child, log: &Path) -> bool {
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(log).unwrap().contains(" running\n") {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "the broker doesn't run");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

fn login(address: &str) -> MqttLogin {
    MqttLogin {
        address: address.to_owned(),
        client_id: "otter-check".to_owned(),
        user: None,
        password_file: None,
    }
}

async fn refusal(login: &MqttLogin) -> String {
    let tried = tokio::time::timeout(PATIENCE, probe(login)).await;
    tried.expect("it is answered").unwrap_err()
}

/// A server that answers this to everybody, and then closes or waits.
async fn server(answer: &'static [u8], closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut packet = [0; 25];
            connection.read_exact(&mut packet).await.unwrap();
            connection.write_all(answer).await.unwrap();
            if !closes {
                open.push(connection);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_broker_for_anyone_lets_anyone_in_named_or_not() {
    let broker = Broker::for_anyone().await;
    let mut login = broker.login();
    probe(&login).await.unwrap();
    login.client_id = String::new();
    probe(&login).await.unwrap();
    // The goodbye was taken, so that the name is free again.
    probe(&broker.login()).await.unwrap();
}

#[tokio::test]
async fn a_broker_with_passwords_wants_the_right_one() {
    let broker = Broker::for_ann().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut login = broker.login();
    let error = refusal(&login).await;
    assert!(
        error.contains("expected CONNACK with return code 0, but it is 5"),
        "{error}"
    );
    login.user = Some("ann".to_owned());
    login.password_file = Some(file("wrong", "wrong\n"));
    let error = refusal(&login).await;
    assert!(error.contains("`user`"), "{error}");
    assert!(!error.contains("wrong\n") && error.contains(&broker.address));
    login.password_file = Some(file("right", "secret\n"));
    probe(&login).await.unwrap();
}

#[tokio::test]
async fn passwords_that_are_no_passwords_are_told_without_their_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let mut login = login("127.0.0.1:1");
    login.user = Some("ann".to_owned());
    login.password_file = Some(path.clone());
    assert!(
        refusal(&login)
            .await
            .contains("can't be read: No such file")
    );
    std::fs::write(&path, "s".repeat(70_000)).unwrap();
    let error = refusal(&login).await;
    assert!(error.ends_with("has more than 65535 bytes"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told() {
    let port = StdListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let error = refusal(&login(&address)).await;
    assert!(error.contains("connecting to 127.0.0.1:"), "{error}");
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn nonsense_is_told_as_it_came() {
    let table: [(&[u8], bool, &str); 4] = [
        (b"HTTP/1.1 400 Bad Request", false, "bytes came: 48545450"),
        (&[0x20, 2], true, "bytes came: 2002"),
        (&[], true, "the connection was closed"),
        (&[0x20, 2, 0, 3], false, "is 3: the broker is not available"),
    ];
    for (answer, closes, words) in table {
        let address = server(answer, closes).await;
        let error = refusal(&login(&address)).await;
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn one_that_says_nothing_is_waited_for_as_long_as_the_check_says() {
    let address = server(&[], false).await;
    let login = login(&address);
    let silence = tokio::time::timeout(Duration::from_millis(200), probe(&login));
    assert!(silence.await.is_err());
}
