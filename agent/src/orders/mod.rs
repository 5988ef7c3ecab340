//! What somebody at the device asks of its agent: to check in now, to update, to go back.
//!
//! An order waits until nothing is under way, and is carried out by the one loop that there is. Where an agent runs already,
//! the command hands its order over through a socket in the state folder; else it works as the agent until that is done.

mod attend;
mod client;
mod desk;
mod return_trip;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

pub use client::hand_over;
pub use desk::Desk;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Check in now, and follow the decision to its end.
    Check,
    /// The same, and a version that was taken back here may come again.
    Update,
    /// Go back to the former version.
    RollBack {
        /// Why.
        reason: Option<String>,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There is nothing to install now.
    Nothing,
    /// The version that came runs, and is healthy.
    Succeeded,
    /// An operator has to let the device take part first.
    Pending,
    /// The attempt failed, was rolled back or cancelled: the device runs what it ran.
    NotInstalled,
    /// The device's own policy holds the attempt back; the agent goes on with it by itself.
    Held,
    /// The device restarts; the agent goes on with the attempt then.
    Restarts,
    /// It can't be carried out; the text says why.
    Refused(String),
}

impl Outcome {
    /// Returns the exit status of a command that came to this.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Nothing | Self::Succeeded => 0,
            Self::Refused(_) => 1,
            Self::Pending => 3,
            Self::NotInstalled => 4,
            Self::Held => 5,
            Self::Restarts => 6,
        }
    }
}

/// What goes over the socket, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum News {
    /// How it gets on.
    Says(String),
    /// The last of it.
    Ends(Outcome),
}

/// What an order led to at first.
#[derive(Debug)]
pub(crate) enum Begun {
    /// An attempt, which is to be followed.
    Attempt(Uuid),
    /// Nothing; these are the reasons, as far as they are known.
    Nothing(Vec<String>),
    /// An operator has to accept this key first.
    Pending(String),
    /// It can't be carried out.
    Refused(String),
}

/// An order, and who waits to hear what it led to.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) order: Order,
    pub(crate) answer: oneshot::Sender<Begun>,
}

/// Orders that wait.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    book: Mutex<Book>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    waiting: VecDeque<Placed>,
    is_closed: bool,
}

impl Orders {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.book());
        self.changed.notify_waiters();
    }

    /// Puts an order behind those that wait.
    fn place(&self, order: Order) -> oneshot::Receiver<Begun> {
        let (answer, receiver) = oneshot::channel();
        self.change(|book| book.waiting.push_back(Placed { order, answer }));
        receiver
    }

    /// Takes the next order whose giver still waits.
    pub(crate) fn take(&self) -> Option<Placed> {
        let mut book = self.book();
        book.waiting.retain(|placed| !placed.answer.is_closed());
        book.waiting.pop_front()
    }

    /// Says whether anything more is to be begun.
    fn close(&self, is_closed: bool) {
        self.change(|book| book.is_closed = is_closed);
    }

    /// Tells whether nothing more is to be begun.
    pub(crate) fn are_closed(&self) -> bool {
        self.book().is_closed
    }

    /// Waits until an order waits, or no more are to come.
    pub(crate) async fn any(&self) {
        self.until(|book| book.is_closed || !book.waiting.is_empty())
            .await;
    }

    /// Waits until somebody wants the former version back.
    pub(crate) async fn way_back(&self) {
        let is_back = |placed: &Placed| {
            matches!(placed.order, Order::RollBack { .. }) && !placed.answer.is_closed()
        };
        self.until(|book| book.waiting.iter().any(is_back)).await;
    }

    async fn until(&self, is_so: impl Fn(&Book) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so(&self.book()) {
                return;
            }
            changed.await;
        }
    }
}

/// Where the socket is; a path of any length may lead to it, which the socket's own address has no room for.
struct Place {
    folder: File,
}

const SOCKET: &str = "agent.sock";

impl Place {
    fn of(state: &Path) -> io::Result<Self> {
        File::open(state).map(|folder| Self { folder })
    }

    fn named(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }
}
