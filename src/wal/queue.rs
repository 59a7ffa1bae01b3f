//! What waits to be written: requests as they come out of the channel, up to what is written at once.

use super::handle::Command;
use super::handle::Request;
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

/// Requests that wait, first come first out.
#[derive(Debug)]
pub(super) struct Queue {
    inbox: Receiver<Command>,
    is_disconnected: bool,
    waiting: VecDeque<Request>,
    bytes: u64,
}

impl Queue {
    /// Of what comes out of a channel.
    pub(super) fn of(inbox: Receiver<Command>) -> Self {
        Self { inbox, is_disconnected: false, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Takes what is there, until so many bytes wait.
    pub(super) fn collect(&mut self, bytes: u64) {
        while self.bytes < bytes {
            match self.inbox.try_recv() {
                Ok(command) => self.take(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.is_disconnected = true;
                    return;
                }
            }
        }
    }

    /// Waits for one command, at most so long.
    pub(super) fn wait(&mut self, at_most: Option<Duration>) {
        let command = match at_most {
            None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at_most) => self.inbox.recv_timeout(at_most),
        };
        match command {
            Ok(command) => self.take(command),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_disconnected = true,
        }
    }

    fn take(&mut self, command: Command) {
        if let Command::Append(request) = command {
            self.bytes += request.size;
            self.waiting.push_back(request);
        }
    }

    /// The request that has waited longest.
    pub(super) fn next(&mut self) -> Option<Request> {
        let request = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(request.size);
        Some(request)
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nobody is left who could send one.
    pub(super) fn is_disconnected(&self) -> bool {
        self.is_disconnected
    }
}
