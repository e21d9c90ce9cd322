//! Row 2: a newer order comes at every point of an older one's run.

use super::*;

/// What is there, the older order, and the newer one.
type Supersession = (&'static str, fn() -> Vec<Order>, fn() -> Order, fn() -> Order);

const PAIRS: [Supersession; 6] = [
    ("existing over existing", || vec![], older, second),
    ("existing over existing that changes", || vec![second()], older, first),
    ("deleted over existing", || vec![first()], older, deleted),
    ("existing after deleted", || vec![first()], deleted, second),
    ("deleted over disabled", || vec![first()], disabled, deleted),
    ("enabled after disabled", || vec![first()], disabled, enabled),
];

fn older() -> Order {
    existing("older", &["auth", "gateway", "wallets"], &["web"], true)
}

/// Requests wait for their permits, so that orders come while they do.
fn options() -> Options {
    let mut options = Options { shards: 1, ..Options::quiet(1) };
    options.limits.qps = 20.0;
    options.limits.burst = 1;
    options
}

fn run() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for (name, base, older, newer) in PAIRS {
        let (first, last, end) = play(options(), async move |world| {
            begin(&world, &base()).await?;
            let first = world.server.counts().0;
            world.membership.order(&older());
            world.converged(SOON).await?;
            let last = world.server.counts().0;
            world.membership.order(&newer());
            world.converged(SOON).await?;
            Ok((first, last, content(&world)))
        })?;
        for request in first..last {
            for applied in [false, true] {
                // Before the next request gets its permit, at once and a little later.
                for pause in [0, 25] {
                    let point = (request, applied, Duration::from_millis(pause));
                    supersede((name, base, older, newer), point, end.clone())
                        .map_err(|wrong| format!("{name}, {point:?}: {wrong}"))?;
                    covered.add(1);
                }
            }
        }
    }
    Ok(covered)
}

fn supersede(pair: Supersession, point: (usize, bool, Duration), end: Content) -> Result<(), String> {
    let (_, base, older, newer) = pair;
    let (request, applied, pause) = point;
    play(options(), async move |world| {
        begin(&world, &base()).await?;
        let given = Rc::new(RefCell::new(None));
        let weak = Rc::downgrade(&world);
        let mark = Rc::clone(&given);
        let give = move || {
            let (Some(world), mark) = (weak.upgrade(), Rc::clone(&mark)) else { return };
            net::spawn(async move {
                net::sleep(pause).await;
                world.membership.order(&newer());
                mark.replace(Some(world.elapsed()));
            })
            .detach();
        };
        let (weak, mark) = (Rc::downgrade(&world), Rc::clone(&given));
        let stale = Rc::new(RefCell::new(None));
        let found = Rc::clone(&stale);
        let give_at_send = give.clone();
        script(&world, move |call| {
            if !applied && call.index == request {
                give_at_send();
            }
            // An order takes some milliseconds to come through.
            let late = mark.borrow().is_some_and(|at| {
                weak.upgrade().is_some_and(|world| world.elapsed() > at + Duration::from_millis(12))
            });
            let body = String::from_utf8_lossy(&call.body);
            if late && call.write.is_some() && body.contains("older") {
                found.replace(Some(format!(
                    "{} {}/{} follows from the older order",
                    call.verb, call.plural, call.name
                )));
            }
            None
        });
        if applied {
            world.server.set_witness(Box::new(move |call, _| {
                if call.index == request {
                    give();
                }
            }));
        }
        world.membership.order(&older());
        world.until("the newer order was given", SOON, || given.borrow().is_some()).await?;
        ends_as(&world, &end, SOON).await?;
        stale.take().map_or(Ok(()), Err)
    })
}

#[test]
fn row_02_a_newer_order_at_any_point_ends_as_it_alone_says() {
    family("row 02", run);
}
