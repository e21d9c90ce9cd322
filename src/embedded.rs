//! A cluster in this process: a pure model of the API server's objects, a server over it, and a
//! membership, for the demo, tests and benches.

pub mod crds;
