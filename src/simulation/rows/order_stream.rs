//! Rows 12 and 17: what comes on the stream of orders.

use prost::Message as _;

use super::*;

/// Orders in a storm: of two, the last counts, and what a deletion meant is not lost.
fn storm(orders: usize, cut_after: Option<usize>, twice: bool) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        let old = world.server.get("stacks", STACK).unwrap_or_default()["metadata"]["uid"].clone();
        for n in 0..orders {
            let order = match n % 3 {
                0 => existing(&format!("v{n}"), &["auth", "ledger"], &[], false),
                1 => deleted(),
                _ => existing(&format!("v{n}"), &["auth", "payments"], &["web"], true),
            };
            for _ in 0..=usize::from(twice) {
                world.membership.order(&order);
            }
            if cut_after == Some(n) {
                world.membership.cut(Duration::from_millis(200));
                net::sleep(Duration::from_secs(3)).await;
            }
        }
        world.converged(Duration::from_secs(300)).await?;
        let stack = world.server.get("stacks", STACK);
        if cut_after.is_none() && orders > 1 && stack.is_some_and(|stack| stack["metadata"]["uid"] == old) {
            return Err("a deletion between two orders was passed over".into());
        }
        Ok(orders)
    })
}

#[test]
fn row_12_storms_duplicates_and_breaks_end_with_the_last_order() {
    family("row 12", || {
        let mut covered = Covered::default();
        for orders in [1, 2, 3, 5, 6, 30, 300] {
            for twice in [false, true] {
                covered
                    .add(storm(orders, None, twice).map_err(|wrong| format!("{orders}, {twice}: {wrong}"))?);
            }
        }
        for cut in 0..12 {
            covered.add(
                storm(12, Some(cut), cut % 2 == 0).map_err(|wrong| format!("cut after {cut}: {wrong}"))?,
            );
        }
        Ok(covered)
    });
}

/// What is wrong with an order, and the order. The rest of it is as `second` says.
fn bad_orders() -> Vec<(&'static str, Order)> {
    let change = |change: &dyn Fn(&mut Stack)| {
        let mut order = second();
        if let Some(Message::ExistingStack(stack)) = &mut order.message {
            change(stack);
        }
        order
    };
    let label = |key: &str, value: &str| {
        let (key, value) = (key.to_owned(), value.to_owned());
        change(&|stack| drop(stack.additional_labels.insert(key.clone(), value.clone())))
    };
    let named = |name: &str| {
        let name = name.to_owned();
        change(&|stack| stack.cluster_name.clone_from(&name))
    };
    vec![
        ("no authConfig", change(&|stack| stack.auth_config = None)),
        ("a label value with a blank", label("team", "a b")),
        ("a label value of 64 bytes", label("team", &"x".repeat(64))),
        ("a label key with a slash", label("a/b", "x")),
        ("a reserved label", label("stack", "another")),
        ("an unknown module", change(&|stack| stack.modules.push(Module { name: "teleport".into() }))),
        ("a client without an id", change(&|stack| stack.static_clients.push(AuthClient::default()))),
        (
            "a client's id in upper case",
            change(&|s| s.static_clients.push(AuthClient { id: "A_B".into(), public: false })),
        ),
        ("no name", named("")),
        ("a way out", named("../x")),
        ("upper case", named("Org-A")),
        ("300 bytes", named(&"a".repeat(300))),
        ("a name without a dash, with Stargate", named("alpha")),
        (
            "a large order",
            change(&|s| drop(s.additional_annotations.insert("big".into(), "x".repeat(300 << 10)))),
        ),
    ]
}

/// A bad order between good ones: others are as they should be, and so is the rest of it where its
/// stack can be told; the next good order puts everything right.
fn bad(order: Order) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[first()]).await?;
        let joins = world.membership.joins();
        let of_ours =
            matches!(&order.message, Some(Message::ExistingStack(stack)) if stack.cluster_name == STACK);
        if of_ours {
            // The rest of it is what it says.
            world.wishes.give(world.elapsed(), &second());
        }
        world.membership.push(order.encode_to_vec().into());
        world.membership.push(vec![0xff, 0xff, 0x01].into());
        let other = existing_of("org-beta", "v1", &["auth"], &["web"], true);
        world.membership.order(&other);
        let made = || {
            let stack = world.server.get("stacks", "org-beta");
            stack.is_some() && world.server.get("authclients", "org-beta-web").is_some()
        };
        world.until("another stack is made", Duration::from_secs(5), made).await?;
        if of_ours {
            let rest = || {
                let label = |plural| {
                    world.server.get(plural, STACK).unwrap_or_default()["metadata"]["labels"]["formance.com/plan"].clone()
                };
                label("stacks") == "second"
                    && label("ledgers") == "second"
                    && world.server.get("payments", STACK).is_some()
            };
            world.until("the rest of it is carried out", Duration::from_secs(20), rest).await?;
        }
        world.membership.order(&second());
        ends_as_wished(&world).await?;
        if world.membership.joins() != joins {
            return Err("the stream did not survive it".into());
        }
        Ok(1)
    })
}

/// All wishes stand, but for objects of stacks that membership never properly asked for.
async fn ends_as_wished(world: &World) -> Result<(), String> {
    let right = || crate::demo::check::stale(&world.wishes.now(), &world.objects()).is_empty();
    world.until("the next good order is carried out", SOON, right).await
}

#[test]
fn row_17_a_bad_order_harms_itself_alone() {
    family("row 17", || {
        let mut covered = Covered::default();
        for (what, order) in bad_orders() {
            covered.add(bad(order).map_err(|wrong| format!("{what}: {wrong}"))?);
        }
        Ok(covered)
    });
}
