//! Row 14: the API server is overloaded, or restarts.

use super::*;
use crate::time;

const STACKS: usize = 12;

fn options() -> Options {
    let mut options = Options { shards: 3, ..Options::quiet(1) };
    options.limits.qps = 30.0;
    options.limits.burst = 9;
    options
}

/// For a minute everything is answered with 429 and `Retry-After`.
fn too_many() -> Result<usize, String> {
    play(options(), async move |world| {
        begin(&world, &[]).await?;
        let until = time::now() + Duration::from_secs(60);
        let sent = Rc::new(RefCell::new(Vec::new()));
        let (weak, mark) = (Rc::downgrade(&world), Rc::clone(&sent));
        let refused = script(&world, move |call| {
            let world = weak.upgrade()?;
            if time::now() >= until || call.verb == "watch" {
                return None;
            }
            mark.borrow_mut().push(world.elapsed());
            Some(Fate::Answer { code: 429, retry_after: Some(5) })
        });
        for n in 0..STACKS {
            world.membership.order(&existing_of(&format!("org-s{n}"), "v1", &["auth", "ledger"], &[], false));
        }
        net::sleep(until.saturating_duration_since(time::now())).await;
        let sent = sent.borrow().clone();
        // Each shard asks again every five seconds or so. What was on its way is there at once.
        if sent.len() > 3 * 13 + 9 {
            return Err(format!("{} requests in a minute of 429", sent.len()));
        }
        // And not all at the same time.
        let later: Vec<_> = sent.iter().filter(|at| **at > sent[0] + Duration::from_secs(8)).collect();
        let together =
            later.windows(4).filter(|four| *four[3] - *four[0] < Duration::from_millis(20)).count();
        if together > 1 {
            return Err(format!("{together} times four requests within 20 ms"));
        }
        world.converged(SOON).await?;
        let struck = *refused.borrow();
        Ok(struck)
    })
}

/// It is out of reach for a while, again and again; the limiter's guard counts throughout.
fn restarts() -> Result<usize, String> {
    play(options(), async move |world| {
        begin(&world, &[]).await?;
        for n in 0..STACKS {
            world.membership.order(&existing_of(
                &format!("org-s{n}"),
                "v1",
                &["auth", "ledger"],
                &["web"],
                true,
            ));
            if n % 4 == 0 {
                world.server.go_down(Duration::from_secs(8));
                world.server.stir();
                net::sleep(Duration::from_secs(12)).await;
            }
        }
        world.converged(SOON * 2).await?;
        Ok(world.all_struck().of("refuse") as usize)
    })
}

#[test]
fn row_14_an_overloaded_api_server_is_left_alone() {
    family("row 14, 429", || {
        let mut covered = Covered::default();
        covered.add(too_many()?);
        Ok(covered)
    });
}

#[test]
fn row_14_after_an_outage_requests_come_no_faster_than_they_may() {
    family("row 14, outages", || {
        let mut covered = Covered::default();
        covered.add(restarts()?);
        Ok(covered)
    });
}
