//! The rules of a proxy, and what it saw.

use std::{
    collections::BTreeMap,
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender},
    },
    time::Instant,
};

use super::{Http1Request, RequestFate, SeenRequest};
use crate::support::now;

pub(super) type When = Box<dyn FnMut(&Http1Request) -> bool + Send>;

pub(super) enum HoldbackAct {
    Fate(RequestFate),
    Hold(Sender<Arrival>),
}

/// A request that waits to be delivered.
pub(super) struct Arrival {
    pub(super) request: Http1Request,
    pub(super) go: Sender<Sender<u16>>,
}

pub(super) struct Rule {
    /// So many requests that match go by first.
    pub(super) skip: usize,
    pub(super) left: usize,
    pub(super) when: When,
    pub(super) act: HoldbackAct,
    pub(super) fired: Arc<AtomicUsize>,
}

pub(super) enum ToDesk {
    Add(Rule),
    /// A request came; the answer is its number and what is to be done with it.
    Ask(Http1Request, Sender<(usize, HoldbackAct)>),
    /// The server answered to the request of this number.
    Answered(usize, u16),
    Log(Sender<Vec<SeenRequest>>),
    TurnedAway(Sender<Vec<Instant>>),
    /// A client connected; the answer is whether it may.
    Opened(usize, TcpStream, Sender<bool>),
    Closed(usize),
    Sever(bool, Sender<()>),
}

#[derive(Default)]
struct HoldbackDesk {
    rules: Vec<Rule>,
    log: Vec<SeenRequest>,
    severed: bool,
    turned_away: Vec<Instant>,
    connections: BTreeMap<usize, TcpStream>,
}

/// Rules and what was seen belong to one thread, which is asked about each request.
pub(super) fn keep_desk(orders: &Receiver<ToDesk>) {
    let mut desk = HoldbackDesk::default();
    for order in orders {
        match order {
            ToDesk::Add(rule) => desk.rules.push(rule),
            ToDesk::Log(tell) => drop(tell.send(desk.log.clone())),
            ToDesk::TurnedAway(tell) => drop(tell.send(desk.turned_away.clone())),
            ToDesk::Opened(number, connection, tell) => {
                let _ = tell.send(desk.admit(number, connection));
            }
            ToDesk::Closed(number) => drop(desk.connections.remove(&number)),
            ToDesk::Sever(now, tell) => {
                desk.sever(now);
                let _ = tell.send(());
            }
            ToDesk::Answered(number, status) => desk.log[number].status = Some(status),
            ToDesk::Ask(request, tell) => {
                let act = desk.decide(&request);
                let number = desk.log.len();
                desk.log.push(SeenRequest { request, at: now(), status: None });
                let _ = tell.send((number, act));
            }
        }
    }
}

impl HoldbackDesk {
    fn admit(&mut self, number: usize, connection: TcpStream) -> bool {
        if self.severed {
            self.turned_away.push(now());
        } else {
            self.connections.insert(number, connection);
        }
        !self.severed
    }

    fn sever(&mut self, severed: bool) {
        self.severed = severed;
        if severed {
            let all = std::mem::take(&mut self.connections);
            all.values().for_each(|connection| drop(connection.shutdown(Shutdown::Both)));
        }
    }

    fn decide(&mut self, request: &Http1Request) -> HoldbackAct {
        for rule in self.rules.iter_mut().rev().filter(|rule| rule.left > 0) {
            if !(rule.when)(request) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.left -= 1;
            rule.fired.fetch_add(1, Ordering::AcqRel);
            return match &rule.act {
                HoldbackAct::Fate(fate) => HoldbackAct::Fate(fate.clone()),
                HoldbackAct::Hold(arrivals) => HoldbackAct::Hold(arrivals.clone()),
            };
        }
        HoldbackAct::Fate(RequestFate::Pass)
    }
}
