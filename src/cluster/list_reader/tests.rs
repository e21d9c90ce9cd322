//! Tests of [`super`].

use serde_json::json;

use super::*;

/// In pieces of this size.
fn read_in(text: &str, size: usize) -> Result<(Vec<Value>, ListReader), ListError> {
    let (mut page, mut items) = (ListReader::default(), Vec::new());
    let mut pieces = text.as_bytes().chunks(size);
    loop {
        match page.next()? {
            ListItem::Item(item) => items.push(item),
            ListItem::End => return Ok((items, page)),
            ListItem::More => match pieces.next() {
                Some(piece) => page.push(piece),
                None => page.finish(),
            },
        }
    }
}

fn read(text: &str) -> Result<(Vec<Value>, ListReader), ListError> {
    read_in(text, usize::MAX)
}

#[test]
fn pieces_make_no_difference() {
    let text = r#"{"items":[{"a":[1,"]"]},7, "b" ,null],"more":12,"metadata":{"resourceVersion":"17"}}"#;
    let whole = read(text).unwrap();
    for size in 1..text.len() {
        let (items, page) = read_in(text, size).unwrap();
        assert_eq!((&items, page.version()), (&whole.0, "17"), "{size}");
    }
}

#[test]
fn what_is_held_of_a_page_is_one_value() {
    let item = format!(r#"{{"text":"{}"}}"#, "x".repeat(100_000));
    let text = format!(r#"{{"items":[{}],"metadata":{{}}}}"#, vec![item.as_str(); 200].join(","));
    let (mut page, mut most, mut items) = (ListReader::default(), 0, 0);
    for piece in text.as_bytes().chunks(1000) {
        page.push(piece);
        while let ListItem::Item(_) = page.next().unwrap() {
            items += 1;
        }
        most = most.max(page.held());
    }
    assert_eq!(items, 200);
    assert!(most < item.len() + 1000, "{most}");
}

#[test]
fn what_is_larger_than_an_object_is_given_up_before_it_has_come() {
    for (begin, more) in [
        (r#"{"items":[{"a":""#, "x"),
        (r#"{"kind":""#, "x"),
        (r#"{""#, "x"),
        (r#"{"items":["#, "7"),
        (r#"{"items":[["#, "[],"),
        ("", " "),
        (r#"{"items":["#, "\n"),
        ("{", r#""a":1,"#),
    ] {
        let (mut page, piece, mut pushed) = (ListReader::default(), more.repeat(10_000), begin.len());
        page.push(begin.as_bytes());
        let given_up = (0..2000).find_map(|_| {
            page.push(piece.as_bytes());
            pushed += piece.len();
            page.next().err()
        });
        let reason = given_up.unwrap_or_else(|| panic!("{begin} {more} was taken for ever"));
        assert!(pushed <= OBJECT + piece.len() + begin.len(), "{reason} after {pushed}");
    }
}

/// Counted in what the reader does, not in seconds.
#[test]
fn work_grows_no_faster_than_the_page() {
    let looks = |n: usize| {
        let text = format!(r#"{{"items":[{}],"metadata":{{}}}}"#, vec![r#"{"a":"b"}"#; n].join(","));
        let (mut page, mut looks) = (ListReader::default(), 0_usize);
        for piece in text.as_bytes().chunks(64) {
            page.push(piece);
            looks += page.held();
            while let ListItem::Item(_) = page.next().unwrap() {}
            looks += page.held();
        }
        looks
    };
    let (one, two, four) = (looks(1000), looks(2000), looks(4000));
    assert!(two <= one * 5 / 2 && four <= two * 5 / 2, "{one}, {two}, {four}");
}

#[test]
fn items_come_one_by_one_and_the_metadata_wherever_it_stands() {
    let items = r#""items" : [ {"a":[1,"]"]} ,{"b":{}}, 7 ]"#;
    let metadata = r#""metadata":{"resourceVersion":"17","continue":"t","remainingItemCount":3}"#;
    for text in [
        format!(r#"{{"kind":"L",{metadata},{items}}}"#),
        format!("{{{items},\n\"apiVersion\":\"v1\", {metadata}, \"more\":[null,1.5e3,true]}}\n"),
    ] {
        let (read, page) = read(&text).unwrap();
        assert_eq!(read, [json!({"a": [1, "]"]}), json!({"b": {}}), json!(7)]);
        assert_eq!((page.version(), page.token()), ("17", Some("t")));
    }
}

#[test]
fn a_list_may_be_empty() {
    for items in ["[]", "[ ]", "null"] {
        let text = format!(r#"{{"items":{items},"metadata":{{"resourceVersion":"1","continue":""}}}}"#);
        let (read, page) = read(&text).unwrap();
        assert_eq!((read.len(), page.version(), page.token()), (0, "1", None));
    }
}

#[test]
fn what_is_cut_short_anywhere_is_an_error() {
    let text = r#"{"items":[{"a":1},{"b":2}],"kind":"L","metadata":{"resourceVersion":"1"}}"#;
    assert!(read(text).is_ok());
    for length in 0..text.len() {
        assert!(read(&text[..length]).is_err(), "{}", &text[..length]);
    }
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in [
        "<html></html>",
        "[]",
        "{}",
        r#"{"kind":"Status","metadata":{}}"#,
        r#"{"items":{}}"#,
        r#"{"items":[{} {}]}"#,
        r#"{"items":[,]}"#,
        r#"{"items":[]}{}"#,
        r#"{"items":[],}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}
