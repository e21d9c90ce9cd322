//! A fleet of stacks and the orders about it, drawn from a seed.

use fastrand::Rng;

use crate::membership::wire::server::{
    AuthClient, AuthConfig, DeletedStack, DisabledStack, EnabledStack, Module, Order, Stack, StargateConfig,
    order::Message,
};

const MODULES: [&str; 10] = [
    "auth",
    "gateway",
    "ledger",
    "orchestration",
    "payments",
    "reconciliation",
    "search",
    "transactionplane",
    "wallets",
    "webhooks",
];

/// Every kind of which the fleet may have objects.
pub(crate) const PLURALS: &[&str] = &[
    "stacks",
    "authclients",
    "auths",
    "gateways",
    "ledgers",
    "orchestrations",
    "payments",
    "reconciliations",
    "searches",
    "stargates",
    "transactionplanes",
    "wallets",
    "webhooks",
];

/// Draws orders for `stacks` stacks. Each stack gets a short history of its own: a first
/// snapshot, then back-to-back updates, disable/enable pairs, deletes and re-creations. The
/// histories are interleaved; the order within one stack's history is kept.
pub(crate) fn orders(seed: u64, stacks: usize) -> Vec<Order> {
    let mut rng = Rng::with_seed(seed);
    let mut histories: Vec<_> = (0..stacks).map(|i| history(&mut rng, &stack_name(i)).into_iter()).collect();
    let mut open: Vec<usize> = (0..stacks).collect();
    let mut all = Vec::new();
    while !open.is_empty() {
        let at = rng.usize(..open.len());
        // Now and then a burst, so that orders of one stack really come back to back.
        let burst = if rng.u8(..4) == 0 { 3 } else { 1 };
        for _ in 0..burst {
            match histories[open[at]].next() {
                Some(order) => all.push(order),
                None => {
                    open.swap_remove(at);
                    break;
                }
            }
        }
    }
    all
}

/// The name of the `i`th stack: an organization and a stack id, as membership makes them.
pub(crate) fn stack_name(i: usize) -> String {
    format!("org{:03}-{:04}", i / 10, i)
}

/// The order for a stack that is to be just so.
pub(crate) fn existing_again(stack: Stack) -> Order {
    order(Message::ExistingStack(stack))
}

fn history(rng: &mut Rng, name: &str) -> Vec<Order> {
    let mut orders = vec![existing(rng, name)];
    for _ in 0..rng.usize(1..4) {
        match rng.u8(..8) {
            0..4 => orders.extend((0..rng.usize(1..4)).map(|_| existing(rng, name))),
            4..6 => orders.extend([disabled(name), enabled(name)]),
            6 => orders.push(disabled(name)),
            _ => {
                orders.push(deleted(name));
                if rng.bool() {
                    orders.push(existing(rng, name));
                }
            }
        }
    }
    orders
}

fn existing(rng: &mut Rng, name: &str) -> Order {
    let modules =
        MODULES.iter().filter(|_| rng.bool()).map(|name| Module { name: (*name).to_owned() }).collect();
    let clients =
        (0..rng.usize(..3)).map(|i| AuthClient { id: format!("client{i}"), public: rng.bool() }).collect();
    let mut labels = std::collections::HashMap::new();
    for key in ["plan", "team"] {
        if rng.bool() {
            labels.insert(key.to_owned(), format!("{key}{}", rng.u8(..10)));
        }
    }
    order(Message::ExistingStack(Stack {
        cluster_name: name.to_owned(),
        seed: format!("seed{}", rng.u32(..)),
        auth_config: Some(AuthConfig {
            client_id: format!("client-{name}"),
            client_secret: format!("secret{}", rng.u8(..)),
            issuer: "https://issuer.example".to_owned(),
        }),
        static_clients: clients,
        stargate_config: Some(StargateConfig {
            enabled: rng.bool(),
            url: "stargate.example:443".to_owned(),
            disable_tls: rng.bool(),
        }),
        disabled: rng.u8(..8) == 0,
        versions: format!("v{}.{}", rng.u8(1..4), rng.u8(..10)),
        additional_labels: labels,
        additional_annotations: std::collections::HashMap::new(),
        modules,
    }))
}

fn deleted(name: &str) -> Order {
    order(Message::DeletedStack(DeletedStack { cluster_name: name.to_owned() }))
}

fn disabled(name: &str) -> Order {
    order(Message::DisabledStack(DisabledStack { cluster_name: name.to_owned() }))
}

fn enabled(name: &str) -> Order {
    order(Message::EnabledStack(EnabledStack { cluster_name: name.to_owned() }))
}

fn order(message: Message) -> Order {
    Order { metadata: std::collections::HashMap::new(), message: Some(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_orders() {
        assert_eq!(orders(7, 20), orders(7, 20));
        assert_ne!(orders(7, 20), orders(8, 20));
    }

    #[test]
    fn every_stack_begins_with_a_snapshot() {
        let all = orders(1, 50);
        for i in 0..50 {
            let name = stack_name(i);
            let first = all.iter().find(|order| about(order) == Some(&name)).and_then(|o| o.message.as_ref());
            assert!(matches!(first, Some(Message::ExistingStack(_))), "{name}");
        }
    }

    fn about(order: &Order) -> Option<&String> {
        match order.message.as_ref()? {
            Message::ExistingStack(stack) => Some(&stack.cluster_name),
            Message::DeletedStack(stack) => Some(&stack.cluster_name),
            Message::DisabledStack(stack) => Some(&stack.cluster_name),
            Message::EnabledStack(stack) => Some(&stack.cluster_name),
            _ => None,
        }
    }
}
