//! What a peer sends on an HTTP/2 connection, as it is looked at below h2.

use super::script;
use crate::{
    net::{
        http2_frames::Http2Frames,
        monitor::abuse::{Abuse, AbuseDetector},
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
    let (bytes, preface, _, abuse) = whole;
    match abuse {
        None if bytes > data.len() => assert!(data.len() >= 9, "a frame that is not whole has a head"),
        None => assert!(data.len() - bytes < 17, "what is left is no head of a frame"),
        Some(Abuse::NoSettings) => assert!(!preface),
        Some(_) => assert!(preface),
    }
    if preface {
        assert_eq!((data[3], data[4] & 1), (4, 0), "it began with SETTINGS");
    }
}

/// Bytes of all frames up to an offence, whether it greeted, how it goes away, and the offence.
fn judged(pieces: &[&[u8]]) -> (usize, bool, Option<u32>, Option<Abuse>) {
    let now = time::now();
    let (mut frames, mut detector, mut bytes) = (Http2Frames::after(0), AbuseDetector::new(now), 0);
    let mut abuse = None;
    for piece in pieces {
        let result = frames.feed(piece, |frame| {
            bytes += frame.size();
            detector.received(&frame, now)
        });
        if let Err(error) = result {
            abuse = Some(error);
            break;
        }
    }
    (bytes, detector.has_preface(), detector.going_away(), abuse)
}
