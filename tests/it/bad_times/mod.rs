//! What rude clients and bad moments do to a running server: what the client sees and what the operator sees stand side by
//! side, as in the table of docs/operations.md. Everybody else is served meanwhile.

mod drain;
mod floods;
mod handshakes;
mod slow;
mod tokens;
