//! Row 5: what happens while a watch is down.

use super::*;
use crate::simulation::api_server::Manner;

/// What happens meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unseen {
    /// Somebody deletes the object.
    Deleted,
    /// And makes it again.
    Replaced,
    /// The stack is disabled and enabled again, by order.
    Toggled,
    /// The whole stack is deleted and stays away until the end.
    WholeStack,
}

/// `expired`: the watch cannot go on from where it was.
fn unseen(plural: &'static str, what: Unseen, expired: bool) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        let name = if plural == "authclients" { format!("{STACK}-web") } else { STACK.to_owned() };
        world.server.manners.borrow_mut().insert(plural.into(), Manner::Cut);
        world.server.stir();
        let down = script(&world, move |call| {
            (matches!(call.verb, "watch" | "list") && call.plural == plural).then_some(Fate::Refuse)
        });
        net::sleep(Duration::from_secs(3)).await;
        match what {
            Unseen::Deleted => world.delete(plural, &name),
            Unseen::Replaced => {
                let object = world.server.get(plural, &name).ok_or("nothing to replace")?;
                world.delete(plural, &name);
                let gone = || world.server.get(plural, &name).is_none();
                world.until("it is gone", SOON, gone).await?;
                let metadata = json!({"name": name, "labels": object["metadata"]["labels"]});
                let body = json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
                    "metadata": metadata, "spec": object["spec"]});
                if !world.create(plural, body) {
                    return Err("it was not made again".into());
                }
            }
            Unseen::Toggled => {
                for order in [disabled(), enabled()] {
                    world.membership.order(&order);
                    net::sleep(Duration::from_secs(1)).await;
                }
            }
            Unseen::WholeStack => world.delete("stacks", STACK),
        }
        net::sleep(Duration::from_secs(3)).await;
        if expired {
            world.server.cluster.borrow_mut().expire();
        }
        world.server.manners.borrow_mut().clear();
        world.server.set_script(Box::new(|_| None));
        // Whatever it was, membership hears of it, without an order.
        let known = || world.misbelief(&world.objects()).is_none();
        world.until("membership knows", SOON, known).await?;
        if what == Unseen::WholeStack {
            let told = world.membership.says_deleted(STACK);
            if !told {
                return Err("that the stack is gone was not told".into());
            }
        }
        // A watch that failed goes on within ten seconds; of clients, membership is told nothing that
        // would show that it does.
        net::sleep(Duration::from_secs(10)).await;
        // And the next order puts it right.
        world.membership.cut(Duration::ZERO);
        net::sleep(Duration::from_secs(5)).await;
        world.converged(SOON).await?;
        let struck = *down.borrow();
        Ok(struck)
    })
}

#[test]
fn row_05_what_no_watch_saw_is_known_all_the_same() {
    family("row 05", || {
        let mut covered = Covered::default();
        for plural in ["stacks", "auths", "ledgers", "gateways", "authclients"] {
            for what in [Unseen::Deleted, Unseen::Replaced, Unseen::Toggled, Unseen::WholeStack] {
                for expired in [false, true] {
                    let struck = unseen(plural, what, expired)
                        .map_err(|wrong| format!("{plural} {what:?}, expired {expired}: {wrong}"))?;
                    covered.add(struck);
                }
            }
        }
        Ok(covered)
    });
}
