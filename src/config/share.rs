//! How what holds for the whole process is divided over its shards: exactly, and without asking each
//! other. Where there is less of something than there are shards, there are fewer shards.

use std::num::NonZeroUsize;

use super::flag::Flag;

/// A shard's part of a whole. The parts of all shards add up to the whole, and no two of them differ
/// by more than one.
pub fn share(whole: usize, shard: usize, shards: NonZeroUsize) -> usize {
    whole / shards + usize::from(shard < whole % shards)
}

/// As many shards as each can have its part of every limit, and what to say where that is fewer than
/// were wanted.
pub(super) fn fitting(
    wanted: NonZeroUsize,
    limits: &[(&Flag, NonZeroUsize)],
) -> (NonZeroUsize, Option<String>) {
    match limits.iter().min_by_key(|(_, most)| *most) {
        Some((flag, most)) if *most < wanted => {
            let note = format!(
                "the number of shards is {most} instead of {wanted}: --{} is {most} for the whole process, and \
                 each shard needs a part of it",
                flag.name
            );
            (*most, Some(note))
        }
        _ => (wanted, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::flags::{KUBE_BURST, KUBE_MAX_IN_FLIGHT};

    fn count(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn a_limit_below_the_number_of_shards_takes_the_number_down_and_is_named() {
        let limits = [(&KUBE_BURST, count(5)), (&KUBE_MAX_IN_FLIGHT, count(3))];
        let (shards, note) = fitting(count(8), &limits);
        let note = note.unwrap();
        assert_eq!(shards.get(), 3);
        assert!(note.contains("is 3 instead of 8: --kube-max-in-flight is 3"), "{note}");
        assert_eq!(fitting(count(3), &limits), (count(3), None));
        assert_eq!(fitting(count(8), &[]), (count(8), None));
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole_and_are_as_equal_as_can_be(whole in 0usize..1_000_000, n in 1usize..2_000) {
            let parts: Vec<usize> = (0..n).map(|shard| share(whole, shard, count(n))).collect();
            prop_assert_eq!(parts.iter().sum::<usize>(), whole);
            prop_assert!(parts[0] - parts[n - 1] <= 1);
        }

        #[test]
        fn of_no_limit_a_shard_has_nothing(wanted in 1usize..2_000, limits in prop::collection::vec(1usize..2_000, 0..5)) {
            let named: Vec<_> = limits.iter().map(|most| (&KUBE_BURST, count(*most))).collect();
            let (shards, note) = fitting(count(wanted), &named);
            prop_assert_eq!(note.is_none(), shards.get() == wanted);
            for most in limits {
                prop_assert!((0..shards.get()).all(|shard| share(most, shard, shards) > 0));
            }
        }
    }
}
