//! Brings what the watches of a shard see to the shards that own the stacks.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use ahash::AHashMap;
use shards::{Router, ShardId, shard_of};
use tracing::debug;

use super::{
    kinds::Look,
    mail::{FRONT, Mail, Seen},
};
use crate::{
    cluster::{KubeClient, ReflectorEvent, WatchTarget, reflector},
    net,
    stack::object::{Object, ObjectKey, Resource, Role},
    time::{Duration, Instant, now},
};

/// How often the front is told that a list goes on.
const PROGRESS: Duration = Duration::from_millis(500);

/// The watches that run on a shard.
pub(super) struct Watcher {
    client: KubeClient,
    router: Router<Mail>,
    shards: usize,
    tasks: RefCell<HashMap<String, net::Task<()>>>,
}

impl Watcher {
    pub(super) fn new(client: KubeClient, router: Router<Mail>, shards: usize) -> Self {
        Self { client, router, shards, tasks: RefCell::default() }
    }

    /// The shard's client.
    #[cfg(test)]
    pub(super) fn client(&self) -> &KubeClient {
        &self.client
    }

    /// Watches a kind from now on.
    pub(super) fn watch(&self, kind: &Arc<Resource>) {
        let mut post = Post {
            router: self.router.clone(),
            shards: self.shards,
            kind: Arc::clone(kind),
            listed: false,
            progress: None,
            homes: AHashMap::new(),
            leftovers: AHashMap::new(),
        };
        let (client, target) = (self.client.clone(), WatchTarget::kind(kind));
        let task = net::spawn(async move {
            reflector::run(client, target, async |news| post.deliver(news).await).await;
        });
        // An older watch of the kind ends here.
        self.tasks.borrow_mut().insert(kind.plural.clone(), task);
    }

    /// Watches a kind no longer.
    pub(super) fn unwatch(&self, kind: &Resource) {
        self.tasks.borrow_mut().remove(&kind.plural);
    }

    /// Ends all watches.
    pub(super) async fn end(&self) {
        let tasks = self.tasks.take();
        for task in tasks.into_values() {
            task.cancel().await;
        }
    }
}

/// Delivers what one watch sees.
struct Post {
    router: Router<Mail>,
    shards: usize,
    kind: Arc<Resource>,
    /// A list was complete.
    listed: bool,
    /// When the front was last told that the first list goes on.
    progress: Option<Instant>,
    /// Of AuthClients, whose names do not say it: the stack of each, and when a list named it.
    homes: Homes,
    /// The same of objects that are left over of another stack than that.
    leftovers: Homes,
}

/// By name of the object: which stack, and when a list named the object.
type Homes = AHashMap<Arc<str>, (Arc<str>, Option<Instant>)>;

impl Post {
    async fn deliver(&mut self, news: ReflectorEvent) {
        match news {
            ReflectorEvent::Listed { object, asked } => {
                self.settle(&object, Some(asked)).await;
                self.hand_over(object, |object| Seen::Listed(object, asked)).await;
                self.goes_on().await;
            }
            ReflectorEvent::Changed { object, at } => {
                self.settle(&object, None).await;
                self.hand_over(object, |object| Seen::Changed(object, at)).await;
            }
            ReflectorEvent::Removed { object, at } => {
                if self.leftover(&object.key).is_some_and(|of| object.leftover_of() != Some(&*of)) {
                    self.let_go(&object.key).await;
                }
                self.leftovers.remove(&object.key.name);
                // Its home is told by the event itself, which names the uid that is gone: by now there
                // may be another object of that name, which an own answer has told of.
                if self.is_at_home(&object) {
                    self.homes.remove(&object.key.name);
                } else {
                    self.leave(&object.key).await;
                }
                self.hand_over(object, |object| Seen::Removed(object, at)).await;
            }
            ReflectorEvent::Complete { asked, version } => {
                // Later than the list was asked for they came by events.
                for homes in [&mut self.homes, &mut self.leftovers] {
                    homes.retain(|_, (_, listed)| listed.is_none_or(|at| at >= asked));
                }
                for shard in (0..self.shards).map(ShardId::new) {
                    let kind = Arc::clone(&self.kind);
                    self.send(shard, Mail::Complete { kind, asked, version: version.clone() }).await;
                }
                self.listed = true;
                self.looked(Look::Listed).await;
            }
            // A definition that was made just now is served a moment later.
            ReflectorEvent::Refused { missing: true, refusal } => {
                self.looked(Look::Failing(refusal.to_string())).await
            }
            ReflectorEvent::Refused { missing: false, refusal } => {
                self.looked(Look::Refused(refusal.to_string())).await;
            }
            ReflectorEvent::Failing { cause } => self.looked(Look::Failing(cause)).await,
            ReflectorEvent::Recovered => self.looked(Look::Recovered).await,
        }
    }

    /// The stack that an object was last known to be left over of.
    fn leftover(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.leftovers.get(&key.name).map(|(of, _)| Arc::clone(of))
    }

    /// An object is no longer left over of the stack that it was.
    async fn let_go(&mut self, key: &ObjectKey) {
        if let Some((of, _)) = self.leftovers.remove(&key.name) {
            self.send(self.owner(&of), Mail::Seen(Seen::Moved(key.clone(), of))).await;
        }
    }

    /// Remembers where an object is at home, and tells the homes that it left. They hear of that before
    /// any home hears of the object.
    async fn settle(&mut self, object: &Object, listed: Option<Instant>) {
        let of = object.leftover_of();
        if self.leftover(&object.key).is_some_and(|before| of != Some(&*before)) {
            self.let_go(&object.key).await;
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
            self.send(self.owner(&before), Mail::Seen(Seen::Moved(object.key.clone(), before))).await;
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
            self.send(self.owner(&home), Mail::Seen(Seen::Moved(key.clone(), home))).await;
        }
    }

    async fn hand_over(&self, object: Box<Object>, seen: impl Fn(Box<Object>) -> Seen) {
        if let Some(of) = object.leftover_of() {
            let leftover = Seen::Leftover(Box::new(seen(object.clone())));
            self.send(self.owner(of), Mail::Seen(leftover)).await;
        }
        let owner = match self.kind.role() {
            Role::Versions => self.owner(&object.key.name),
            _ => match object.belongs_to() {
                Some(stack) => self.owner(stack),
                None => return,
            },
        };
        self.send(owner, Mail::Seen(seen(object))).await;
    }

    /// The front is told now and then that a long first list goes on.
    async fn goes_on(&mut self) {
        let now = now();
        let due = self.progress.is_none_or(|told| now.saturating_duration_since(told) >= PROGRESS);
        if !self.listed && due {
            self.progress = Some(now);
            self.looked(Look::Progress).await;
        }
    }

    async fn looked(&self, look: Look) {
        self.send(FRONT, Mail::Looked { kind: Arc::clone(&self.kind), look }).await;
    }

    fn owner(&self, stack: &str) -> ShardId {
        shard_of(stack.as_bytes(), self.shards)
    }

    async fn send(&self, shard: ShardId, mail: Mail) {
        if self.router.send(shard, mail).await.is_err() {
            debug!(%shard, "a shard is gone");
        }
    }
}
