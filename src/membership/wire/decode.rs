//! An order, read from its protobuf in place: so many fields at a time, each entry of a list looked
//! at where it stands. Pure.
//!
//! The generated type would do the same with a copy of everything: a message of 4 MiB can hold two
//! million entries, and 48 MB of memory for those alone. So that type is for JSON, for tests and for
//! what is sent, and this reads what comes; both say the same of any message that both can read.

use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field},
};

use super::{
    convert::{OrderBody, OrderError, TRACE},
    snapshot::SnapshotBuilder,
};
use crate::order::{Order, Trace};

/// Why bytes are no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedOrder {
    /// They are no protobuf, or of other types than an order's fields.
    #[error(transparent)]
    Protobuf(#[from] DecodeError),
    /// A field ends behind the end of what it is a part of.
    #[error("a field is longer than the message that it stands in")]
    CutShort,
    /// A text that is none.
    #[error("a text is no UTF-8")]
    Text,
}

/// An order and the trace that it belongs to; no order where the message is about no stack.
pub type DecodedOrder = Result<(Option<Order>, Option<Trace>), OrderError>;

/// See the module.
pub struct OrderDecoder<'a> {
    /// What is left of the message.
    order: &'a [u8],
    /// What is left of the Stack in it that is being read.
    stack: &'a [u8],
    is_module: &'a dyn Fn(&str) -> bool,
    /// The member of the oneof that came last.
    body: OrderBody<'a>,
    trace: &'a str,
}

/// What a message is about, as far as that matters before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// To be answered.
    Ping,
    /// To be ignored.
    Connected,
    /// An order, one of a kind that this version does not know, or no message at all.
    Other,
}

/// What a message is about.
pub fn message_kind(mut message: &[u8]) -> MessageKind {
    let mut message_kind = MessageKind::Other;
    while !message.is_empty() {
        let Ok((tag, wire)) = decode_key(&mut message) else { return MessageKind::Other };
        message_kind = match tag {
            1 => MessageKind::Connected,
            4 => MessageKind::Ping,
            2 | 3 | 6 | 7 => MessageKind::Other,
            _ => message_kind,
        };
        if skip_field(wire, tag, &mut message, DecodeContext::default()).is_err() {
            return MessageKind::Other;
        }
    }
    message_kind
}

/// All of an order at once.
pub fn decode(message: &[u8], is_module: &dyn Fn(&str) -> bool) -> Result<DecodedOrder, MalformedOrder> {
    let mut reading = OrderDecoder::new(message, is_module);
    while !reading.step(usize::MAX)? {}
    Ok(reading.finish())
}

impl<'a> OrderDecoder<'a> {
    /// Begins to read. `is_module` says whether the cluster has a module of some name.
    pub fn new(message: &'a [u8], is_module: &'a dyn Fn(&str) -> bool) -> Self {
        Self { order: message, stack: &[], is_module, body: OrderBody::Nothing, trace: "" }
    }

    /// Reads so many fields; whether those were the last.
    pub fn step(&mut self, fields: usize) -> Result<bool, MalformedOrder> {
        for _ in 0..fields {
            if !self.stack.is_empty() {
                self.stack_field()?;
            } else if !self.order.is_empty() {
                self.order_field()?;
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was read, once all of it was.
    pub fn finish(self) -> DecodedOrder {
        Ok((self.body.order()?, Trace::read(self.trace)))
    }

    /// The next field of Order.
    fn order_field(&mut self) -> Result<(), MalformedOrder> {
        let (tag, wire) = decode_key(&mut self.order)?;
        if !matches!(tag, 1..=4 | 6..=8) {
            return Ok(skip_field(wire, tag, &mut self.order, DecodeContext::default())?);
        }
        let inner = delimited(wire, &mut self.order)?;
        match tag {
            2 => {
                if !matches!(self.body, OrderBody::Existing { .. }) {
                    let builder = Box::new(SnapshotBuilder::new(self.is_module));
                    self.body = OrderBody::Existing { builder, name: "", versions: "" };
                }
                self.stack = inner;
            }
            3 => {
                let before = if let OrderBody::Deleted(name) = self.body { name } else { "" };
                self.body = OrderBody::Deleted(cluster_name(inner, before)?);
            }
            6 => {
                let before = if let OrderBody::Disabled(name) = self.body { name } else { "" };
                self.body = OrderBody::Disabled(cluster_name(inner, before)?);
            }
            7 => {
                let before = if let OrderBody::Enabled(name) = self.body { name } else { "" };
                self.body = OrderBody::Enabled(cluster_name(inner, before)?);
            }
            8 => {
                let (key, value) = pair(inner)?;
                if key == TRACE {
                    self.trace = value;
                }
            }
            // Connected and Ping, which are empty.
            _ => {
                each(inner, &mut |tag, wire, rest| skip(tag, wire, rest))?;
                self.body = OrderBody::Nothing;
            }
        }
        Ok(())
    }

    /// The next field of Stack.
    fn stack_field(&mut self) -> Result<(), MalformedOrder> {
        let OrderBody::Existing { builder, name, versions } = &mut self.body else {
            self.stack = &[];
            return Ok(());
        };
        let rest = &mut self.stack;
        let (tag, wire) = decode_key(rest)?;
        match tag {
            1 => *name = text(wire, rest)?,
            2 => drop(text(wire, rest)?),
            3 => builder.auth.get_or_insert_default().merge(delimited(wire, rest)?)?,
            4 => {
                let (id, public) = client(delimited(wire, rest)?)?;
                builder.client(id, public);
            }
            5 => builder.stargate.get_or_insert_default().merge(delimited(wire, rest)?)?,
            6 => builder.disabled = boolean(wire, rest)?,
            8 => *versions = text(wire, rest)?,
            10 => {
                let (key, value) = pair(delimited(wire, rest)?)?;
                builder.labels.add(key, value);
            }
            11 => {
                let (key, value) = pair(delimited(wire, rest)?)?;
                builder.annotations.add(key, value);
            }
            12 => builder.module(module(delimited(wire, rest)?)?),
            _ => skip(tag, wire, rest)?,
        }
        Ok(())
    }
}

/// What a length-delimited field holds.
fn delimited<'a>(wire: WireType, rest: &mut &'a [u8]) -> Result<&'a [u8], MalformedOrder> {
    check_wire_type(WireType::LengthDelimited, wire)?;
    let length = usize::try_from(decode_varint(rest)?).map_err(|_| MalformedOrder::CutShort)?;
    let (inner, after) = rest.split_at_checked(length).ok_or(MalformedOrder::CutShort)?;
    *rest = after;
    Ok(inner)
}

fn text<'a>(wire: WireType, rest: &mut &'a [u8]) -> Result<&'a str, MalformedOrder> {
    std::str::from_utf8(delimited(wire, rest)?).map_err(|_| MalformedOrder::Text)
}

fn boolean(wire: WireType, rest: &mut &[u8]) -> Result<bool, MalformedOrder> {
    check_wire_type(WireType::Varint, wire)?;
    Ok(decode_varint(rest)? != 0)
}

fn skip(tag: u32, wire: WireType, rest: &mut &[u8]) -> Result<(), MalformedOrder> {
    Ok(skip_field(wire, tag, rest, DecodeContext::default())?)
}

/// Reads a field of this tag and type from the beginning of what is left.
type FieldReader<'a, 'f> = dyn FnMut(u32, WireType, &mut &'a [u8]) -> Result<(), MalformedOrder> + 'f;

/// Goes through the fields of a message that is read in one go.
fn each<'a>(mut rest: &'a [u8], field: &mut FieldReader<'a, '_>) -> Result<(), MalformedOrder> {
    while !rest.is_empty() {
        let (tag, wire) = decode_key(&mut rest)?;
        field(tag, wire, &mut rest)?;
    }
    Ok(())
}

/// The one field of DeletedStack, DisabledStack and EnabledStack. A second message of a kind adds to
/// the first.
fn cluster_name<'a>(message: &'a [u8], before: &'a str) -> Result<&'a str, MalformedOrder> {
    let mut name = before;
    each(message, &mut |tag, wire, rest| {
        match tag {
            1 => name = text(wire, rest)?,
            _ => skip(tag, wire, rest)?,
        }
        Ok(())
    })?;
    Ok(name)
}

/// The one field of Module.
fn module(message: &[u8]) -> Result<&str, MalformedOrder> {
    cluster_name(message, "")
}

fn client(message: &[u8]) -> Result<(&str, bool), MalformedOrder> {
    let (mut id, mut public) = ("", false);
    each(message, &mut |tag, wire, rest| {
        match tag {
            1 => public = boolean(wire, rest)?,
            2 => id = text(wire, rest)?,
            _ => skip(tag, wire, rest)?,
        }
        Ok(())
    })?;
    Ok((id, public))
}

/// An entry of a map of texts.
fn pair(message: &[u8]) -> Result<(&str, &str), MalformedOrder> {
    let (mut key, mut value) = ("", "");
    each(message, &mut |tag, wire, rest| {
        match tag {
            1 => key = text(wire, rest)?,
            2 => value = text(wire, rest)?,
            _ => skip(tag, wire, rest)?,
        }
        Ok(())
    })?;
    Ok((key, value))
}

#[cfg(test)]
mod tests;
