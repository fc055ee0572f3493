//! A plain HTTP client, and how tests wait for things outside the program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes so long; a test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// A connection whose reads and writes fail in the end.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// An answer's head and, if it has an end, its body.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks for `path` by `GET` with more headers (`Name: value`), and reads the whole answer.
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    request(address, "GET", path, headers, "")
}

/// Sends a request with more headers (`Name: value`) and reads the whole answer.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = connect(address);
    send(&mut stream, address, method, path, headers, body);
    let mut reader = BufReader::new(stream);
    let mut answer = head(&mut reader);
    match answer.header("content-length").map(|length| length.parse().unwrap()) {
        Some(0) => {}
        Some(_) if method == "HEAD" => {}
        Some(length) => {
            answer.body = vec![0; length];
            reader.read_exact(&mut answer.body).unwrap();
        }
        None if answer.status == 204 => {}
        None => drop(reader.read_to_end(&mut answer.body).unwrap()),
    }
    answer
}

/// Writes a request.
pub fn send(stream: &mut TcpStream, address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|line| line.to_lowercase().starts_with("host:")) {
        text += &format!("Host: {address}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|line| text += &format!("{line}\r\n"));
    text += "\r\n";
    text += body;
    stream.write_all(text.as_bytes()).unwrap();
}

/// Reads the head of an answer.
pub fn head(reader: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("head {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    Answer { status, headers, body: Vec::new() }
}

/// Asks again and again until an answer comes up to what is wanted.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a program is there; says that the test is skipped if it is not.
pub fn has(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(Into::into);
    let found =
        std::env::split_paths(&path).chain(sbin).any(|folder: std::path::PathBuf| folder.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed (Debian: apt-get install {package})");
    }
    found
}
