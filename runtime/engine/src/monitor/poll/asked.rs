//! Those who ask: a monitor's connections and their messages.

use super::{MOST, Monitor};
use crate::monitor::attached::Attached;
use crate::monitor::control::{self, Message};
use base::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Somebody who asks.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) waits: bool,
    pub(super) asked_to_start: bool,
}

impl Monitor {
    pub(super) fn accept(&mut self) {
        use rustix::net::{SocketFlags, accept_with};
        if let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC) {
            self.connections.push(Connection { socket, waits: false, asked_to_start: false });
        }
    }

    pub(super) fn listen_to(&mut self, number: usize) {
        let mut descriptors = Vec::new();
        let socket = self.connections[number].socket.as_fd();
        let Ok(Some(message)) = control::receive(socket, &mut descriptors) else {
            self.connections.remove(number);
            return;
        };
        let answer = match message {
            Message::Start => {
                self.connections[number].asked_to_start = true;
                if self.worker.is_some() {
                    // Whoever asked for that start may have been killed; its answer is for all.
                    return;
                }
                self.due = None;
                self.restarts.count = 0;
                match self.start() {
                    // Answered when the worker has.
                    Ok(()) if self.worker.is_some() => return,
                    result => result,
                }
            }
            Message::Attach(streams) => match descriptors.pop() {
                Some(client) if self.attached.len() < MOST => {
                    self.attached.push(Attached::new(client, streams, self.config.terminal));
                    Ok(())
                }
                _ => Err(Error::other("attach: too many clients")),
            },
            Message::Wait(_) => {
                self.connections[number].waits = true;
                return;
            }
            Message::Resize(columns, rows) => self.resize(columns, rows),
            Message::Policy(policy) => {
                self.config.policy = policy;
                self.restarts.change(policy);
                Ok(())
            }
            Message::Look => {
                // Somebody else mounts the root.
                self.root = None;
                if self.due.is_some() && !self.work.may_restart() {
                    self.due = None;
                    self.over = true;
                }
                Ok(())
            }
            _ => Err(Error::other("monitor: unexpected message")),
        };
        self.answer(number, answer);
    }

    pub(super) fn answer(&mut self, number: usize, answer: Result<()>) {
        let connection = &mut self.connections[number];
        connection.asked_to_start = false;
        let socket = connection.socket.as_fd();
        // Whoever asked may have gone.
        let _ = match answer {
            Ok(()) => base::sys::pass::send(socket, &Message::Done.to_bytes(), &[]),
            Err(error) => control::send_failure(socket, &error),
        };
    }

    pub(super) fn tell_waiters(&mut self, exit_code: i32) {
        let message = Message::Ended(exit_code).to_bytes();
        for connection in self.connections.iter_mut().filter(|connection| connection.waits) {
            connection.waits = false;
            let _ = base::sys::pass::send(connection.socket.as_fd(), &message, &[]);
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.connections.is_empty() && self.attached.is_empty()
    }
}
