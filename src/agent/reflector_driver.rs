//! Runs the reflectors of a shard, and brings what they see to the shards that own the stacks.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use ahash::AHashMap;

use super::{
    kind_registry::KindStatus,
    message::{MessageSender, ObjectEvent, ToCoordinator, ToShard},
};
use crate::{
    cluster::{KubeClient, ReflectorEvent, WatchTarget, reflector},
    net,
    stack::object::{Object, ObjectKey, Resource, Role},
    time::{Duration, Instant, now},
};

/// How often the coordinator is told that a list goes on.
const LISTING_EVERY: Duration = Duration::from_millis(500);

/// The reflectors that run on a shard.
pub(super) struct ReflectorDriver {
    client: KubeClient,
    messages: MessageSender,
    /// By plural of the kind; `None` once the shard is stopping.
    tasks: RefCell<Option<HashMap<String, net::Task<()>>>>,
}

impl ReflectorDriver {
    pub(super) fn new(client: KubeClient, messages: MessageSender) -> Self {
        Self { client, messages, tasks: RefCell::new(Some(HashMap::new())) }
    }

    /// The shard's client.
    #[cfg(test)]
    pub(super) fn client(&self) -> &KubeClient {
        &self.client
    }

    /// Watches a kind from now on.
    pub(super) fn watch(&self, kind: &Arc<Resource>) {
        let mut forwarder = EventForwarder {
            messages: self.messages.clone(),
            kind: Arc::clone(kind),
            listed: false,
            progress: None,
            homes: AHashMap::new(),
            leftovers: AHashMap::new(),
        };
        let (client, target) = (self.client.clone(), WatchTarget::kind(kind));
        if let Some(tasks) = &mut *self.tasks.borrow_mut() {
            let task = net::spawn(async move {
                reflector::run(client, target, async |news| forwarder.forward(news).await).await;
            });
            // An older watch of the kind ends here.
            tasks.insert(kind.plural.clone(), task);
        }
    }

    /// Watches a kind no longer.
    pub(super) fn unwatch(&self, kind: &Resource) {
        let task = self.tasks.borrow_mut().as_mut().and_then(|tasks| tasks.remove(&kind.plural));
        drop(task);
    }

    /// Ends all watches, and begins no other.
    pub(super) async fn end(&self) {
        let tasks = self.tasks.take();
        for task in tasks.into_iter().flat_map(HashMap::into_values) {
            task.cancel().await;
        }
    }
}

/// Brings what one reflector sees to the owners of the objects.
struct EventForwarder {
    messages: MessageSender,
    kind: Arc<Resource>,
    /// A list was complete.
    listed: bool,
    /// When the coordinator was last told that the first list goes on.
    progress: Option<Instant>,
    /// Of AuthClients, whose names do not say it: the stack of each, and when a list named it.
    homes: Homes,
    /// The same of objects that are left over of another stack than that.
    leftovers: Homes,
}

/// By name of the object: which stack, and when a list named the object.
type Homes = AHashMap<Arc<str>, (Arc<str>, Option<Instant>)>;

impl EventForwarder {
    async fn forward(&mut self, news: ReflectorEvent) {
        match news {
            ReflectorEvent::Listed { object, asked } => {
                self.note_home(&object, Some(asked)).await;
                self.hand_over(object, |object| ObjectEvent::Listed(object, asked)).await;
                self.goes_on().await;
            }
            ReflectorEvent::Changed { object, at } => {
                self.note_home(&object, None).await;
                self.hand_over(object, |object| ObjectEvent::Changed(object, at)).await;
            }
            ReflectorEvent::Removed { object, at } => {
                if self.leftover(&object.key).is_some_and(|of| object.leftover_of() != Some(&*of)) {
                    self.no_longer_leftover(&object.key).await;
                }
                self.leftovers.remove(&object.key.name);
                // Its home is told by the event itself, which names the uid that is gone: by now there
                // may be another object of that name, which an own answer has told of.
                if self.is_at_home(&object) {
                    self.homes.remove(&object.key.name);
                } else {
                    self.leave(&object.key).await;
                }
                self.hand_over(object, |object| ObjectEvent::Removed(object, at)).await;
            }
            ReflectorEvent::Complete { asked, version } => {
                // Later than the list was asked for they came by events.
                for homes in [&mut self.homes, &mut self.leftovers] {
                    homes.retain(|_, (_, listed)| listed.is_none_or(|at| at >= asked));
                }
                for shard in self.messages.shards() {
                    let kind = Arc::clone(&self.kind);
                    let listed = ToShard::Listed { kind, asked, version: version.clone() };
                    self.messages.to_shard(shard, listed).await;
                }
                self.listed = true;
                self.tell(KindStatus::Listed).await;
            }
            // A definition that was made just now is served a moment later.
            ReflectorEvent::Refused { missing: true, refusal } => {
                self.tell(KindStatus::Failing(refusal.to_string())).await
            }
            ReflectorEvent::Refused { missing: false, refusal } => {
                self.tell(KindStatus::Refused(refusal.to_string())).await;
            }
            ReflectorEvent::Failing { cause } => self.tell(KindStatus::Failing(cause)).await,
            ReflectorEvent::Recovered => self.tell(KindStatus::Recovered).await,
        }
    }

    /// The stack that an object was last known to be left over of.
    fn leftover(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.leftovers.get(&key.name).map(|(of, _)| Arc::clone(of))
    }

    /// An object is no longer left over of the stack that it was.
    async fn no_longer_leftover(&mut self, key: &ObjectKey) {
        if let Some((of, _)) = self.leftovers.remove(&key.name) {
            self.send(&of, ObjectEvent::Moved(key.clone(), of.clone())).await;
        }
    }

    /// Remembers where an object is at home, and tells the homes that it left. They hear of that before
    /// any home hears of the object.
    async fn note_home(&mut self, object: &Object, listed: Option<Instant>) {
        let of = object.leftover_of();
        if self.leftover(&object.key).is_some_and(|before| of != Some(&*before)) {
            self.no_longer_leftover(&object.key).await;
        }
        if let Some(of) = of {
            self.leftovers.insert(Arc::clone(&object.key.name), (of.into(), listed));
        }
        if self.kind.role() != Role::AuthClient {
            return;
        }
        let Some(home) = object.belongs_to() else { return self.leave(&object.key).await };
        let home: Arc<str> = home.into();
        let before = self.homes.insert(Arc::clone(&object.key.name), (Arc::clone(&home), listed));
        if let Some((before, _)) = before.filter(|(before, _)| *before != home) {
            self.send(&before, ObjectEvent::Moved(object.key.clone(), before.clone())).await;
        }
    }

    /// Whether an object was last known with the stack that it says it is of.
    fn is_at_home(&self, object: &Object) -> bool {
        let home = self.homes.get(&object.key.name).map(|(home, _)| &**home);
        home.is_none() || home == object.belongs_to()
    }

    /// A client is nobody's any more.
    async fn leave(&mut self, key: &ObjectKey) {
        if let Some((home, _)) = self.homes.remove(&key.name) {
            self.send(&home, ObjectEvent::Moved(key.clone(), home.clone())).await;
        }
    }

    async fn hand_over(&self, object: Box<Object>, seen: impl Fn(Box<Object>) -> ObjectEvent) {
        if let Some(of) = object.leftover_of() {
            let leftover = ObjectEvent::Leftover(Box::new(seen(object.clone())));
            self.send(of, leftover).await;
        }
        let owner = match self.kind.role() {
            Role::Versions => Some(&*object.key.name),
            _ => object.belongs_to(),
        };
        if let Some(owner) = owner.map(|owner| self.messages.owner(owner)) {
            self.messages.to_shard(owner, ToShard::Object(seen(object))).await;
        }
    }

    /// The coordinator is told now and then that a long first list goes on.
    async fn goes_on(&mut self) {
        let now = now();
        let due = self.progress.is_none_or(|told| now.saturating_duration_since(told) >= LISTING_EVERY);
        if !self.listed && due {
            self.progress = Some(now);
            self.tell(KindStatus::Listing).await;
        }
    }

    async fn tell(&self, status: KindStatus) {
        self.messages.to_coordinator(ToCoordinator::Kind(Arc::clone(&self.kind), status)).await;
    }

    async fn send(&self, stack: &str, event: ObjectEvent) {
        self.messages.to_shard(self.messages.owner(stack), ToShard::Object(event)).await;
    }
}
