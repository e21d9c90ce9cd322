//! Rows 9 and 10: others who write to the same objects.

use super::*;
use crate::{demo::check, time};

/// What somebody else writes between the agent's read and its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theirs {
    Annotation,
    Label,
    Spec,
    Status,
}

fn write_theirs(world: &World, plural: &str, name: &str, what: Theirs) -> bool {
    match what {
        Theirs::Annotation => {
            world.patch(plural, name, &json!({"metadata": {"annotations": {"formance.com/skip": "true"}}}))
        }
        // Under the agent's own prefix, and not the agent's.
        Theirs::Label => {
            world.patch(plural, name, &json!({"metadata": {"labels": {"formance.com/custom": "theirs"}}}))
        }
        Theirs::Spec => {
            plural != "authclients" && world.patch(plural, name, &json!({"spec": {"debug": true}}))
        }
        Theirs::Status => world.set_status(plural, name, &json!({"info": "theirs"})),
    }
}

fn stands(object: &Value, what: Theirs) -> bool {
    match what {
        Theirs::Annotation => object["metadata"]["annotations"]["formance.com/skip"] == "true",
        Theirs::Label => object["metadata"]["labels"]["formance.com/custom"] == "theirs",
        Theirs::Spec => object["spec"]["debug"] == true,
        // The operator has the last word there.
        Theirs::Status => true,
    }
}

/// Somebody writes to the object of a write just before that is carried out.
fn other_writer(write: usize, what: Theirs) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        let touched = Rc::new(RefCell::new(BTreeMap::new()));
        let (weak, mark) = (Rc::downgrade(&world), Rc::clone(&touched));
        script(&world, move |call| {
            if call.write == Some(write)
                && let Some(world) = weak.upgrade()
                && write_theirs(&world, &call.plural, &call.name, what)
            {
                let object = world.server.get(&call.plural, &call.name).unwrap_or_default();
                mark.borrow_mut()
                    .insert((call.plural.clone(), call.name.clone()), object["metadata"]["uid"].clone());
            }
            None
        });
        for order in [second(), second()] {
            world.membership.order(&order);
            let ours = || ours_hold(&world);
            world.until("ours hold", SOON, ours).await?;
            net::sleep(Duration::from_secs(3)).await;
        }
        for ((plural, name), uid) in &*touched.borrow() {
            let object = world.server.get(plural, name).unwrap_or_default();
            if object["metadata"]["uid"] == *uid && !stands(&object, what) {
                return Err(format!("{plural}/{name} lost somebody's {what:?}"));
            }
        }
        let touched = touched.borrow().len();
        Ok(touched)
    })
}

/// All that the order says stands, whatever else does.
fn ours_hold(world: &World) -> bool {
    let objects = world.objects();
    world.wishes.now().values().flatten().all(|wish| {
        check::wanted(wish).iter().all(|(key, spec)| {
            objects.get(key).is_some_and(|object| {
                check::contains(&object["spec"], spec)
                    && check::contains(&object["metadata"]["labels"], &Value::Object(check::labels(wish)))
            })
        })
    })
}

#[test]
fn row_09_what_others_write_stays_and_ours_holds() {
    family("row 09", || {
        let undisturbed = told(Options::quiet(1), ("changed", || vec![first(), second()]))?;
        let mut covered = Covered::default();
        for write in undisturbed.before.1..undisturbed.after.1 {
            for what in [Theirs::Annotation, Theirs::Label, Theirs::Spec, Theirs::Status] {
                let touched =
                    other_writer(write, what).map_err(|wrong| format!("write {write}, {what:?}: {wrong}"))?;
                covered.add(touched);
            }
        }
        Ok(covered)
    });
}

/// Somebody bumps the version of what is written in every window, for half a minute.
fn contention(plural: &'static str) -> Result<usize, String> {
    const LASTS: Duration = Duration::from_secs(30);
    play(Options { stacks_in_flight: 2, shards: 1, ..Options::quiet(1) }, async move |world| {
        begin(&world, &[first()]).await?;
        let tries = Rc::new(RefCell::new(Vec::new()));
        let (weak, mark) = (Rc::downgrade(&world), Rc::clone(&tries));
        let until = time::now() + LASTS;
        script(&world, move |call| {
            let world = weak.upgrade()?;
            let hit = call.write.is_some() && call.plural == plural && call.name.starts_with(STACK);
            if hit && time::now() < until {
                let bump = json!({"metadata": {"annotations": {"example.com/bump": world.elapsed().as_nanos().to_string()}}});
                if world.patch(plural, &call.name, &bump) {
                    mark.borrow_mut().push((call.name.clone(), world.elapsed()));
                }
            }
            None
        });
        world.membership.order(&second());
        for n in 0..8 {
            // Others go on, with one slot of two.
            let name = format!("org-beta{n}");
            world.membership.order(&existing_of(&name, "v1", &["auth"], &[], false));
            let made = || world.server.get("auths", &name).is_some();
            world.until("another stack is made meanwhile", Duration::from_secs(3), made).await?;
        }
        net::sleep(until.saturating_duration_since(time::now())).await;
        let tries = tries.borrow().clone();
        // Of one object, within any second.
        let together = |(name, from): &(String, Duration)| {
            let within = *from..*from + Duration::from_secs(1);
            tries.iter().filter(|(other, at)| other == name && within.contains(at)).count()
        };
        let busiest = tries.iter().map(together).max().unwrap_or_default();
        // Three runs of four tries each, with the first two pauses between them.
        if busiest > 12 {
            return Err(format!("{busiest} tries to write one object within a second"));
        }
        world.converged(SOON).await?;
        Ok(tries.len())
    })
}

#[test]
fn row_10_contention_is_bounded_and_holds_up_nobody_else() {
    family("row 10", || {
        let mut covered = Covered::default();
        for plural in ["stacks", "auths", "ledgers", "authclients"] {
            covered.add(contention(plural).map_err(|wrong| format!("{plural}: {wrong}"))?);
        }
        Ok(covered)
    });
}
