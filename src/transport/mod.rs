//! How bytes reach connections: the listener, and the WebSocket behind it. Sockets exist only in here.

pub mod listener;
mod out_queue;
pub mod websocket;

pub use out_queue::OutBudget;

#[cfg(test)]
mod tests;
