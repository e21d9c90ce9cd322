//! One kind cannot be listed, for whatever reason, from the start or later: the rest goes on.

use super::*;
use crate::{demo::check, time};

/// What becomes of its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// Its conversion webhook is down.
    Error,
    /// 429 for ever, with `Retry-After`.
    Busy,
    /// Nobody answers.
    Silent,
    /// No connection.
    Unreachable,
    /// The first page comes, and no other.
    LaterPage,
}

impl Fails {
    fn fate(self, call: &Call) -> Option<Fate> {
        match self {
            Self::Error => Some(Fate::Answer { code: 500, retry_after: None }),
            Self::Busy => Some(Fate::Answer { code: 429, retry_after: Some(30) }),
            Self::Silent => Some(Fate::BlackHole),
            Self::Unreachable => Some(Fate::Refuse),
            Self::LaterPage => call.later_page.then_some(Fate::Answer { code: 500, retry_after: None }),
        }
    }
}

/// Orders that need the kind and one that does not; the stack of the first is there already.
fn orders() -> Vec<Order> {
    vec![
        second(),
        existing_of("org-with", "v1", &["auth", "ledger", "gateway", "payments"], &["web"], true),
        existing_of("org-without", "v1", &[], &[], false),
    ]
}

/// What is missing of the wanted objects, those of one kind aside.
fn missing(world: &World, plural: &str) -> Option<String> {
    let objects = world.objects();
    let stacks = world.wishes.now().into_values().flatten();
    let wanted = stacks.flat_map(|stack| check::wanted(&stack).into_iter().collect::<Vec<_>>());
    let mut others = wanted.filter(|((kind, _), _)| kind != plural);
    others.find_map(|(key, spec)| {
        let is = objects.get(&key).map(|object| &object["spec"]);
        let field = |(name, value): (&String, &Value)| is.is_some_and(|is| is[name] == *value);
        let stands = spec.as_object().is_some_and(|spec| spec.iter().all(field));
        (!stands).then(|| format!("{}/{} is {is:?}, not {spec}", key.0, key.1))
    })
}

/// At the start of a process, for three minutes. Gives how often it struck.
fn at_start(plural: &'static str, fails: Fails) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        world.server.page.set((fails == Fails::LaterPage).then_some(1));
        begin(
            &world,
            &[first(), existing_of("org-more", "v1", &["auth", "ledger", "gateway"], &["a"], false)],
        )
        .await?;
        world.kill();
        let struck = script(&world, move |call| {
            (call.verb == "list" && call.plural == plural).then(|| fails.fate(call)).flatten()
        });
        let touched = Rc::new(RefCell::new(None));
        let touch = Rc::clone(&touched);
        world.server.set_witness(Box::new(move |call, _| {
            if call.write.is_some() && call.plural == plural {
                touch.borrow_mut().get_or_insert(format!("{} {plural}/{}", call.verb, call.name));
            }
        }));
        let begun = time::now();
        world.start();
        world.ready().await?;
        let took = time::now() - begun;
        if took > Duration::from_secs(15) {
            return Err(format!("orders are taken up after {took:?}"));
        }
        orders().iter().for_each(|order| world.membership.order(order));
        let rest = || missing(&world, plural).is_none();
        world
            .until("all other objects", Duration::from_secs(10), rest)
            .await
            .map_err(|wrong| format!("{wrong}: {}", missing(&world, plural).unwrap_or_default()))?;
        net::sleep(Duration::from_secs(180)).await;
        if let Some(touched) = touched.borrow().as_ref() {
            return Err(format!("{touched}, while nobody knows what there is of them"));
        }
        // And when it can be listed, it is as if nothing had been.
        world.server.set_script(Box::new(|_| None));
        world.server.set_witness(Box::new(|_, _| ()));
        world.converged(SOON).await?;
        world.at_rest(Duration::from_secs(30), Duration::from_secs(40)).await?;
        let struck = *struck.borrow();
        Ok(struck)
    })
}

/// Once it was listed, for three minutes: it stays in play.
fn later(plural: &'static str, fails: Fails) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        world.server.manners.borrow_mut().insert(plural.into(), Manner::Cut);
        world.server.stir();
        let struck = script(&world, move |call| {
            (matches!(call.verb, "list" | "watch") && call.plural == plural)
                .then(|| fails.fate(call))
                .flatten()
        });
        net::sleep(Duration::from_secs(10)).await;
        world.server.cluster.borrow_mut().expire();
        orders().iter().for_each(|order| world.membership.order(order));
        let stale = || check::stale(&world.wishes.now(), &world.objects());
        world.until("all objects, of this kind too", SOON, || stale().is_empty()).await?;
        net::sleep(Duration::from_secs(180)).await;
        if let Some((stack, fault)) = stale().into_iter().next() {
            return Err(format!("right, and later not any more: {stack}: {fault}"));
        }
        world.server.manners.borrow_mut().clear();
        world.server.set_script(Box::new(|_| None));
        world.converged(SOON).await?;
        let struck = *struck.borrow();
        Ok(struck)
    })
}

#[test]
fn row_unlistable_kind_from_the_start_holds_up_nothing_but_itself() {
    family("a kind that cannot be listed", || {
        let mut covered = Covered::default();
        for plural in ["auths", "ledgers", "gateways", "payments", "stargates", "authclients", "versions"] {
            for fails in [Fails::Error, Fails::Busy, Fails::Silent, Fails::Unreachable, Fails::LaterPage] {
                // Of these there is one page or none.
                let few = matches!(plural, "payments" | "stargates" | "versions");
                if fails == Fails::LaterPage && few {
                    continue;
                }
                let struck =
                    at_start(plural, fails).map_err(|wrong| format!("{plural} {fails:?}: {wrong}"))?;
                covered.add(struck);
            }
        }
        Ok(covered)
    });
}

#[test]
fn row_unlistable_kind_in_play_stays_in_play() {
    family("a kind in play that cannot be listed any more", || {
        let mut covered = Covered::default();
        for plural in ["stacks", "auths", "ledgers", "gateways", "payments", "authclients"] {
            for fails in [Fails::Error, Fails::Busy, Fails::Silent, Fails::Unreachable] {
                let struck = later(plural, fails).map_err(|wrong| format!("{plural} {fails:?}: {wrong}"))?;
                covered.add(struck);
            }
        }
        Ok(covered)
    });
}
