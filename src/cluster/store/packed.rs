//! One object in few bytes.
//!
//! First what decisions look at, then what they do not (resourceVersion, status), so that
//! whether a decision could come out otherwise is seen without reading either. What is almost
//! always the same takes a bit: the agent's two labels, the Stack as owner, the stack's name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    interner::Interner,
    json,
    packing::{PackReader, PackWriter},
};
use crate::stack::{
    desired, labels,
    object::{API_VERSION, Object, ObjectKey, Owner},
    ownership::Removable,
    version::ObjectVersion,
};

/// Bits of a record's first byte.
const TERMINATING: u8 = 1;
/// It is named as its stack.
const NAMED: u8 = 2;
/// It carries the agent's two labels for its stack.
const LABELLED: u8 = 4;
const OIDC_WHOLE: u8 = 8;
const TLS_DISABLE: u8 = 16;

/// Bits of an owner.
const THE_STACK: u8 = 1;
const CONTROLLER: u8 = 2;
const BLOCKS: u8 = 4;
const SAYS_BLOCKS: u8 = 8;

/// An object of a stack, packed.
#[derive(Debug)]
pub(super) struct PackedObject(Box<[u8]>);

impl PackedObject {
    /// Packs an object of this stack.
    pub(super) fn pack(object: &Object, stack: &str, names: &mut Interner) -> Self {
        let mut decided = PackWriter { bytes: Vec::with_capacity(160), names };
        write_decided(object, stack, &mut decided);
        let decided = decided.bytes;
        let mut whole = PackWriter { bytes: Vec::with_capacity(decided.len() + 100), names };
        whole.number(decided.len() as u64);
        whole.bytes.extend_from_slice(&decided);
        write_version(&object.resource_version, &mut whole);
        json::write(&object.status, stack, &mut whole);
        Self(whole.bytes.into_boxed_slice())
    }

    /// The object again, with what decisions and reports need of it.
    pub(super) fn unpack(
        &self,
        key: impl FnOnce(&str) -> ObjectKey,
        stack: &str,
        names: &Interner,
    ) -> Option<Object> {
        let (decided, mut rest) = self.parts(names)?;
        let mut object = read_decided(key, stack, &mut PackReader::new(decided, names))?;
        object.resource_version = read_version(&mut rest)?;
        object.status = json::read(stack, &mut rest)?;
        Some(object)
    }

    /// The uid and resourceVersion.
    pub(super) fn version(&self, names: &Interner) -> Option<ObjectVersion> {
        let (decided, mut rest) = self.parts(names)?;
        let mut decided = PackReader::new(decided, names);
        let flags = decided.byte()?;
        if flags & NAMED == 0 {
            decided.text()?;
        }
        Some(ObjectVersion { uid: read_uid(&mut decided)?, resource_version: read_version(&mut rest)? })
    }

    /// The name.
    pub(super) fn name<'a>(&'a self, stack: &'a str, names: &'a Interner) -> Option<&'a str> {
        let (decided, _) = self.parts(names)?;
        let mut decided = PackReader::new(decided, names);
        if decided.byte()? & NAMED != 0 { Some(stack) } else { decided.text() }
    }

    /// The reported status.
    pub(super) fn status(&self, stack: &str, names: &Interner) -> Option<Value> {
        let (_, mut rest) = self.parts(names)?;
        read_version(&mut rest)?;
        json::read(stack, &mut rest)
    }

    /// Whether decisions look at the same in both, which are of one key. Equal ones mostly have
    /// equal bytes, but for texts that got their numbers in between.
    pub(super) fn decides_as(&self, other: &Self, key: &ObjectKey, stack: &str, names: &Interner) -> bool {
        let (Some((mine, _)), Some((others, _))) = (self.parts(names), other.parts(names)) else {
            return false;
        };
        let read = |decided| read_decided(|_| key.clone(), stack, &mut PackReader::new(decided, names));
        mine == others || (read(mine).is_some() && read(mine) == read(others))
    }

    fn parts<'a>(&'a self, names: &'a Interner) -> Option<(&'a [u8], PackReader<'a>)> {
        let mut reader = PackReader::new(&self.0, names);
        let length = reader.length()?;
        Some((reader.take(length)?, reader))
    }
}

fn write_decided(object: &Object, stack: &str, to: &mut PackWriter<'_>) {
    let removable = &object.removable;
    let labelled = object.label(labels::CREATED_BY_AGENT) == Some(labels::CREATED_BY_AGENT_VALUE)
        && object.label(labels::STACK) == Some(stack);
    let bits = [
        (TERMINATING, object.terminating),
        (NAMED, *object.key.name == *stack),
        (LABELLED, labelled),
        (OIDC_WHOLE, removable.oidc_whole),
        (TLS_DISABLE, removable.tls_disable),
    ];
    to.bytes.push(bits.iter().filter(|(_, set)| *set).fold(0, |flags, (bit, _)| flags | bit));
    if *object.key.name != *stack {
        to.text(&object.key.name);
    }
    write_uid(&object.uid, to);
    let left_out = |key: &str| labelled && matches!(key, labels::CREATED_BY_AGENT | labels::STACK);
    write_map(&object.labels, &removable.labels, left_out, to);
    write_map(&object.annotations, &removable.annotations, |_| false, to);
    to.number(object.owners.len() as u64);
    object.owners.iter().for_each(|owner| write_owner(owner, stack, to));
    let spec = desired::compared(&object.spec);
    let oidc: Vec<_> = removable.oidc.iter().collect();
    to.number(oidc.len() as u64);
    oidc.into_iter().for_each(|key| to.text(key));
    json::write(&spec, stack, to);
}

fn read_decided(
    key: impl FnOnce(&str) -> ObjectKey,
    stack: &str,
    from: &mut PackReader<'_>,
) -> Option<Object> {
    let flags = from.byte()?;
    let is = |bit: u8| flags & bit != 0;
    let key = key(if is(NAMED) { stack } else { from.text()? });
    let uid = read_uid(from)?;
    let (mut labels, own_labels) = read_map(from)?;
    if is(LABELLED) {
        labels.insert(labels::CREATED_BY_AGENT.into(), labels::CREATED_BY_AGENT_VALUE.into());
        labels.insert(labels::STACK.into(), stack.into());
    }
    let (annotations, own_annotations) = read_map(from)?;
    let owners = from.length()?;
    let owners = (0..owners).map(|_| read_owner(stack, from)).collect::<Option<Vec<_>>>()?;
    let oidc = from.length()?;
    let oidc = (0..oidc).map(|_| from.text().map(str::to_owned)).collect::<Option<BTreeSet<_>>>()?;
    Some(Object {
        key,
        uid,
        resource_version: String::new(),
        terminating: is(TERMINATING),
        labels,
        annotations,
        owners,
        spec: json::read(stack, from)?,
        status: Value::Null,
        removable: Removable {
            labels: own_labels,
            annotations: own_annotations,
            oidc,
            oidc_whole: is(OIDC_WHOLE),
            tls_disable: is(TLS_DISABLE),
        },
    })
}

/// Labels or annotations under the agent's prefix, each with the bit whether it may be taken back.
/// Others are never compared.
fn write_map(
    map: &BTreeMap<String, String>,
    removable: &BTreeSet<String>,
    left_out: impl Fn(&str) -> bool,
    to: &mut PackWriter<'_>,
) {
    let kept = map.iter().filter(|(key, _)| !left_out(key));
    let kept: Vec<_> =
        kept.filter_map(|(key, value)| Some((key, key.strip_prefix(labels::PREFIX)?, value))).collect();
    to.number(kept.len() as u64);
    for (key, name, value) in kept {
        to.bytes.push(u8::from(removable.contains(key)));
        to.text(name);
        to.text(value);
    }
}

fn read_map(from: &mut PackReader<'_>) -> Option<(BTreeMap<String, String>, BTreeSet<String>)> {
    let (mut map, mut removable) = (BTreeMap::new(), BTreeSet::new());
    for _ in 0..from.length()? {
        let ours = from.byte()? == 1;
        let key = format!("{}{}", labels::PREFIX, from.text()?);
        if ours {
            removable.insert(key.clone());
        }
        map.insert(key, from.text()?.to_owned());
    }
    Some((map, removable))
}

fn write_owner(owner: &Owner, stack: &str, to: &mut PackWriter<'_>) {
    let the_stack = owner.kind == "Stack" && owner.api_version == API_VERSION && owner.name == *stack;
    let bits = [
        (THE_STACK, the_stack),
        (CONTROLLER, owner.controller),
        (BLOCKS, owner.block_owner_deletion == Some(true)),
        (SAYS_BLOCKS, owner.block_owner_deletion.is_some()),
    ];
    to.bytes.push(bits.iter().filter(|(_, set)| *set).fold(0, |flags, (bit, _)| flags | bit));
    if !the_stack {
        [&owner.kind, &owner.api_version, &owner.name].into_iter().for_each(|text| to.text(text));
    }
    write_uid(&owner.uid, to);
}

fn read_owner(stack: &str, from: &mut PackReader<'_>) -> Option<Owner> {
    let flags = from.byte()?;
    let is = |bit: u8| flags & bit != 0;
    let (kind, api_version, name) = match is(THE_STACK) {
        true => ("Stack", API_VERSION, stack),
        false => (from.text()?, from.text()?, from.text()?),
    };
    Some(Owner {
        kind: kind.into(),
        api_version: api_version.into(),
        name: name.into(),
        controller: is(CONTROLLER),
        block_owner_deletion: is(SAYS_BLOCKS).then(|| is(BLOCKS)),
        uid: read_uid(from)?,
    })
}

/// A UUID as its 16 bytes, behind a 1; anything else as a text behind a 0.
fn write_uid(uid: &str, to: &mut PackWriter<'_>) {
    match uuid(uid) {
        Some(number) => {
            to.bytes.push(1);
            to.bytes.extend(number.to_be_bytes());
        }
        None => {
            to.bytes.push(0);
            to.text(uid);
        }
    }
}

fn read_uid(from: &mut PackReader<'_>) -> Option<String> {
    match from.byte()? {
        1 => Some(hyphenated(u128::from_be_bytes(from.take(16)?.try_into().ok()?))),
        _ => from.text().map(str::to_owned),
    }
}

/// The number of a UUID in its canonical form, 8-4-4-4-12 lower-case digits.
fn uuid(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let digits: String = text.split('-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (hyphenated(number) == text).then_some(number)
}

fn hyphenated(number: u128) -> String {
    let digits = format!("{number:032x}");
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// A version as its number, behind a 1, where that reads as the same; else as a text behind a 0.
fn write_version(version: &str, to: &mut PackWriter<'_>) {
    match version.parse::<u64>() {
        Ok(number) if number.to_string() == version => {
            to.bytes.push(1);
            to.number(number);
        }
        _ => {
            to.bytes.push(0);
            to.text(version);
        }
    }
}

fn read_version(from: &mut PackReader<'_>) -> Option<String> {
    match from.byte()? {
        1 => Some(from.number()?.to_string()),
        _ => from.text().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
