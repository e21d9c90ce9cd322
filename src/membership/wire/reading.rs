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
    door::{OrderError, TRACE},
    draft::Draft,
    server,
};
use crate::order::{Change, Order, StackName, Trace};

/// Why bytes are no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
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
pub type Read = Result<(Option<Order>, Option<Trace>), OrderError>;

/// See the module.
pub struct Reading<'a> {
    /// What is left of the message.
    order: &'a [u8],
    /// What is left of the Stack in it that is being read.
    stack: &'a [u8],
    is_module: &'a dyn Fn(&str) -> bool,
    body: Body<'a>,
    trace: &'a str,
}

/// The member of the oneof that came last.
enum Body<'a> {
    Nothing,
    Existing { draft: Box<Draft<'a>>, name: &'a str, versions: &'a str },
    Deleted(&'a str),
    Disabled(&'a str),
    Enabled(&'a str),
}

/// What a message is about, as far as that matters before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To be answered.
    Ping,
    /// To be ignored.
    Connected,
    /// An order, one of a kind that this version does not know, or no message at all.
    Other,
}

/// What a message is about.
pub fn kind(mut message: &[u8]) -> Kind {
    let mut kind = Kind::Other;
    while !message.is_empty() {
        let Ok((tag, wire)) = decode_key(&mut message) else { return Kind::Other };
        kind = match tag {
            1 => Kind::Connected,
            4 => Kind::Ping,
            2 | 3 | 6 | 7 => Kind::Other,
            _ => kind,
        };
        if skip_field(wire, tag, &mut message, DecodeContext::default()).is_err() {
            return Kind::Other;
        }
    }
    kind
}

/// All of an order at once.
pub fn read(message: &[u8], is_module: &dyn Fn(&str) -> bool) -> Result<Read, Malformed> {
    let mut reading = Reading::new(message, is_module);
    while !reading.step(usize::MAX)? {}
    Ok(reading.finish())
}

impl<'a> Reading<'a> {
    /// Begins to read. `is_module` says whether the cluster has a module of some name.
    pub fn new(message: &'a [u8], is_module: &'a dyn Fn(&str) -> bool) -> Self {
        Self { order: message, stack: &[], is_module, body: Body::Nothing, trace: "" }
    }

    /// Reads so many fields; whether those were the last.
    pub fn step(&mut self, fields: usize) -> Result<bool, Malformed> {
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
    pub fn finish(self) -> Read {
        let trace = Trace::read(self.trace);
        let name = |order, name: &str| {
            StackName::new(name).map_err(|source| OrderError::StackName { order, source })
        };
        let order = match self.body {
            Body::Nothing => return Ok((None, trace)),
            Body::Existing { mut draft, name: cluster_name, versions } => {
                let stack = name("existingStack", cluster_name)?;
                draft.versions = versions.to_owned();
                let change = Change::Existing(Box::new(draft.finish(&stack)));
                Order { stack, change }
            }
            Body::Deleted(text) => Order { stack: name("deletedStack", text)?, change: Change::Deleted },
            Body::Disabled(text) => {
                Order { stack: name("disabledStack", text)?, change: Change::Disabled(true) }
            }
            Body::Enabled(text) => {
                Order { stack: name("enabledStack", text)?, change: Change::Disabled(false) }
            }
        };
        Ok((Some(order), trace))
    }

    /// The next field of Order.
    fn order_field(&mut self) -> Result<(), Malformed> {
        let (tag, wire) = decode_key(&mut self.order)?;
        if !matches!(tag, 1..=4 | 6..=8) {
            return Ok(skip_field(wire, tag, &mut self.order, DecodeContext::default())?);
        }
        let inner = delimited(wire, &mut self.order)?;
        match tag {
            2 => {
                if !matches!(self.body, Body::Existing { .. }) {
                    let draft = Box::new(Draft::new(self.is_module));
                    self.body = Body::Existing { draft, name: "", versions: "" };
                }
                self.stack = inner;
            }
            3 => {
                let before = if let Body::Deleted(name) = self.body { name } else { "" };
                self.body = Body::Deleted(cluster_name(inner, before)?);
            }
            6 => {
                let before = if let Body::Disabled(name) = self.body { name } else { "" };
                self.body = Body::Disabled(cluster_name(inner, before)?);
            }
            7 => {
                let before = if let Body::Enabled(name) = self.body { name } else { "" };
                self.body = Body::Enabled(cluster_name(inner, before)?);
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
                self.body = Body::Nothing;
            }
        }
        Ok(())
    }

    /// The next field of Stack.
    fn stack_field(&mut self) -> Result<(), Malformed> {
        let Body::Existing { draft, name, versions } = &mut self.body else {
            self.stack = &[];
            return Ok(());
        };
        let rest = &mut self.stack;
        let (tag, wire) = decode_key(rest)?;
        match tag {
            1 => *name = text(wire, rest)?,
            2 => drop(text(wire, rest)?),
            3 => draft.auth.get_or_insert_default().merge(delimited(wire, rest)?)?,
            4 => {
                let (id, public) = client(delimited(wire, rest)?)?;
                draft.client(id, public);
            }
            5 => draft.stargate.get_or_insert_default().merge(delimited(wire, rest)?)?,
            6 => draft.disabled = boolean(wire, rest)?,
            8 => *versions = text(wire, rest)?,
            10 => {
                let (key, value) = pair(delimited(wire, rest)?)?;
                draft.labels.add(key, value);
            }
            11 => {
                let (key, value) = pair(delimited(wire, rest)?)?;
                draft.annotations.add(key, value);
            }
            12 => draft.module(module(delimited(wire, rest)?)?),
            _ => skip(tag, wire, rest)?,
        }
        Ok(())
    }
}

/// What a length-delimited field holds.
fn delimited<'a>(wire: WireType, rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    check_wire_type(WireType::LengthDelimited, wire)?;
    let length = usize::try_from(decode_varint(rest)?).map_err(|_| Malformed::CutShort)?;
    let (inner, after) = rest.split_at_checked(length).ok_or(Malformed::CutShort)?;
    *rest = after;
    Ok(inner)
}

fn text<'a>(wire: WireType, rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    std::str::from_utf8(delimited(wire, rest)?).map_err(|_| Malformed::Text)
}

fn boolean(wire: WireType, rest: &mut &[u8]) -> Result<bool, Malformed> {
    check_wire_type(WireType::Varint, wire)?;
    Ok(decode_varint(rest)? != 0)
}

fn skip(tag: u32, wire: WireType, rest: &mut &[u8]) -> Result<(), Malformed> {
    Ok(skip_field(wire, tag, rest, DecodeContext::default())?)
}

/// Reads a field of this tag and type from the beginning of what is left.
type Field<'a, 'f> = dyn FnMut(u32, WireType, &mut &'a [u8]) -> Result<(), Malformed> + 'f;

/// Goes through the fields of a message that is read in one go.
fn each<'a>(mut rest: &'a [u8], field: &mut Field<'a, '_>) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let (tag, wire) = decode_key(&mut rest)?;
        field(tag, wire, &mut rest)?;
    }
    Ok(())
}

/// The one field of DeletedStack, DisabledStack and EnabledStack. A second message of a kind adds to
/// the first.
fn cluster_name<'a>(message: &'a [u8], before: &'a str) -> Result<&'a str, Malformed> {
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
fn module(message: &[u8]) -> Result<&str, Malformed> {
    cluster_name(message, "")
}

fn client(message: &[u8]) -> Result<(&str, bool), Malformed> {
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
fn pair(message: &[u8]) -> Result<(&str, &str), Malformed> {
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

impl<'a> Draft<'a> {
    /// The same from the generated type.
    pub(super) fn of(stack: server::Stack, is_module: &'a dyn Fn(&str) -> bool) -> Self {
        let mut draft = Self::new(is_module);
        draft.versions = stack.versions;
        draft.disabled = stack.disabled;
        draft.auth = stack.auth_config;
        draft.stargate = stack.stargate_config;
        stack.additional_labels.iter().for_each(|(key, value)| draft.labels.add(key, value));
        stack.additional_annotations.iter().for_each(|(key, value)| draft.annotations.add(key, value));
        stack.modules.iter().for_each(|module| draft.module(&module.name));
        stack.static_clients.iter().for_each(|client| draft.client(&client.id, client.public));
        draft
    }
}

#[cfg(test)]
mod tests;
