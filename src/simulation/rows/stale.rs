//! Rows 3 and 4: the API server shows the past, after a restart or in its watches.

use super::*;
use crate::simulation::api_server::{GARBAGE, Manner};

/// While the agent is away, somebody replaces the stack's objects by his own of the same names;
/// then lists show how it was at each version since.
fn stale_after_restart(since: Option<u64>) -> Result<(u64, u64), String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        let before = world.server.cluster.borrow().version();
        world.kill();
        for plural in ["ledgers", "gateways", "stacks"] {
            world.delete(plural, STACK);
            net::sleep(Duration::from_secs(2)).await;
        }
        let gone = || world.server.get("stacks", STACK).is_none();
        world.until("the stack is gone", SOON, gone).await?;
        for (plural, kind, spec) in [
            ("stacks", "Stack", json!({"versionsFromFile": "somebody's"})),
            ("ledgers", "Ledger", json!({"stack": STACK, "debug": true})),
            ("gateways", "Gateway", json!({"stack": STACK, "debug": true})),
        ] {
            let body = json!({"apiVersion": "formance.com/v1beta1", "kind": kind,
                "metadata": {"name": STACK, "annotations": {"example.com/note": "mine"}}, "spec": spec});
            assert!(world.create(plural, body), "{plural}");
        }
        net::sleep(Duration::from_secs(2)).await;
        let after = world.server.cluster.borrow().version();
        let Some(since) = since else { return Ok((before, after)) };
        // The newest order wants neither Ledger nor Gateway.
        world.membership.order(&existing("second", &["auth"], &[], false));
        let uids = ["ledgers", "gateways"].map(|plural| uid(&world, plural));
        for plural in ["stacks", "ledgers", "gateways", "auths", "authclients"] {
            world.server.manners.borrow_mut().insert(plural.into(), Manner::Late(Duration::from_secs(5)));
        }
        let stale = script(&world, move |call| (call.verb == "list").then_some(Fate::Stale(since)));
        world.start();
        world.ready().await?;
        net::sleep(Duration::from_secs(20)).await;
        if *stale.borrow() == 0 {
            return Err("no list was stale".into());
        }
        world.server.set_script(Box::new(|_| None));
        world.membership.cut(Duration::ZERO);
        net::sleep(Duration::from_secs(20)).await;
        for (plural, before) in ["ledgers", "gateways"].into_iter().zip(uids) {
            if uid(&world, plural) != before {
                return Err(format!("somebody's object of {plural} was deleted for an old one's sake"));
            }
        }
        let stack = world.server.get("stacks", STACK).unwrap_or_default();
        if stack["metadata"]["annotations"]["example.com/note"] != "mine" {
            return Err("somebody's Stack was not kept".into());
        }
        world.converged(SOON).await.map(|()| (before, after))
    })
}

/// In the middle of an order the watch of a kind has to begin anew, with a list that shows how it was
/// at this version; the events since then come later. Gives the versions of the stack's making.
fn stale_meanwhile(plural: &'static str, since: Option<u64>) -> Result<(u64, u64), String> {
    play(Options::quiet(1), async move |world| {
        let before = world.server.cluster.borrow().version();
        begin(&world, &[first()]).await?;
        let after = world.server.cluster.borrow().version();
        let Some(since) = since else { return Ok((before, after)) };
        let late = Rc::downgrade(&world);
        let stale = script(&world, move |call| match call.verb {
            "list" if call.plural == plural => {
                let world = late.upgrade()?;
                world.server.manners.borrow_mut().insert(plural.into(), Manner::Late(LATE));
                Some(Fate::Stale(since))
            }
            // The order lasts for longer than the events take.
            "create" | "patch" | "delete" => Some(Fate::Hold(LATE / 2)),
            _ => None,
        });
        world.server.manners.borrow_mut().insert(plural.into(), Manner::Garbled(GARBAGE[0]));
        world.server.stir();
        world.membership.order(&second());
        net::sleep(Duration::from_secs(20)).await;
        if *stale.borrow() == 0 {
            return Err("no list was stale".into());
        }
        world.server.set_script(Box::new(|_| None));
        world.server.manners.borrow_mut().clear();
        // What the order missed, the next one finds.
        world.membership.cut(Duration::ZERO);
        world.converged(SOON).await.map(|()| (before, after))
    })
}

/// So late come the events after a list that shows the past.
const LATE: Duration = Duration::from_millis(600);

#[test]
fn row_03_an_old_view_in_the_middle_of_an_order_hides_nothing_for_good() {
    family("row 03, meanwhile", || {
        let mut covered = Covered::default();
        for plural in ["stacks", "auths", "ledgers", "gateways", "authclients"] {
            let (before, after) = stale_meanwhile(plural, None)?;
            for since in before..=after {
                stale_meanwhile(plural, Some(since))
                    .map_err(|wrong| format!("{plural} as of version {since}: {wrong}"))?;
                covered.add(1);
            }
        }
        Ok(covered)
    });
}

fn uid(world: &World, plural: &str) -> Value {
    world.server.get(plural, STACK).unwrap_or_default()["metadata"]["uid"].clone()
}

#[test]
fn row_03_an_old_view_after_a_restart_harms_nothing_new() {
    family("row 03, restarts", || {
        let (before, after) = stale_after_restart(None)?;
        let mut covered = Covered::default();
        for since in before..=after {
            stale_after_restart(Some(since))
                .map_err(|wrong| format!("lists show version {since}: {wrong}"))?;
            covered.add(1);
        }
        Ok(covered)
    });
}

/// The agent alone writes, and the events of one kind come late: nothing is made twice, nothing is
/// refused, and no more is written than where they come in time.
fn slow_watch(late: Option<(&'static str, Duration)>) -> Result<(usize, usize), String> {
    let options = Options { operated: false, ..Options::quiet(1) };
    play(options, async move |world| {
        begin(&world, &[]).await?;
        if let Some((plural, late)) = late {
            world.server.manners.borrow_mut().insert(plural.into(), Manner::Late(late));
        }
        let conflicts = Rc::new(RefCell::new(0));
        let count = Rc::clone(&conflicts);
        world.server.set_witness(Box::new(move |_, code| *count.borrow_mut() += usize::from(code == 409)));
        for (pause, order) in
            [(300, first()), (300, second()), (700, first()), (5000, second()), (1100, first())]
        {
            world.membership.order(&order);
            net::sleep(Duration::from_millis(pause)).await;
        }
        world.converged(SOON).await?;
        net::sleep(Duration::from_secs(30)).await;
        if *conflicts.borrow() > 0 {
            return Err(format!("{} writes were refused with 409", conflicts.borrow()));
        }
        Ok((world.server.counts().1, world.all_struck().of("watch-lag") as usize))
    })
}

#[test]
fn row_04_late_events_bring_nothing_back() {
    family("row 04", || {
        let (writes, _) = slow_watch(None)?;
        let mut covered = Covered::default();
        for plural in ["stacks", "auths", "ledgers", "gateways", "payments", "stargates", "authclients"] {
            for millis in [50, 250, 400, 900, 1200, 3000, 5500, 8000] {
                let late = Duration::from_millis(millis);
                let (these, struck) = slow_watch(Some((plural, late)))
                    .map_err(|wrong| format!("{plural} are {late:?} late: {wrong}"))?;
                if these != writes {
                    return Err(format!("{plural} are {late:?} late: {these} writes, not {writes}"));
                }
                covered.add(struck);
            }
        }
        Ok(covered)
    });
}
