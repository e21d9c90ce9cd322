//! The server's thread: accepts connections, keeps who is joined, does what it is told.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc as sync_mpsc},
    time::Instant,
};

use futures::{StreamExt, channel::mpsc, stream};
use hyper::service::service_fn;
use net::{
    self, Task,
    executor::LocalExecutor,
    io::Io,
    listen::{Listener, accept_tls},
    spawn,
    timer::HyperTimer,
    tls::{self, server_config},
};
use proto::{Message, Order, Ping, message, order, server_server::ServerServer};
use rustls::ServerConfig;
use shards::time;
use tonic::Status;
use tower_service::Service as _;

use crate::membership::{
    MembershipCommand, MembershipEvent, MembershipOptions,
    service::{Asked, Down, Orders, Service},
};

/// Everything that the thread waits for.
enum MembershipInput {
    Command(MembershipCommand),
    Accepted(io::Result<Io>),
    Asked(Asked),
    Heard {
        connection: u64,
        message: Result<Message, Status>,
    },
    /// The agent has ended its half, or the connection is gone.
    Over {
        connection: u64,
    },
}

struct MembershipState {
    options: MembershipOptions,
    tls: Option<Arc<ServerConfig>>,
    tell: sync_mpsc::Sender<MembershipEvent>,
    connections: HashMap<u64, Task<()>>,
    joined: HashMap<u64, JoinedAgent>,
    asked: mpsc::UnboundedSender<Asked>,
    heard: mpsc::UnboundedSender<MembershipInput>,
    pinged: Option<Instant>,
}

struct JoinedAgent {
    id: String,
    orders: Orders,
    failed: bool,
    _reader: Task<()>,
}

/// Runs until told to stop.
pub(super) async fn serve(
    options: MembershipOptions,
    commands: mpsc::UnboundedReceiver<MembershipCommand>,
    tell: sync_mpsc::Sender<MembershipEvent>,
    bound: sync_mpsc::Sender<Result<SocketAddr, String>>,
) {
    let prepared = prepare(&options);
    let (listener, tls) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return drop(bound.send(Err(error))),
    };
    let _ = bound.send(Ok(listener.local_addr()));

    let (asked, from_services) = mpsc::unbounded();
    let (heard, from_readers) = mpsc::unbounded();
    let (accepted, from_listener) = mpsc::unbounded();
    let _acceptor = spawn(async move { while accepted.unbounded_send(listener.accept().await).is_ok() {} });
    let inputs = [
        commands.map(MembershipInput::Command).boxed_local(),
        from_listener.map(MembershipInput::Accepted).boxed_local(),
        from_services.map(MembershipInput::Asked).boxed_local(),
        from_readers.boxed_local(),
    ];
    let mut inputs = stream::select_all(inputs);
    let mut state = MembershipState {
        options,
        tls,
        tell,
        connections: HashMap::new(),
        joined: HashMap::new(),
        asked,
        heard,
        pinged: None,
    };
    let mut next_connection = 0;
    let mut turn = 0_u32;
    while let Some(input) = inputs.next().await {
        match input {
            MembershipInput::Command(MembershipCommand::Stop) => break,
            MembershipInput::Command(command) => state.command(command),
            MembershipInput::Accepted(Err(error)) => tracing::warn!("embedded membership: accept: {error}"),
            MembershipInput::Accepted(Ok(io)) => {
                next_connection += 1;
                state.accepted(next_connection, io);
            }
            MembershipInput::Asked(asked) => state.asked(asked),
            MembershipInput::Heard { connection, message } => state.heard(connection, message),
            MembershipInput::Over { connection } => state.over(connection),
        }
        // A flood of commands must not keep what they cause from happening.
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(256) {
            net::yield_now().await;
        }
    }
}

fn prepare(options: &MembershipOptions) -> Result<(Listener, Option<Arc<ServerConfig>>), String> {
    let tls = options.identity.as_ref().map(|identity| server_config(identity, &[tls::H2])).transpose();
    let tls = tls.map_err(|error| error.to_string())?;
    let listener = Listener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok((listener, tls))
}

impl MembershipState {
    fn tell(&self, event: MembershipEvent) {
        // Nobody listens any more: then nobody misses it.
        let _ = self.tell.send(event);
    }

    fn accepted(&mut self, connection: u64, io: Io) {
        let service = Service { connection, asked: self.asked.clone() };
        let (tls, heard) = (self.tls.clone(), self.heard.clone());
        let task = spawn(async move {
            if let Err(error) = serve_connection(io, tls, service).await {
                tracing::debug!("embedded membership: connection: {error}");
            }
            let _ = heard.unbounded_send(MembershipInput::Over { connection });
        });
        self.connections.insert(connection, task);
    }

    fn asked(&mut self, asked: Asked) {
        let id = asked.join.id.clone();
        if let Err(status) = self.may_join(&asked) {
            self.tell(MembershipEvent::Refused { id, reason: status.message().to_owned() });
            return drop(asked.answer.send(Err(status)));
        }
        let (orders, down) = Down::new();
        if asked.answer.send(Ok(down)).is_err() {
            return;
        }
        let (connection, heard, mut messages) = (asked.connection, self.heard.clone(), asked.messages);
        let reader = spawn(async move {
            while let Some(message) = messages.next().await {
                let failed = message.is_err();
                if heard.unbounded_send(MembershipInput::Heard { connection, message }).is_err() || failed {
                    break;
                }
            }
            let _ = heard.unbounded_send(MembershipInput::Over { connection });
        });
        self.joined.insert(connection, JoinedAgent { id, orders, failed: false, _reader: reader });
        self.tell(MembershipEvent::Joined(asked.join));
    }

    fn may_join(&self, asked: &Asked) -> Result<(), Status> {
        if let Some((key, value)) = &self.options.credential
            && asked.join.all(key) != [value.as_str()]
        {
            return Err(Status::unauthenticated("wrong credential"));
        }
        if self.joined.values().any(|joined| joined.id == asked.join.id) {
            return Err(Status::already_exists(format!("agent {} is joined", asked.join.id)));
        }
        Ok(())
    }

    fn heard(&mut self, connection: u64, message: Result<Message, Status>) {
        let Some(joined) = self.joined.get_mut(&connection) else { return };
        let message = match message {
            Ok(message) => message,
            Err(_) => return joined.failed = true,
        };
        let id = joined.id.clone();
        if let Some(message::Message::Pong(_)) = message.message
            && let Some(pinged) = self.pinged.take()
        {
            let after = time::now().saturating_duration_since(pinged);
            self.tell(MembershipEvent::Pong { after });
        }
        self.tell(MembershipEvent::Message { id, message });
    }

    /// Dropping the sender ends the stream of orders, and with it the call.
    fn over(&mut self, connection: u64) {
        if let Some(joined) = self.joined.remove(&connection) {
            self.tell(MembershipEvent::Left { id: joined.id, graceful: !joined.failed });
        }
    }

    fn command(&mut self, command: MembershipCommand) {
        match command {
            MembershipCommand::Order(order) => self.send(&order),
            MembershipCommand::Ping(at) => {
                self.pinged = Some(at);
                let ping = order::Message::Ping(Ping {});
                self.send(&Order { message: Some(ping), metadata: HashMap::new() });
            }
            MembershipCommand::End(status) => {
                for joined in self.joined.values() {
                    let _ = joined.orders.unbounded_send(Err(status.clone()));
                }
            }
            MembershipCommand::Kill => {
                self.connections.clear();
                let killed: Vec<u64> = self.joined.keys().copied().collect();
                for connection in killed {
                    self.joined.entry(connection).and_modify(|joined| joined.failed = true);
                    self.over(connection);
                }
            }
            MembershipCommand::Stop => {}
        }
    }

    fn send(&self, order: &Order) {
        for joined in self.joined.values() {
            let _ = joined.orders.unbounded_send(Ok(order.clone()));
        }
    }
}

async fn serve_connection(
    io: Io,
    tls: Option<Arc<ServerConfig>>,
    service: Service,
) -> Result<(), Box<dyn std::error::Error>> {
    let io = match tls {
        None => io,
        Some(config) => accept_tls(config, io).await?,
    };
    let service = ServerServer::new(service);
    let service = service_fn(move |request| service.clone().call(request));
    hyper::server::conn::http2::Builder::new(LocalExecutor)
        .timer(HyperTimer)
        .serve_connection(io, service)
        .await?;
    Ok(())
}
