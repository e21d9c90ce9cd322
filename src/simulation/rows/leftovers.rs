//! What carries a stack's labels and is not wanted goes, whatever it is named and wherever it came from.

use super::*;

/// How an object comes to carry the stack's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labelled {
    /// It does before the agent starts.
    Before,
    /// It is made while the agent runs.
    Since,
    /// It was another stack's.
    Moved,
    /// It did, and does no longer: it stays.
    NoLonger,
}

const NAME: &str = "org-stray";

fn labels(stack: &str) -> Value {
    json!({"formance.com/created-by-agent": "true", "formance.com/stack": stack})
}

fn leftover(kind: (&'static str, &'static str), spec: Value, labelled: Labelled) -> Result<(), String> {
    let options = Options { shards: 3, ..Options::quiet(7) };
    play(options, async move |world| {
        let make = |stack: &str| {
            let metadata = json!({"name": NAME, "labels": labels(stack)});
            let api = "formance.com/v1beta1";
            let body = json!({"apiVersion": api, "kind": kind.1, "metadata": metadata, "spec": spec.clone()});
            world.create(kind.0, body).then_some(()).ok_or("it cannot be made")
        };
        if labelled == Labelled::Before {
            make(STACK)?;
        }
        begin(&world, &[first()]).await?;
        let again = match labelled {
            Labelled::Before => None,
            Labelled::Since => Some((STACK, json!({}))),
            Labelled::Moved => Some(("org-other", labels(STACK))),
            Labelled::NoLonger => Some((STACK, json!({"formance.com/created-by-agent": null}))),
        };
        if let Some((at_first, then)) = again {
            make(at_first)?;
            net::sleep(Duration::from_secs(2)).await;
            world.patch(kind.0, NAME, &json!({"metadata": {"labels": then}}));
            net::sleep(Duration::from_secs(2)).await;
            world.membership.order(&first());
            net::sleep(Duration::from_secs(5)).await;
        }
        let stands = world.server.get(kind.0, NAME).is_some();
        if stands != (labelled == Labelled::NoLonger) {
            return Err(format!("{kind:?} with {spec}, labelled {labelled:?}, stands: {stands}"));
        }
        // The same order once more has nothing to do.
        let before = world.server.counts();
        world.membership.order(&first());
        net::sleep(Duration::from_secs(5)).await;
        match world.server.counts() == before {
            true => Ok(()),
            false => Err(format!("{:?} requests, {before:?} before", world.server.counts())),
        }
    })
}

#[test]
fn row_10_what_is_left_over_of_a_stack_goes_whatever_its_name() {
    let of = |stack: &str| json!({"stack": stack});
    let kinds = [
        // One of a kind that is wanted, and of one that is not.
        (("ledgers", "Ledger"), of(STACK)),
        (("payments", "Payments"), of(STACK)),
        (("payments", "Payments"), of("org-elsewhere")),
        (("authclients", "AuthClient"), json!({"id": "x"})),
        (("authclients", "AuthClient"), json!({"id": "x", "stack": "org-elsewhere"})),
        (("authclients", "AuthClient"), json!({"id": "x", "stack": STACK})),
    ];
    let mut points = 0;
    for (kind, spec) in kinds {
        for labelled in [Labelled::Before, Labelled::Since, Labelled::Moved, Labelled::NoLonger] {
            let outcome = leftover(kind, spec.clone(), labelled);
            assert_eq!(outcome, Ok(()), "{kind:?} {spec} {labelled:?}");
            points += 1;
        }
    }
    println!("leftovers: {points} points");
}
