//! JSON in few bytes. What is read is what was written, to the last digit.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::packing::{PackReader, PackWriter};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
/// A negative number, by its distance from -1.
const NEGATIVE: u8 = 4;
const FLOAT: u8 = 5;
const TEXT: u8 = 6;
/// RFC 3339 in whole seconds after 1970.
const TIME: u8 = 7;
const ARRAY: u8 = 8;
const OBJECT: u8 = 9;
/// The text that the reader knows: the name of the stack.
const OWN_NAME: u8 = 10;
/// Nothing is deeper: what was written was read by serde_json, which goes no further than this. An
/// object that could be written and not be read again would look absent.
const DEEPEST: usize = 128;

/// Writes a value; the text `own` takes one byte.
pub(super) fn write(value: &Value, own: &str, to: &mut PackWriter<'_>) {
    match value {
        Value::Null => to.bytes.push(NULL),
        Value::Bool(flag) => to.bytes.push(if *flag { TRUE } else { FALSE }),
        Value::Number(number) => write_number(number, to),
        Value::String(text) if text == own => to.bytes.push(OWN_NAME),
        Value::String(text) => match seconds(text) {
            Some(seconds) => {
                to.bytes.push(TIME);
                to.number(seconds);
            }
            None => {
                to.bytes.push(TEXT);
                to.text(text);
            }
        },
        Value::Array(items) => {
            to.bytes.push(ARRAY);
            to.number(items.len() as u64);
            items.iter().for_each(|item| write(item, own, to));
        }
        Value::Object(fields) => {
            to.bytes.push(OBJECT);
            to.number(fields.len() as u64);
            for (name, field) in fields {
                to.text(name);
                write(field, own, to);
            }
        }
    }
}

fn write_number(number: &Number, to: &mut PackWriter<'_>) {
    if let Some(unsigned) = number.as_u64() {
        to.bytes.push(UNSIGNED);
        to.number(unsigned);
    } else if let Some(negative) = number.as_i64() {
        to.bytes.push(NEGATIVE);
        to.number(!negative as u64);
    } else {
        to.bytes.push(FLOAT);
        to.bytes.extend(number.as_f64().unwrap_or_default().to_bits().to_le_bytes());
    }
}

/// Reads a value.
pub(super) fn read(own: &str, from: &mut PackReader<'_>) -> Option<Value> {
    read_within(DEEPEST, own, from)
}

fn read_within(depth: usize, own: &str, from: &mut PackReader<'_>) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match from.byte()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        UNSIGNED => from.number()?.into(),
        NEGATIVE => (!(from.number()? as i64)).into(),
        FLOAT => {
            let bits = u64::from_le_bytes(from.take(8)?.try_into().ok()?);
            Value::Number(Number::from_f64(f64::from_bits(bits))?)
        }
        TEXT => from.text()?.into(),
        TIME => written(from.number()?)?.into(),
        OWN_NAME => own.into(),
        ARRAY => {
            let items = from.length()?;
            (0..items).map(|_| read_within(depth, own, from)).collect::<Option<Vec<_>>>()?.into()
        }
        OBJECT => {
            let fields = from.length()?;
            let field = |_| Some((from.text()?.to_owned(), read_within(depth, own, from)?));
            (0..fields).map(field).collect::<Option<Map<_, _>>>()?.into()
        }
        _ => return None,
    })
}

/// A time as the API server writes it, if nothing else reads as the same.
fn seconds(text: &str) -> Option<u64> {
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    let seconds = u64::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok()?;
    (written(seconds)? == text).then_some(seconds)
}

fn written(seconds: u64) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cluster::store::interner::Interner;

    /// Any JSON, with texts that repeat, times among them.
    pub(in crate::cluster::store) fn some_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c]{0,3}|own|.{0,10}|2026-0[1-9]-0[1-9]T1[0-9]:[0-6][0-9]:00Z".prop_map(Value::from),
            "x{90,110}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-d]{1,2}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn packed(value: &Value, names: &mut Interner) -> Vec<u8> {
        let mut writer = PackWriter { bytes: Vec::new(), names };
        write(value, "own", &mut writer);
        writer.bytes
    }

    #[test]
    fn a_condition_takes_some_twenty_bytes() {
        let condition = json!({
            "type": "DatabaseReady", "status": "True", "reason": "Ready", "message": "everything is up",
            "lastTransitionTime": "2026-11-24T10:00:00Z", "observedGeneration": 3,
        });
        let mut names = Interner::default();
        packed(&condition, &mut names);
        packed(&condition, &mut names);
        let bytes = packed(&condition, &mut names);
        assert!(bytes.len() <= 26, "{} bytes", bytes.len());
        assert_eq!(read("own", &mut PackReader::new(&bytes, &names)), Some(condition));
    }

    #[test]
    fn what_only_looks_like_a_time_stays_as_it_is() {
        let mut names = Interner::default();
        for text in
            ["2026-02-30T10:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T10:00:60Z", "2026-01-01t10:00:00Z"]
        {
            let bytes = packed(&json!(text), &mut names);
            assert_eq!(read("own", &mut PackReader::new(&bytes, &names)), Some(json!(text)));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(values in prop::collection::vec(some_json(), 1..4)) {
            let mut names = Interner::default();
            // Twice, so that texts have their numbers.
            for value in values.iter().chain(&values) {
                let bytes = packed(value, &mut names);
                let again = read("own", &mut PackReader::new(&bytes, &names));
                prop_assert_eq!(again.as_ref(), Some(value));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            read("own", &mut PackReader::new(&bytes, &Interner::default()));
        }
    }
}
