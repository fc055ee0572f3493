//! What a broker sends.

use bytes::BytesMut;
use rumqttc::Packet;

/// The longest packet that is taken, bytes; the client's default.
const MAX_PACKET: usize = 10 * 1024;

/// Reads packets one after another, as the client does.
pub fn packets(bytes: &[u8]) {
    let mut stream = BytesMut::from(bytes);
    while !stream.is_empty() {
        let before = stream.len();
        if Packet::read(&mut stream, MAX_PACKET).is_err() {
            return;
        }
        assert!(stream.len() < before, "a packet of no bytes");
    }
}
