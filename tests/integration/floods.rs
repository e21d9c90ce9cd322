//! Peers that never stop talking take their connection's share of a shard, and those that end their
//! connections in good order cost nothing.

mod goaway;
mod noise;
