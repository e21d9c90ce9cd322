//! From a key to the shard that owns it.

use crate::ShardId;
use std::hash::{BuildHasher, Hasher};

/// The first 256 bits of the fraction of pi: nothing up the sleeve, and the same in every process.
const SEEDS: ahash::RandomState = ahash::RandomState::with_seeds(
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
);

/// The shard out of `shards` that owns `key`: the same for every call in this process.
///
/// Builds for CPUs with AES instructions hash otherwise than portable ones, so the answer is not
/// to be stored. `shards` of 0 counts as 1.
pub fn shard_of(key: &[u8], shards: usize) -> ShardId {
    // Multiply and shift instead of a remainder: it uses the high bits and costs no division.
    let scaled = (u128::from(hash(key)) * shards.max(1) as u128) >> 64;
    ShardId::new(scaled as usize)
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = SEEDS.build_hasher();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_feature = "aes"))]
    fn golden_values_hold() {
        let golden: [(&str, u64, usize, usize); 6] = [
            ("", 0xd178_c240_70e5_7fc5, 1, 6),
            ("a", 0xa751_fd85_ce9b_fa34, 1, 5),
            ("org1-stack1", 0x3ae7_2598_1d9a_df08, 0, 1),
            ("org1-stack2", 0x6834_6c41_3248_c254, 0, 3),
            ("abcdefghijklmnop", 0xf560_1b3e_9497_6224, 1, 7),
            ("jjtwuwmqokzo-zzzz-0123456789-0123456789-0123456789-0123456789", 0x5f2e_3c40_b9c7_7cc6, 0, 2),
        ];
        for (key, expected, of_two, of_eight) in golden {
            assert_eq!(hash(key.as_bytes()), expected, "{key}");
            assert_eq!(shard_of(key.as_bytes(), 2).index(), of_two, "{key}");
            assert_eq!(shard_of(key.as_bytes(), 8).index(), of_eight, "{key}");
        }
    }

    #[test]
    fn keys_spread_evenly() {
        for shards in [2_usize, 3, 4, 7, 8] {
            let mut counts = vec![0_usize; shards];
            for n in 0..10_000 {
                counts[shard_of(format!("org{:03}-stack{n:04}", n % 97).as_bytes(), shards).index()] += 1;
            }
            let fair = 10_000 / shards;
            assert!(counts.iter().all(|c| c.abs_diff(fair) < fair / 5), "{shards} shards: {counts:?}");
        }
    }

    #[test]
    fn one_shard_owns_all_and_none_counts_as_one() {
        assert_eq!(shard_of(b"a", 1), ShardId::new(0));
        assert_eq!(shard_of(b"a", 0), ShardId::new(0));
    }
}
