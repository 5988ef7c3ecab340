use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

fn wire(connect_timeout: Duration, stall_timeout: Duration) -> Wire {
    Wire {
        connect_timeout,
        stall_timeout,
        ..Wire::default()
    }
}

fn get(address: impl fmt::Display) -> Request {
    Request {
        method: Method::GET,
        url: format!("http://{address}/").parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        timeout: None,
        purpose: Purpose::Talk,
    }
}

/// Answers every connection with these bytes, and then holds it open.
async fn server(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(answer).await.unwrap();
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn connecting_takes_no_longer_than_it_may() {
    // Nobody accepts here: once the queue is full, the system answers nothing more.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let transport = HttpTransport::new(&wire(SHORT, LONG));
    let begun = Instant::now();
    let error = transport.send(get(address)).await.unwrap_err();
    assert!(matches!(error, NetError::Unconnected(_)), "{error:?}");
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_bound_is_not_connected() {
    let address = server(b"").await;
    let elsewhere = Wire {
        source: Some("192.0.2.1".parse().unwrap()),
        ..wire(LONG, LONG)
    };
    let nowhere = Wire {
        interface: Some("otter-none0".to_owned()),
        ..wire(LONG, LONG)
    };
    for wire in [elsewhere, nowhere] {
        let transport = HttpTransport::new(&wire);
        let error = transport.send(get(address)).await.unwrap_err();
        assert!(matches!(error, NetError::Unconnected(_)), "{error:?}");
    }
}

#[tokio::test]
async fn silence_ends_a_head_and_a_body() {
    let transport = HttpTransport::new(&wire(SHORT, SHORT));
    let error = transport.send(get(server(b"").await)).await.unwrap_err();
    assert!(matches!(error, NetError::Silent(_)), "{error:?}");

    let address = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\notter").await;
    let mut answer = transport.send(get(address)).await.unwrap();
    let piece = answer.body.next().await.unwrap().unwrap();
    assert_eq!(piece, "otter".as_bytes());
    let error = answer.body.next().await.unwrap_err();
    assert!(matches!(error, NetError::Silent(_)), "{error:?}");
}

#[tokio::test]
async fn a_reader_that_takes_its_time_is_not_silence() {
    let address = server(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\notter").await;
    let transport = HttpTransport::new(&wire(SHORT, SHORT));
    let mut answer = transport.send(get(address)).await.unwrap();
    answer.body.next().await.unwrap().unwrap();
    time::sleep(3 * SHORT).await;
    assert!(answer.body.next().await.unwrap().is_none());
}

#[tokio::test]
async fn redirects_are_left_to_who_asked() {
    let address =
        server(b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let transport = HttpTransport::new(&wire(LONG, LONG));
    let answer = transport.send(get(address)).await.unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
}
