use super::*;
use crate::{http2_frames::Http2Frames, time};

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0xbe;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Http2Frame {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    let mut seen = None;
    let _ = Http2Frames::after(0).feed(&bytes, |frame| {
        seen = Some(frame);
        Ok::<_, ()>(())
    });
    seen.unwrap()
}

fn preface(now: Instant) -> AbuseDetector {
    let mut abuse = AbuseDetector::new(now);
    abuse.received(&frame(SETTINGS, 0, 0, &[]), now).unwrap();
    abuse
}

/// How many of these frames are taken.
fn taken(abuse: &mut AbuseDetector, frame: &Http2Frame, now: Instant) -> usize {
    (0..10_000_000).take_while(|_| abuse.received(frame, now).is_ok()).count()
}

#[test]
fn a_peer_that_begins_with_anything_but_settings_speaks_something_else() {
    let now = time::now();
    for first in
        [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, ACK, 0, &[]), frame(b'P', b'/', 1, b"1 400 Bad")]
    {
        let mut abuse = AbuseDetector::new(now);
        assert_eq!(abuse.received(&first, now), Err(Abuse::NoSettings));
        assert!(!abuse.has_preface());
    }
    assert!(preface(now).has_preface());
}

#[test]
fn noise_without_an_answer_has_a_bound_whatever_it_is_made_of() {
    let now = time::now();
    let kinds = [
        frame(UNKNOWN, 0, 0, &[]),
        frame(UNKNOWN, 0, 7, &[0; 16_384]),
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(RST_STREAM, 0, 5, &[0; 4]),
        frame(DATA, 0, 1, &[]),
        frame(DATA, 8, 1, &[4, 0, 0, 0, 0]),
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    for kind in kinds {
        let mut abuse = preface(now);
        let bytes = taken(&mut abuse, &kind, now) * kind.size();
        assert!((MOST_NOISE / 2..=MOST_NOISE).contains(&bytes), "{bytes} of {kind:?}");
    }
}

#[test]
fn an_answer_in_between_makes_up_for_noise_and_time_does_so_slowly() {
    let mut now = time::now();
    let mut abuse = preface(now);
    let noise = frame(UNKNOWN, 0, 0, &[0; 16_384]);
    for _ in 0..1000 {
        abuse.received(&noise, now).unwrap();
        abuse.received(&frame(DATA, 0, 1, b"{}"), now).unwrap();
    }
    // A ping a second and a window update with each, for ten days.
    for _ in 0..864_000 {
        now += Duration::from_secs(1);
        abuse.received(&frame(PING, 0, 0, &[0; 8]), now).unwrap();
        abuse.received(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]), now).unwrap();
    }
    let taken = taken(&mut abuse, &noise, now);
    assert!(taken < 300, "{taken}");
}

#[test]
fn what_the_peer_says_to_frames_of_ours_is_no_noise() {
    let now = time::now();
    let mut abuse = preface(now);
    // A million reports on a stream on which nothing comes back.
    for _ in 0..1_000_000 {
        abuse.sent(&frame(DATA, 0, 1, &[0; 50]));
        abuse.received(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 50]), now).unwrap();
        abuse.received(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 50]), now).unwrap();
        abuse.received(&frame(PING, 0, 0, &[0; 8]), now).unwrap();
    }
    // Our answers to its pings earn it nothing.
    for _ in 0..10 {
        abuse.sent(&frame(PING, ACK, 0, &[0; 8]));
    }
    assert!(taken(&mut abuse, &frame(PING, 0, 0, &[0; 8]), now) < 1_000_000);
}

#[test]
fn a_hundred_interim_answers_to_a_request_are_taken_and_no_more() {
    let now = time::now();
    let head = |stream| frame(HEADERS, 4, stream, b"head");
    let mut abuse = preface(now);
    for stream in [1, 3, 5] {
        for _ in 0..=MOST_INFORMATIONAL {
            abuse.received(&head(stream), now).unwrap();
        }
        abuse.received(&frame(DATA, 0, stream, b"body"), now).unwrap();
        abuse.received(&frame(HEADERS, 4 | END_STREAM, stream, b"trailers"), now).unwrap();
    }
    // Whatever comes in between on other streams.
    for at in 0..=MOST_INFORMATIONAL {
        abuse.received(&head(7), now).unwrap();
        abuse.received(&head(9 + 2 * at), now).unwrap();
    }
    assert_eq!(abuse.received(&head(7), now), Err(Abuse::Informational));
}

#[test]
fn what_is_remembered_of_streams_is_bounded() {
    let now = time::now();
    let mut abuse = preface(now);
    for stream in 0..100_000 {
        abuse.received(&frame(HEADERS, 4, stream, b"head"), now).unwrap();
    }
    assert!(abuse.heads.len() <= MOST_STREAMS);
}

#[test]
fn a_goaway_is_remembered_with_its_code() {
    let now = time::now();
    let mut abuse = preface(now);
    assert_eq!(abuse.going_away(), None);
    abuse.received(&frame(GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 11]), now).unwrap();
    assert_eq!(abuse.going_away(), Some(11));
}
