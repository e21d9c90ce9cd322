//! What a SOCKS proxy answers.

use crate::net::socks::{SocksHandshake, SocksStep};

/// The answers of a proxy, one after the other: whatever it says, the talk ends, within six answers,
/// connected or with a line that shows no password; and it is connected only if the proxy said so.
pub fn socks(data: &[u8]) {
    let user = || Some((b"name".to_vec(), b"Hush-Hush-4711".to_vec()));
    for user in [None, user()] {
        let mut talk = SocksHandshake::new("api.example", 6443, user).expect("a short name");
        let mut step = talk.begin();
        let (mut rest, mut answers) = (data, Vec::new());
        while let SocksStep::Exchange { send, read } = step {
            assert!(read > 0 && read <= 258 && send.len() <= 513, "{read} {}", send.len());
            assert!(answers.len() < 6);
            let Some((answer, more)) = rest.split_at_checked(read) else { return };
            rest = more;
            answers.push(answer);
            step = match talk.next(answer) {
                Ok(step) => step,
                Err(error) => {
                    assert!(error.to_string().len() < 200 && !error.to_string().contains("Hush"));
                    return;
                }
            };
        }
        let [first, .., reply, _] = &answers[..] else { panic!("connected after {answers:?}") };
        assert_eq!((first[0], &reply[..2]), (5, &[5, 0][..]));
    }
}
