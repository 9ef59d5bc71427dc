//! What the chat does with the answers to what it asked for.

use tidings_client::{
    Outcome,
    core::{Message, RequestError},
};
use tidings_schema::{
    id::{Seq, Uid},
    wire,
};

use super::{Chat, Done, command::Setting, screen::Style, view::peer_of, words};

impl Chat {
    pub(super) async fn settled(&mut self, done: Done) -> anyhow::Result<()> {
        match done {
            Done::Sent(outcome) => self.sent(&outcome),
            Done::Changed(what, answer) => self.changed(what, &answer),
            Done::Set(peer, setting, answer) => self.was_set(&peer, setting, &answer),
            Done::Listed(list) => self.conversations(list),
            Done::History(peer, page) => self.page(&peer, page).await?,
        }
        Ok(())
    }

    fn sent(&mut self, outcome: &Outcome) {
        self.sending = self.sending.saturating_sub(1);
        match outcome {
            Outcome::Sent(_) | Outcome::Ended => {}
            Outcome::Refused(refused) => {
                self.warn(&format!("not sent, refused: {}", words::refusal(refused.code, &refused.text)));
            }
        }
    }

    /// That it was made is told by its entry, on all devices alike.
    fn changed(&mut self, what: &str, answer: &Result<Seq, RequestError>) {
        self.changing = self.changing.saturating_sub(1);
        match answer {
            Ok(Seq::ZERO) => self.screen.print(Style::Dim, &format!("{what} changes nothing: it is so already")),
            Ok(_) => {}
            Err(error) => self.warn(&format!("{what} was not made: {}", words::why(error))),
        }
    }

    fn was_set(&mut self, peer: &Uid, setting: Setting, answer: &Result<Seq, RequestError>) {
        self.changing = self.changing.saturating_sub(1);
        match answer {
            Ok(_) => {
                self.view.set(peer.as_str(), setting);
                self.screen.print(Style::Dim, &format!("{peer} is {}", setting.word()));
            }
            Err(error) => self.warn(&format!("{peer} is not {}: {}", setting.word(), words::why(error))),
        }
    }

    fn conversations(&mut self, list: Result<wire::Conversations, RequestError>) {
        self.loading = false;
        let list = match list {
            Ok(list) => list,
            // The next connection asks again.
            Err(RequestError::Disconnected) => return,
            Err(RequestError::TimedOut) => return self.load(),
            Err(error) => return self.warn(&format!("no list of conversations: {}", words::why(&error))),
        };
        self.listed = true;
        self.view.load(&list.conversations, Seq::new(list.as_of));
        let newest = list.conversations.iter().find_map(|listed| peer_of(listed.conversation.as_ref()));
        let peer = self.open.clone().or_else(|| newest.and_then(|peer| peer.parse().ok()));
        self.list();
        if let Some(peer) = peer {
            self.talk_to(peer);
        }
    }

    async fn page(&mut self, peer: &Uid, page: Result<wire::Page, RequestError>) -> anyhow::Result<()> {
        self.loading = false;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.warn(&format!("no history of {peer}: {}", words::why(&error)));
                return Ok(());
            }
        };
        self.screen.print(Style::Dim, &format!("── {peer} ──"));
        for message in page.entries.into_iter().rev().filter_map(Message::of_entry) {
            self.view.note_old(&message);
            self.print_message(&message);
        }
        self.mark_read(peer).await
    }
}
