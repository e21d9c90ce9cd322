//! Row 8: a write that is held back and delivered after a newer order is done.

use super::*;

const HELD: Duration = Duration::from_secs(40);

/// What is there, the older order, whose writes are held back, and the newer one.
type Case = (&'static str, fn() -> Vec<Order>, fn() -> Order, fn() -> Order);

const CASES: [Case; 6] = [
    ("the newer order writes", || vec![first()], second, third),
    // What it wants stands already, where the write that is held back is the first.
    ("the newer order needs no write", || vec![first()], second, first),
    ("the create of a stack since deleted", || vec![], first, deleted),
    ("the update of a stack since deleted", || vec![first()], second, deleted),
    ("the deletion of a stack that is to be", || vec![first()], deleted, first),
    ("disabled, since enabled", || vec![first()], disabled, enabled),
];

fn third() -> Order {
    existing("third", &["auth", "ledger"], &["app"], false)
}

fn run() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for (name, base, older, newer) in CASES {
        let (from, to) = play(Options::quiet(1), async move |world| {
            begin(&world, &base()).await?;
            let from = world.server.counts().1;
            world.membership.order(&older());
            world.converged(SOON).await?;
            Ok((from, world.server.counts().1))
        })?;
        for write in from..to {
            late((name, base, older, newer), write)
                .map_err(|wrong| format!("{name}, write {write}: {wrong}"))?;
            covered.add(1);
        }
    }
    Ok(covered)
}

fn late(case: Case, write: usize) -> Result<(), String> {
    let (_, base, older, newer) = case;
    play(Options::quiet(1), async move |world| {
        begin(&world, &base()).await?;
        let held = script(&world, move |call| (call.write == Some(write)).then_some(Fate::Hold(HELD)));
        let delivered = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&delivered);
        world.server.set_witness(Box::new(move |call, code| {
            if call.write == Some(write) {
                seen.replace(Some((call.verb, code)));
            }
        }));
        world.membership.order(&older());
        world.until("a write is held back", SOON, || *held.borrow() > 0).await?;
        net::sleep(Duration::from_secs(1)).await;
        world.membership.order(&newer());
        world.converged(HELD - Duration::from_secs(5)).await?;
        world.until("it is delivered", HELD * 2, || delivered.borrow().is_some()).await?;
        let (verb, code) = delivered.take().ok_or("nothing was delivered")?;
        if verb != "create" && code < 400 {
            return Err(format!("the late {verb} was carried out: {code}"));
        }
        // What a late create brings up is put right within seconds.
        world.converged(Duration::from_secs(10)).await?;
        net::sleep(Duration::from_secs(60)).await;
        world.wrong().map_or(Ok(()), Err)
    })
}

#[test]
fn row_08_a_late_write_of_any_verb_leaves_the_newer_order_standing() {
    family("row 08", run);
}
