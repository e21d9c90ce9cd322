//! SOCKS 5, the client's side (RFC 1928, RFC 1929): what to say, how much to read, and what it means.
//! Pure.

use std::net::IpAddr;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocksStep {
    /// Send this, if it is anything, then read exactly so many bytes and come back with them.
    Exchange {
        /// What to send.
        send: Vec<u8>,
        /// What to read.
        read: usize,
    },
    /// The connection leads to its target; all that follows is the target's.
    Connected,
}

/// Why there is no way through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// A host's name is longer than the protocol has room for.
    #[error("a name of more than 255 bytes does not fit into SOCKS")]
    NameTooLong,
    /// Another protocol, an HTTP proxy say.
    #[error("does not speak SOCKS 5 (its answer begins with {0})")]
    Version(u8),
    /// It takes none of the ways to log in that there are.
    #[error("wants a log-in that is not there: give user:password@ in its URL")]
    NoMethod,
    /// A way to log in that was not offered.
    #[error("chose a log-in ({0}) that was not offered")]
    Method(u8),
    /// It refused name and password.
    #[error("refused name and password")]
    Refused,
    /// It did not connect.
    #[error("did not connect: {0}")]
    NotConnected(&'static str),
    /// Its answer is none.
    #[error("its answer is no answer of SOCKS 5")]
    Broken,
}

/// One negotiation.
#[derive(Clone)]
pub struct SocksHandshake {
    request: Vec<u8>,
    user: Option<(Vec<u8>, Vec<u8>)>,
    expects: SocksExpects,
}

#[derive(Clone, Copy)]
enum SocksExpects {
    Method,
    LogIn,
    /// Version, result, nothing, kind of address and its first byte.
    Reply,
    /// The rest of the address, and the port.
    Rest,
}

impl SocksHandshake {
    /// To reach `host`, a name or an address, and `port`. Name and password have 255 bytes at most.
    pub fn new(host: &str, port: u16, user: Option<(Vec<u8>, Vec<u8>)>) -> Result<Self, SocksError> {
        let mut request = vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend(address.octets());
            }
            Err(_) => {
                request.extend([NAME, u8::try_from(host.len()).map_err(|_| SocksError::NameTooLong)?]);
                request.extend(host.as_bytes());
            }
        }
        request.extend(port.to_be_bytes());
        Ok(Self { request, user, expects: SocksExpects::Method })
    }

    /// The first step.
    pub fn begin(&self) -> SocksStep {
        let send = match self.user {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD],
        };
        SocksStep::Exchange { send, read: 2 }
    }

    /// The next step, after the bytes that the last one asked for.
    pub fn next(&mut self, read: &[u8]) -> Result<SocksStep, SocksError> {
        match self.expects {
            SocksExpects::Method => self.method(read),
            SocksExpects::LogIn => match read {
                [_, 0] => Ok(self.ask()),
                [_, _] => Err(SocksError::Refused),
                _ => Err(SocksError::Broken),
            },
            SocksExpects::Reply => self.reply(read),
            SocksExpects::Rest => Ok(SocksStep::Connected),
        }
    }

    fn method(&mut self, read: &[u8]) -> Result<SocksStep, SocksError> {
        match (read, &self.user) {
            (&[version, _], _) if version != VERSION => Err(SocksError::Version(version)),
            ([_, NO_AUTHENTICATION], _) => Ok(self.ask()),
            ([_, USER_PASSWORD], Some((name, password))) => {
                let mut send = vec![1];
                for part in [name, password] {
                    send.push(u8::try_from(part.len()).map_err(|_| SocksError::NameTooLong)?);
                    send.extend(part);
                }
                self.expects = SocksExpects::LogIn;
                Ok(SocksStep::Exchange { send, read: 2 })
            }
            ([_, 0xff], _) => Err(SocksError::NoMethod),
            (&[_, other], _) => Err(SocksError::Method(other)),
            _ => Err(SocksError::Broken),
        }
    }

    fn ask(&mut self) -> SocksStep {
        self.expects = SocksExpects::Reply;
        SocksStep::Exchange { send: std::mem::take(&mut self.request), read: 5 }
    }

    fn reply(&mut self, read: &[u8]) -> Result<SocksStep, SocksError> {
        let &[version, result, _, kind, first] = read else { return Err(SocksError::Broken) };
        if version != VERSION {
            return Err(SocksError::Version(version));
        }
        if result != 0 {
            return Err(SocksError::NotConnected(meaning(result)));
        }
        let address = match kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => usize::from(first) + 1,
            _ => return Err(SocksError::Broken),
        };
        self.expects = SocksExpects::Rest;
        // One byte of the address is there already; the port has two.
        Ok(SocksStep::Exchange { send: Vec::new(), read: address - 1 + 2 })
    }
}

fn meaning(result: u8) -> &'static str {
    match result {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "for a reason that is not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(send: &[u8], read: usize) -> SocksStep {
        SocksStep::Exchange { send: send.into(), read }
    }

    #[test]
    fn a_name_is_the_proxys_to_resolve() {
        let mut talk = SocksHandshake::new("api.example", 6443, None).unwrap();
        assert_eq!(talk.begin(), exchange(&[5, 1, 0], 2));
        let asked = [&[5, 1, 0, 3, 11][..], b"api.example", &[0x19, 0x2b]].concat();
        assert_eq!(talk.next(&[5, 0]), Ok(exchange(&asked, 5)));
        assert_eq!(talk.next(&[5, 0, 0, 1, 10]), Ok(exchange(&[], 5)));
        assert_eq!(talk.next(&[0, 0, 1, 0, 80]), Ok(SocksStep::Connected));
    }

    #[test]
    fn addresses_are_sent_as_addresses() {
        let asked = |host: &str| {
            let mut talk = SocksHandshake::new(host, 1, None).unwrap();
            match talk.next(&[5, 0]).unwrap() {
                SocksStep::Exchange { send, .. } => send,
                SocksStep::Connected => panic!(),
            }
        };
        assert_eq!(asked("10.1.2.3"), [5, 1, 0, 1, 10, 1, 2, 3, 0, 1]);
        assert_eq!(asked("::1").len(), 4 + 16 + 2);
    }

    #[test]
    fn name_and_password_are_sent_where_the_proxy_wants_them() {
        let mut talk = SocksHandshake::new("a", 1, Some((b"me".into(), b"pass".into()))).unwrap();
        assert_eq!(talk.begin(), exchange(&[5, 2, 0, 2], 2));
        assert_eq!(talk.next(&[5, 2]), Ok(exchange(b"\x01\x02me\x04pass", 2)));
        assert_eq!(talk.clone().next(&[1, 1]), Err(SocksError::Refused));
        assert_eq!(talk.next(&[1, 0]), Ok(exchange(&[5, 1, 0, 3, 1, b'a', 0, 1], 5)));
        assert_eq!(talk.next(&[5, 0, 0, 3, 9]), Ok(exchange(&[], 11)));
    }

    #[test]
    fn refusals_are_told_by_their_meaning() {
        let talk = SocksHandshake::new("a", 1, None).unwrap();
        assert_eq!(talk.clone().next(b"HT"), Err(SocksError::Version(b'H')));
        assert_eq!(talk.clone().next(&[5, 255]), Err(SocksError::NoMethod));
        assert_eq!(talk.clone().next(&[5, 2]), Err(SocksError::Method(2)));
        let mut asked = talk;
        asked.next(&[5, 0]).unwrap();
        assert_eq!(asked.next(&[5, 5, 0, 1, 0]), Err(SocksError::NotConnected("connection refused")));
        assert!(SocksHandshake::new(&"a".repeat(256), 1, None).is_err());
    }
}
