//! A membership on loopback: a real gRPC server on a thread of its own, for the demo, tests
//! and benches. It sends what it is told to and tells what it hears; it decides nothing.

mod connections;
mod service;

use std::{
    net::SocketAddr,
    sync::mpsc as sync_mpsc,
    time::{Duration, Instant},
};

use futures::channel::mpsc;
use net::{Thread, start_thread, tls::Identity};
use proto::{Message, Order};
use shards::time;

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct MembershipOptions {
    /// TLS with this certificate; plain text without.
    pub identity: Option<Identity>,
    /// Key and value of metadata that a join must carry, else it is unauthenticated.
    pub credential: Option<(String, String)>,
}

/// What an embedded membership has seen.
#[derive(Debug, Clone, PartialEq)]
pub enum MembershipEvent {
    /// An agent joined.
    Joined(JoinRequest),
    /// A join was refused.
    Refused {
        /// The agent's id.
        id: String,
        /// Why.
        reason: String,
    },
    /// An agent said something, heartbeats included.
    Message {
        /// Its id.
        id: String,
        /// What it said.
        message: Message,
    },
    /// The answer to [`EmbeddedMembership::ping`], or a heartbeat that came while it was awaited.
    Pong {
        /// Time from the Ping to the Pong.
        after: Duration,
    },
    /// A stream is over.
    Left {
        /// The agent's id.
        id: String,
        /// Whether the agent ended it.
        graceful: bool,
    },
}

/// A join as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The agent's id.
    pub id: String,
    /// All request metadata, in the order of the wire; binary values are left out.
    pub metadata: Vec<(String, String)>,
}

impl JoinRequest {
    /// All values of a key.
    pub fn all(&self, key: &str) -> Vec<&str> {
        self.metadata.iter().filter(|(k, _)| k == key).map(|(_, value)| value.as_str()).collect()
    }
}

/// What the server's thread is told.
enum MembershipCommand {
    Order(Box<Order>),
    Ping(Instant),
    /// Ends the stream with this status.
    End(tonic::Status),
    /// Drops the connections.
    Kill,
    Stop,
}

/// Why there is no embedded membership.
#[derive(Debug, thiserror::Error)]
pub enum MembershipStartError {
    /// No executor.
    #[error(transparent)]
    Executor(#[from] net::ExecutorError),
    /// No socket.
    #[error("embedded membership cannot listen: {0}")]
    Listen(String),
}

/// A running embedded membership; it stops when dropped.
#[derive(Debug)]
pub struct EmbeddedMembership {
    address: SocketAddr,
    commands: mpsc::UnboundedSender<MembershipCommand>,
    events: sync_mpsc::Receiver<MembershipEvent>,
    thread: Option<Thread<()>>,
}

impl EmbeddedMembership {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(options: MembershipOptions) -> Result<Self, MembershipStartError> {
        let (commands, to_server) = mpsc::unbounded();
        let (tell, events) = sync_mpsc::channel();
        let (bound, address) = sync_mpsc::channel();
        let thread = start_thread("membership", move || connections::serve(options, to_server, tell, bound))?;
        let address = match address.recv() {
            Ok(bound) => bound.map_err(MembershipStartError::Listen)?,
            // The thread ended before it listened: its own error says why.
            Err(_) => {
                thread.join()?;
                return Err(MembershipStartError::Listen("its thread ended".into()));
            }
        };
        Ok(Self { address, commands, events, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, for the agent's `server-address`.
    pub fn server_address(&self) -> String {
        self.address.to_string()
    }

    /// Sends an order to whoever is joined; one that nobody hears is lost, as with the real one.
    pub fn send(&self, order: Order) {
        self.tell(MembershipCommand::Order(Box::new(order)));
    }

    /// Sends a Ping; its latency comes as [`MembershipEvent::Pong`].
    pub fn ping(&self) {
        self.tell(MembershipCommand::Ping(time::now()));
    }

    /// Ends the streams with an error, as membership does when it goes down in an orderly way.
    pub fn end(&self, status: tonic::Status) {
        self.tell(MembershipCommand::End(status));
    }

    /// Drops the connections without a word.
    pub fn kill(&self) {
        self.tell(MembershipCommand::Kill);
    }

    /// Waits for the next event.
    pub fn next_event(&self, within: Duration) -> Option<MembershipEvent> {
        self.events.recv_timeout(within).ok()
    }

    /// Waits for an event that `wanted` takes; events before it are dropped.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        mut wanted: impl FnMut(MembershipEvent) -> Option<T>,
    ) -> Option<T> {
        let deadline = time::after(time::now(), within);
        loop {
            let left = deadline.saturating_duration_since(time::now());
            if let Some(found) = wanted(self.events.recv_timeout(left).ok()?) {
                return Some(found);
            }
        }
    }

    /// Waits for a join.
    pub fn wait_joined(&self, within: Duration) -> Option<JoinRequest> {
        self.wait_for(within, |event| match event {
            MembershipEvent::Joined(join) => Some(join),
            _ => None,
        })
    }

    fn tell(&self, command: MembershipCommand) {
        // Fails only where the thread has panicked, which joining it on drop shows.
        let _ = self.commands.unbounded_send(command);
    }
}

impl Drop for EmbeddedMembership {
    fn drop(&mut self) {
        self.tell(MembershipCommand::Stop);
        if let Some(thread) = self.thread.take()
            && let Err(error) = thread.join()
        {
            tracing::error!("embedded membership: {error}");
        }
    }
}
