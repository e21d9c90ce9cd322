//! What a peer sends on an HTTP/2 connection, as it is looked at below h2.

use super::script;
use crate::{
    net::{
        conduct::{Conduct, Offence},
        frames::Frames,
    },
    time,
};

/// The bytes of a connection: the same frames, and the same judgement of them, however they are cut; the
/// frames make up all of the bytes but for a last one that is not whole; and nothing but SETTINGS begins.
pub fn peer(data: &[u8]) {
    let whole = judged(&[data]);
    for seed in [0, 1] {
        assert_eq!(judged(&script::chunks(data, seed)), whole, "pieces make no difference");
    }
    let (bytes, greeted, _, offence) = whole;
    match offence {
        None if bytes > data.len() => assert!(data.len() >= 9, "a frame that is not whole has a head"),
        None => assert!(data.len() - bytes < 17, "what is left is no head of a frame"),
        Some(Offence::NoSettings) => assert!(!greeted),
        Some(_) => assert!(greeted),
    }
    if greeted {
        assert_eq!((data[3], data[4] & 1), (4, 0), "it began with SETTINGS");
    }
}

/// Bytes of all frames up to an offence, whether it greeted, how it goes away, and the offence.
fn judged(pieces: &[&[u8]]) -> (usize, bool, Option<u32>, Option<Offence>) {
    let now = time::now();
    let (mut frames, mut conduct, mut bytes) = (Frames::after(0), Conduct::new(now), 0);
    let mut offence = None;
    for piece in pieces {
        let result = frames.feed(piece, |frame| {
            bytes += frame.size();
            conduct.received(&frame, now)
        });
        if let Err(error) = result {
            offence = Some(error);
            break;
        }
    }
    (bytes, conduct.speaks_http2(), conduct.going_away(), offence)
}
