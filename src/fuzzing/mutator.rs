//! Variations of inputs, drawn from a seed.

/// What readers look for, and what they stumble over.
const TOKENS: [&[u8]; 30] = [
    b"\n",
    b"\r\n",
    b"\0",
    b"\x7f",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    "\u{1f980}".as_bytes(),
    b"\\u0000",
    b"\\ud800",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"../",
    b"/",
    b"?",
    b"%2f",
    b".",
    b"-",
    b"NotFound",
    b"items",
    b"formance.com/",
];

/// Makes variations of inputs.
pub(super) struct Mutator {
    random: fastrand::Rng,
}

impl Mutator {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// One of the inputs with a few changes.
    pub(super) fn vary(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut data = self.random.choice(inputs).cloned().unwrap_or_default();
        for _ in 0..self.random.usize(1..=4) {
            self.change(&mut data, inputs);
        }
        data.truncate(8 << 10);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let random = &mut self.random;
        let at = random.usize(..=data.len());
        let until = (at + 1 + random.usize(..64)).min(data.len());
        match random.u8(..8) {
            0 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
            1 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
            2 => data.truncate(at),
            3 => drop(data.drain(at..until)),
            4 => {
                let token = TOKENS[random.usize(..TOKENS.len())];
                data.splice(at..at, token.iter().copied());
            }
            5 => {
                let token = TOKENS[random.usize(..TOKENS.len())];
                data.splice(at..until, token.iter().copied());
            }
            6 => {
                let repeated = data[at..until].repeat(random.usize(1..40));
                data.splice(at..at, repeated);
            }
            _ => {
                let other = random.choice(inputs).map(Vec::as_slice).unwrap_or_default();
                let from = random.usize(..=other.len());
                data.splice(at.., other[from..].iter().copied());
            }
        }
    }
}
