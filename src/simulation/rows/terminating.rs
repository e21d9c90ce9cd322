//! Row 11: an ExistingStack comes while the old objects are on their way out.

use super::*;

/// How far the removal is when the order comes.
const MOMENTS: [u64; 8] = [0, 1, 5, 50, 400, 2_000, 15_000, 60_000];

fn terminating(after: Duration, by_order: bool) -> Result<usize, String> {
    let mut options = Options::quiet(1);
    options.operator.least = Duration::from_secs(20);
    options.operator.most = Duration::from_secs(40);
    play(options, async move |world| {
        begin(&world, &[first()]).await?;
        let old = world.server.get("stacks", STACK).unwrap_or_default()["metadata"]["uid"].clone();
        let under = Rc::new(RefCell::new(Vec::new()));
        let (weak, mark) = (Rc::downgrade(&world), Rc::clone(&under));
        world.server.set_witness(Box::new(move |call, code| {
            let Some(world) = weak.upgrade() else { return };
            let owner = |uid: &Value| {
                uid == &world.server.get("stacks", STACK).unwrap_or_default()["metadata"]["uid"]
            };
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let owners = body["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
            let stack = world.server.get("stacks", STACK).unwrap_or_default();
            let dying = !stack["metadata"]["deletionTimestamp"].is_null();
            if call.verb == "create" && code < 300 && owners.iter().any(|it| owner(&it["uid"]) && dying) {
                mark.borrow_mut().push(format!("{}/{}", call.plural, call.name));
            }
        }));
        if by_order {
            world.membership.order(&deleted());
        } else {
            world.delete("stacks", STACK);
        }
        let ending = || {
            let stack = world.server.get("stacks", STACK).unwrap_or_default();
            !stack["metadata"]["deletionTimestamp"].is_null()
        };
        world.until("the stack is terminating", SOON, ending).await?;
        net::sleep(after).await;
        world.membership.order(&second());
        world.converged(Duration::from_secs(400)).await?;
        if !under.borrow().is_empty() {
            return Err(format!("made under the dying uid: {:?}", under.borrow()));
        }
        let stack = world.server.get("stacks", STACK).unwrap_or_default();
        if stack["metadata"]["uid"] == old {
            return Err("the stack was not made again".into());
        }
        if !world.membership.says_deleted(STACK) {
            return Err("that the old one is gone was not told".into());
        }
        Ok(1)
    })
}

#[test]
fn row_11_nothing_is_made_under_a_dying_uid() {
    family("row 11", || {
        let mut covered = Covered::default();
        for millis in MOMENTS {
            for by_order in [false, true] {
                let after = Duration::from_millis(millis);
                let struck = terminating(after, by_order)
                    .map_err(|wrong| format!("{after:?} after, by order {by_order}: {wrong}"))?;
                covered.add(struck);
            }
        }
        Ok(covered)
    });
}
