//! Orders as membership writes them, short to say.

use stackherd::membership::wire::server::{
    AuthClient, AuthConfig, DeletedStack, DisabledStack, EnabledStack, Module, Order, Stack, StargateConfig,
    order,
};

/// An ExistingStack of this name with nothing in it.
pub fn stack(name: &str) -> Stack {
    Stack { cluster_name: name.into(), ..Stack::default() }
}

/// Short ways to fill in a Stack.
pub trait StackExt: Sized {
    fn versions(self, name: &str) -> Self;
    fn modules(self, names: &[&str]) -> Self;
    fn label(self, key: &str, value: &str) -> Self;
    fn annotation(self, key: &str, value: &str) -> Self;
    fn client(self, id: &str, public: bool) -> Self;
    /// The one login that [`super::objects`] expects.
    fn auth(self) -> Self;
    fn stargate(self, disable_tls: bool) -> Self;
    fn disabled(self) -> Self;
    fn order(self) -> order::Message;
}

impl StackExt for Stack {
    fn versions(mut self, name: &str) -> Self {
        self.versions = name.into();
        self
    }

    fn modules(mut self, names: &[&str]) -> Self {
        self.modules = names.iter().map(|name| Module { name: (*name).into() }).collect();
        self
    }

    fn label(mut self, key: &str, value: &str) -> Self {
        self.additional_labels.insert(key.into(), value.into());
        self
    }

    fn annotation(mut self, key: &str, value: &str) -> Self {
        self.additional_annotations.insert(key.into(), value.into());
        self
    }

    fn client(mut self, id: &str, public: bool) -> Self {
        self.static_clients.push(AuthClient { id: id.into(), public });
        self
    }

    fn auth(mut self) -> Self {
        self.auth_config = Some(AuthConfig {
            client_id: "a-client".into(),
            client_secret: "a-secret".into(),
            issuer: "https://login.example.com".into(),
        });
        self
    }

    fn stargate(mut self, disable_tls: bool) -> Self {
        self.stargate_config =
            Some(StargateConfig { enabled: true, url: "gate.example.com:443".into(), disable_tls });
        self
    }

    fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    fn order(self) -> order::Message {
        order::Message::ExistingStack(self)
    }
}

pub fn deleted(name: &str) -> order::Message {
    order::Message::DeletedStack(DeletedStack { cluster_name: name.into() })
}

pub fn disabled(name: &str) -> order::Message {
    order::Message::DisabledStack(DisabledStack { cluster_name: name.into() })
}

pub fn enabled(name: &str) -> order::Message {
    order::Message::EnabledStack(EnabledStack { cluster_name: name.into() })
}

/// A line of a file for `replay`.
pub fn line(order: order::Message) -> String {
    let order = Order { message: Some(order), metadata: Default::default() };
    serde_json::to_string(&order).expect("orders have a JSON form")
}
