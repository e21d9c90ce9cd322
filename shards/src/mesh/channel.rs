//! The channel from one shard to another: glommio's, or one within a simulation's thread.

use super::lane::Refused;
use futures::Stream;
#[cfg(feature = "simulation")]
use futures::channel::mpsc;
use glommio::{
    GlommioError, ResourceType,
    channels::shared_channel::{
        ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender, new_bounded,
    },
};
#[cfg(feature = "simulation")]
use std::cell::RefCell;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The sending end on its way to its thread.
pub(super) enum Outlet<M: Send + 'static> {
    Real(SharedSender<M>),
    #[cfg(feature = "simulation")]
    Simulated(mpsc::Sender<M>),
}

/// The receiving end on its way to its thread.
pub(super) enum Inlet<M: Send + 'static> {
    Real(SharedReceiver<M>),
    #[cfg(feature = "simulation")]
    Simulated(mpsc::Receiver<M>),
}

/// The sending end.
pub(super) enum Sender<M: Send + 'static> {
    Real(ConnectedSender<M>),
    #[cfg(feature = "simulation")]
    Simulated(RefCell<mpsc::Sender<M>>),
}

/// The receiving end.
pub(super) enum Receiver<M: Send + 'static> {
    Real(ConnectedReceiver<M>),
    #[cfg(feature = "simulation")]
    Simulated(mpsc::Receiver<M>),
}

/// A channel for so many messages.
pub(super) fn bounded<M: Send + 'static>(capacity: usize) -> (Outlet<M>, Inlet<M>) {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_running() {
        let (sender, receiver) = mpsc::channel(capacity);
        return (Outlet::Simulated(sender), Inlet::Simulated(receiver));
    }
    let (sender, receiver) = new_bounded(capacity);
    (Outlet::Real(sender), Inlet::Real(receiver))
}

impl<M: Send + 'static> Outlet<M> {
    /// Meets the receiving end.
    pub(super) async fn connect(self) -> Sender<M> {
        match self {
            Self::Real(sender) => Sender::Real(sender.connect().await),
            #[cfg(feature = "simulation")]
            Self::Simulated(sender) => Sender::Simulated(RefCell::new(sender)),
        }
    }
}

impl<M: Send + 'static> Inlet<M> {
    /// Meets the sending end.
    pub(super) async fn connect(self) -> Receiver<M> {
        match self {
            Self::Real(receiver) => Receiver::Real(receiver.connect().await),
            #[cfg(feature = "simulation")]
            Self::Simulated(receiver) => Receiver::Simulated(receiver),
        }
    }
}

impl<M: Send + 'static> Sender<M> {
    pub(super) fn try_send(&self, message: M) -> Result<(), Refused<M>> {
        match self {
            Self::Real(sender) => sender.try_send(message).map_err(|error| match error {
                GlommioError::WouldBlock(ResourceType::Channel(message)) => Refused::Full(message),
                GlommioError::Closed(ResourceType::Channel(message)) => Refused::Closed(message),
                // The source of `try_send` has these two ends only, and no other one holds a message.
                other => unreachable!("a channel neither full nor closed: {other:?}"),
            }),
            #[cfg(feature = "simulation")]
            Self::Simulated(sender) => {
                sender.borrow_mut().try_send(message).map_err(|error| match error.is_full() {
                    true => Refused::Full(error.into_inner()),
                    false => Refused::Closed(error.into_inner()),
                })
            }
        }
    }

    /// Nothing more is sent; what is in the channel still arrives.
    pub(super) fn close(&self) {
        match self {
            Self::Real(sender) => sender.close(),
            #[cfg(feature = "simulation")]
            Self::Simulated(sender) => sender.borrow_mut().disconnect(),
        }
    }
}

impl<M: Send + 'static> Stream for Receiver<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        match &mut *self {
            Self::Real(receiver) => Pin::new(receiver).poll_next(cx),
            #[cfg(feature = "simulation")]
            Self::Simulated(receiver) => Pin::new(receiver).poll_next(cx),
        }
    }
}
