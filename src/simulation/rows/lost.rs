//! Rows 6 and 7: requests and answers that get lost.

use super::*;

const ERRORS: [Fate; 7] = [
    Fate::Answer { code: 429, retry_after: Some(1) },
    Fate::Answer { code: 500, retry_after: None },
    Fate::Answer { code: 503, retry_after: Some(2) },
    Fate::Answer { code: 504, retry_after: None },
    Fate::Lose,
    Fate::Refuse,
    Fate::BlackHole,
];

/// A story whose last order meets with these fates, from the agent's start on where `from_start`.
fn struck(
    story: Story,
    from_start: bool,
    end: Content,
    within: Duration,
    fate: impl FnMut(&Call) -> Option<Fate> + 'static,
) -> Result<(usize, BTreeMap<String, usize>), String> {
    play(Options::quiet(1), async move |world| {
        let mut orders = story.1();
        let last = orders.pop().ok_or("an empty story")?;
        let count = if from_start {
            let count = script(&world, fate);
            begin(&world, &orders).await?;
            count
        } else {
            begin(&world, &orders).await?;
            script(&world, fate)
        };
        world.membership.order(&last);
        ends_as(&world, &end, within).await?;
        let creations = end
            .keys()
            .map(|(plural, name)| (format!("{plural}/{name}"), world.server.guards.creations(plural, name)));
        let struck = *count.borrow();
        Ok((struck, creations.collect()))
    })
}

fn lost_requests() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for story in STORIES {
        let undisturbed = told(Options::quiet(1), story)?;
        // Each call by itself, and three in a row from each.
        for (call, many) in (0..undisturbed.after.0).flat_map(|call| [(call, 1), (call, 3)]) {
            for error in ERRORS {
                let fate = error.clone();
                let hits = move |seen: &Call| {
                    (call..call + many)
                        .contains(&seen.index)
                        .then(|| fate.clone())
                        .filter(|_| seen.verb != "watch")
                };
                let (times, _) =
                    struck(story, true, undisturbed.end.clone(), SOON, hits).map_err(|wrong| {
                        format!("{}, call {call} and {many} in a row, {error:?}: {wrong}", story.0)
                    })?;
                covered.add(times);
            }
        }
    }
    Ok(covered)
}

/// The answer of a write is lost, and so is what the agent asks then.
fn lost_reads() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for story in STORIES {
        let undisturbed = told(Options::quiet(1), story)?;
        for write in undisturbed.before.1..undisturbed.after.1 {
            for (first, error) in
                [Fate::LoseAnswer, Fate::Lose].into_iter().flat_map(|f| ERRORS.map(|e| (f.clone(), e)))
            {
                let (fate, after) = (first.clone(), error.clone());
                let mut reads = 0;
                let hits = move |seen: &Call| match (seen.write, seen.verb) {
                    (Some(this), _) if this == write => Some(fate.clone()),
                    (None, "get") if reads < 2 => {
                        reads += 1;
                        Some(after.clone())
                    }
                    _ => None,
                };
                let (times, _) =
                    struck(story, false, undisturbed.end.clone(), SOON, hits).map_err(|wrong| {
                        format!("{}, write {write} {first:?}, reads {error:?}: {wrong}", story.0)
                    })?;
                covered.add(times);
            }
        }
    }
    Ok(covered)
}

#[test]
fn row_06_a_request_lost_at_any_call_is_made_up_for() {
    family("row 06, requests", lost_requests);
}

#[test]
fn row_06_a_read_that_fails_means_nothing() {
    family("row 06, reads", lost_reads);
}

#[test]
fn row_07_a_write_of_unknown_outcome_has_one_effect() {
    family("row 07", || {
        let mut covered = Covered::default();
        for story in STORIES {
            let undisturbed = told(Options::quiet(1), story)?;
            for write in undisturbed.before.1..undisturbed.after.1 {
                for fate in [Fate::LoseAnswer, Fate::Deny(500), Fate::Deny(504), Fate::Lose] {
                    let this = fate.clone();
                    let hits = move |seen: &Call| (seen.write == Some(write)).then(|| this.clone());
                    let within = Duration::from_secs(20);
                    let (times, creations) = struck(story, false, undisturbed.end.clone(), within, hits)
                        .map_err(|wrong| format!("{}, write {write} {fate:?}: {wrong}", story.0))?;
                    if let Some((object, times)) = creations.iter().find(|(_, times)| **times > 1) {
                        return Err(format!(
                            "{}, write {write} {fate:?}: {object} was made {times} times",
                            story.0
                        ));
                    }
                    covered.add(times);
                }
            }
        }
        Ok(covered)
    });
}
