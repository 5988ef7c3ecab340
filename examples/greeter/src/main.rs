//! The demo's program: a small HTTP service that tells its version.
//!
//! A bundle holds this program, a file `VERSION` beside it and, in the release that must not survive, a file `BROKEN`.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const USAGE: &str = "\
usage: greeter [--listen ADDRESS] [--version-file FILE] [--exit-at-start]
  --listen ADDRESS     where to answer; else GREETER_LISTEN, else 127.0.0.1:8090
  --version-file FILE  holds the version; else VERSION beside this program
  --exit-at-start      exits with status 3, as a broken release does; so does a file BROKEN beside this program";

/// What an HTTP client may send before it is turned away, in bytes.
const LARGEST_REQUEST: u64 = 16 << 10;

struct Options {
    listen: String,
    version_file: PathBuf,
    is_broken: bool,
}

fn main() -> ExitCode {
    match options().and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => {
            eprintln!("greeter: {message}");
            ExitCode::from(status)
        }
    }
}

/// A status to exit with and what to say.
type Failure = (u8, String);

fn options() -> Result<Options, Failure> {
    let folder = env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("."));
    let mut options = Options {
        listen: env::var("GREETER_LISTEN").unwrap_or_else(|_| "127.0.0.1:8090".to_owned()),
        version_file: folder.join("VERSION"),
        is_broken: folder.join("BROKEN").exists(),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| (2, format!("{argument} needs a value\n{USAGE}")))
        };
        match argument.as_str() {
            "--listen" => options.listen = value()?,
            "--version-file" => options.version_file = value()?.into(),
            "--exit-at-start" => options.is_broken = true,
            _ => return Err((2, format!("unknown argument {argument}\n{USAGE}"))),
        }
    }
    Ok(options)
}

fn serve(options: Options) -> Result<(), Failure> {
    let version = fs::read_to_string(&options.version_file).map_err(|error| {
        let file = options.version_file.display();
        (1, format!("the version can't be read from {file}: {error}"))
    })?;
    let version: Arc<str> = version.trim().into();
    if options.is_broken {
        return Err((3, format!("release {version} is broken and can't greet")));
    }
    let listener = TcpListener::bind(&options.listen)
        .map_err(|error| (1, format!("can't listen on {}: {error}", options.listen)))?;
    println!("greeter {version} answers on http://{}", options.listen);
    for stream in listener.incoming().flatten() {
        let version = version.clone();
        // A client that goes away in the middle is no news.
        thread::spawn(move || answer(stream, &version).ok());
    }
    Ok(())
}

fn answer(stream: TcpStream, version: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut request = BufReader::new(&stream).take(LARGEST_REQUEST);
    let mut first = String::new();
    request.read_line(&mut first)?;
    let mut header = String::new();
    while request.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = first.split_ascii_whitespace();
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => ("200 OK", format!("hello from greeter {version}\n")),
        (Some("GET"), Some("/health")) => ("200 OK", "ok\n".to_owned()),
        (Some("GET"), _) => ("404 Not Found", "there is only / and /health\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a request and returns the whole answer.
    fn ask(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        answer(listener.accept().unwrap().0, "1.2.3").unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn greets_with_its_version_and_is_healthy() {
        let reply = ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(
            reply.ends_with("\r\n\r\nhello from greeter 1.2.3\n"),
            "{reply}"
        );
        assert!(ask("GET /health HTTP/1.0\r\n\r\n").ends_with("ok\n"));
        assert!(ask("GET /else HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(ask("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    }

    #[test]
    fn a_broken_release_exits_with_3_and_says_so() {
        let folder = env::temp_dir().join(format!("greeter-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("VERSION"), "1.2.0\n").unwrap();
        let options = |version_file: &str, is_broken| Options {
            listen: "127.0.0.1:0".to_owned(),
            version_file: folder.join(version_file),
            is_broken,
        };
        let broken = serve(options("VERSION", true)).unwrap_err();
        assert_eq!(
            broken,
            (3, "release 1.2.0 is broken and can't greet".to_owned())
        );
        assert_eq!(serve(options("NONE", false)).unwrap_err().0, 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
