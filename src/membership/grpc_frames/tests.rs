use std::io::Write as _;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use proptest::prelude::*;

use super::*;

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

fn message(text: &'static [u8]) -> GrpcFrame {
    GrpcFrame::Message { compressed: false, bytes: Bytes::from_static(text) }
}

/// All that is found where the stream is cut into pieces of this size, and its end.
fn read(stream: &[u8], piece: usize, longest: usize) -> (Vec<GrpcFrame>, Result<(), FrameError>) {
    let mut frames = GrpcFrames::new(longest);
    let mut found = Vec::new();
    for chunk in stream.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match frames.next(&mut chunk) {
                Ok(Some(one)) => found.push(one),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
        assert!(chunk.is_empty(), "what is not taken is lost");
    }
    (found, frames.finish())
}

#[test]
fn messages_come_out_whole_and_in_order() {
    let stream = [frame(0, b"one"), frame(0, b""), frame(1, b"zip"), frame(0, b"two")].concat();
    let zip = GrpcFrame::Message { compressed: true, bytes: Bytes::from_static(b"zip") };
    for piece in 1..=stream.len() {
        let (found, end) = read(&stream, piece, 3);
        assert_eq!(found, [message(b"one"), message(b""), zip.clone(), message(b"two")], "{piece}");
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn a_message_beyond_the_limit_is_said_and_costs_no_other() {
    let stream = [frame(0, b"one"), frame(0, b"four"), frame(1, b"fives"), frame(0, b"two")].concat();
    for piece in 1..=stream.len() {
        let (found, end) = read(&stream, piece, 3);
        assert_eq!(found, [message(b"one"), GrpcFrame::TooLong(4), GrpcFrame::TooLong(5), message(b"two")]);
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn a_message_that_is_too_long_is_known_from_its_header_and_not_kept() {
    let mut frames = GrpcFrames::new(1 << 20);
    let mut header = Bytes::copy_from_slice(&frame(0, b"")[..1]);
    assert_eq!(frames.next(&mut header), Ok(None));
    let mut length = Bytes::copy_from_slice(&(64_u32 << 20).to_be_bytes());
    assert_eq!(frames.next(&mut length), Ok(Some(GrpcFrame::TooLong(64 << 20))));
    let chunk = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..64 {
        assert!(matches!(frames.state, FrameState::PassOver { .. }), "nothing is kept");
        assert_eq!(frames.next(&mut chunk.clone()), Ok(None));
    }
    assert_eq!(frames.finish(), Ok(()));
    assert_eq!(frames.next(&mut Bytes::from(frame(0, b"next"))), Ok(Some(message(b"next"))));
}

#[test]
fn memory_is_taken_for_what_came_and_not_for_what_was_announced() {
    let mut frames = GrpcFrames::new(4 << 20);
    let mut chunk = Bytes::from(frame(0, &[7; 4 << 20])).split_to(HEADER + 10_000);
    assert_eq!(frames.next(&mut chunk), Ok(None));
    let FrameState::Message { bytes, .. } = &frames.state else { panic!("{:?}", frames.state) };
    assert!(bytes.capacity() <= 10_000, "{}", bytes.capacity());
}

#[test]
fn a_message_in_one_chunk_is_not_copied() {
    let mut chunk = Bytes::from(frame(0, b"message"));
    let place = chunk[HEADER..].as_ptr();
    match GrpcFrames::new(10).next(&mut chunk) {
        Ok(Some(GrpcFrame::Message { bytes, .. })) => assert_eq!(bytes.as_ptr(), place),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_grpc_ends_the_stream_for_good() {
    let (found, end) = read(b"\0\0\0\0\x01x<html>", 100, 10);
    assert_eq!((found.len(), end), (1, Err(FrameError::Flag(b'<'))));
    let mut frames = GrpcFrames::new(10);
    for _ in 0..2 {
        assert_eq!(frames.next(&mut Bytes::from_static(b"<html>")), Err(FrameError::Flag(b'<')));
    }
    assert_eq!(frames.finish(), Err(FrameError::Flag(b'<')));
}

#[test]
fn an_end_in_the_middle_of_a_message_shows() {
    for cut in 1..8 {
        assert_eq!(read(&frame(0, b"abc")[..cut], 100, 10).1, Err(FrameError::CutShort), "{cut}");
        assert_eq!(read(&frame(0, b"abc")[..cut], 100, 2).1, Err(FrameError::CutShort), "{cut}");
    }
}

proptest! {
    #[test]
    fn where_it_is_cut_makes_no_difference(
        messages in prop::collection::vec((0u8..2, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        piece in 1usize..60,
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|(flag, message)| frame(*flag, message)).collect();
        let (found, end) = read(&stream, piece, 20);
        let expected: Vec<GrpcFrame> = messages.iter().map(|(flag, message)| match message.len() {
            length @ 21.. => GrpcFrame::TooLong(length),
            _ => GrpcFrame::Message { compressed: *flag == 1, bytes: Bytes::copy_from_slice(message) },
        }).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(end, Ok(()));
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn named(name: &str) -> Encoding {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-encoding", name.parse().unwrap());
    Encoding::of(&headers)
}

#[test]
fn what_was_compressed_comes_back() {
    for text in [&b""[..], b"an order", &[b'x'; 100_000]] {
        assert_eq!(named("gzip").inflate(&gzip(text), 100_000).unwrap(), text);
        assert_eq!(named("deflate").inflate(&deflate(text), 100_000).unwrap(), text);
    }
}

#[test]
fn a_bomb_becomes_no_more_than_the_limit() {
    let bomb = vec![0; 64 << 20];
    for (name, packed) in [("gzip", gzip(&bomb)), ("deflate", deflate(&bomb))] {
        assert!(packed.len() < 100 << 10);
        assert_eq!(named(name).inflate(&packed, 1 << 20), Err(FrameError::TooLong(1 << 20)));
    }
    assert_eq!(named("gzip").inflate(&gzip(&[0; 10]), 9), Err(FrameError::TooLong(9)));
    assert_eq!(named("gzip").inflate(&gzip(&[0; 9]), 9), Ok(vec![0; 9]));
}

#[test]
fn what_is_damaged_is_said_and_so_is_what_nobody_asked_for() {
    let whole = gzip(b"some text that is long enough");
    for damaged in [&whole[..whole.len() - 3], b"<html>", b""] {
        let error = named("gzip").inflate(damaged, 100).unwrap_err();
        assert!(matches!(error, FrameError::Damaged { encoding: "gzip", .. }), "{error}");
    }
    let error = named("snappy").inflate(b"x", 100).unwrap_err();
    assert!(error.to_string().contains("\"snappy\""), "{error}");
    assert_eq!(Encoding::of(&HeaderMap::new()).inflate(b"x", 100), Err(FrameError::Unnamed));
    assert_eq!(named("identity"), Encoding::Identity);
}
