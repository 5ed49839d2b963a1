//! Plain HTTP/1.1 requests, as probes and scrapers send them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

/// The answer to a GET of a path with its query.
pub async fn get(address: SocketAddr, target: &str) -> Answer {
    try_get(address, target).await.expect("the port answers")
}

/// The answer; an error if the port can't be reached.
pub async fn try_get(address: SocketAddr, target: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Asks again and again until the answer is as wanted, and returns it.
pub async fn get_until(
    address: SocketAddr,
    target: &str,
    is_wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let mut last = None;
    let asking = async {
        loop {
            let answer = get(address, target).await;
            if is_wanted(&answer) {
                return answer;
            }
            last = Some(answer);
        }
    };
    let answered = tokio::time::timeout(crate::support::PATIENCE, asking).await;
    answered.unwrap_or_else(|_| panic!("{target} still answers {last:?}"))
}
