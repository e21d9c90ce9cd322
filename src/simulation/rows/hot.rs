//! Row 13: one stack gets orders without end.

use super::*;
use crate::time;

/// A second's orders for the hot stack.
const A_SECOND: u64 = 10_000;
const LASTS: Duration = Duration::from_secs(3);

/// Others get an order each now and then; how long until each is first written for.
fn hot() -> Result<Covered, String> {
    // One slot for all of them: the hot stack has to share it.
    let options = Options { shards: 1, stacks_in_flight: 1, ..Options::quiet(1) };
    play(options, async move |world| {
        begin(&world, &[first()]).await?;
        let until = time::now() + LASTS;
        let storm = net::spawn({
            let world = Rc::clone(&world);
            async move {
                let mut n = 0_u64;
                while time::now() < until {
                    for _ in 0..A_SECOND / 1000 {
                        n += 1;
                        world.membership.order(&existing(&format!("v{n}"), &["auth", "ledger"], &[], false));
                    }
                    net::sleep(Duration::from_millis(1)).await;
                }
                n
            }
        });
        let (mut waits, mut seen) = (Vec::new(), Vec::new());
        for n in 0.. {
            if time::now() >= until {
                break;
            }
            let name = format!("org-cold{n}");
            world.membership.order(&existing_of(&name, "v1", &["auth"], &[], false));
            let asked = time::now();
            let made = || world.server.get("stacks", &name).is_some();
            world.until("another stack gets its turn", Duration::from_secs(5), made).await?;
            waits.push(time::now() - asked);
            let version =
                world.server.get("stacks", STACK).unwrap_or_default()["spec"]["versionsFromFile"].clone();
            seen.push(version.as_str().and_then(|version| version.strip_prefix('v')?.parse::<u64>().ok()));
            net::sleep(Duration::from_millis(20)).await;
        }
        let orders = storm.await;
        waits.sort();
        let p99 = waits[waits.len() * 99 / 100];
        if p99 > Duration::from_secs(1) {
            return Err(format!("p99 of {} others' waits is {p99:?}", waits.len()));
        }
        // While the storm lasts, the hot stack follows: what stands is never long out of date.
        let moved = seen.windows(2).filter(|pair| pair[1] > pair[0]).count();
        if moved * 3 < seen.len() {
            return Err(format!("the hot stack moved on {moved} of {} times", seen.len()));
        }
        world.converged(SOON).await?;
        Ok(Covered { points: waits.len(), struck: orders as usize })
    })
}

#[test]
fn row_13_a_hot_stack_follows_and_holds_up_nobody() {
    family("row 13", hot);
}
