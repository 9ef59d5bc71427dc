//! What stands before the line a person types: with whom, and how things are. In a narrow window it says the same in
//! fewer columns.

use super::width::{columns, cut};

/// Columns that a name may take when room is short.
const SHORT_NAME: usize = 8;

/// How the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    Live,
    /// Gone; seconds until the next attempt.
    Lost(u64),
}

/// Everything that is always visible.
#[derive(Clone, Debug)]
pub(super) struct Status<'a> {
    pub(super) peer: Option<&'a str>,
    /// How far the newest own message has come.
    pub(super) ticks: &'static str,
    pub(super) typing: bool,
    pub(super) blocked: bool,
    /// Messages and changes without an answer.
    pub(super) waiting: u64,
    /// Unread messages in other conversations.
    pub(super) unread: u64,
    pub(super) link: Link,
}

impl Status<'_> {
    /// The prompt for a window of that many columns: at most half of it, so that there is room to type.
    pub(super) fn prompt(&self, window: usize) -> String {
        let room = (window / 2).max(3);
        let forms = [self.long(), self.short()];
        forms.into_iter().find(|prompt| columns(prompt) <= room).unwrap_or_else(|| self.shortest(room))
    }

    fn long(&self) -> String {
        let mut prompt = self.peer.unwrap_or_default().to_owned();
        prompt.push_str(self.ticks);
        self.say(&mut prompt, self.blocked, " blocked".into());
        self.say(&mut prompt, self.typing, " is typing".into());
        self.say(&mut prompt, self.waiting > 0, format!(" …{}", self.waiting));
        self.say(&mut prompt, self.unread > 0, format!(" [{} unread]", self.unread));
        let link = match self.link {
            Link::Live => String::new(),
            Link::Connecting => " (connecting)".into(),
            Link::Lost(0) => " (offline)".into(),
            Link::Lost(seconds) => format!(" (offline, {seconds} s)"),
        };
        prompt.push_str(&link);
        format!("{} > ", prompt.trim_start()).trim_start().to_owned()
    }

    fn short(&self) -> String {
        let mut prompt = cut(self.peer.unwrap_or_default(), SHORT_NAME);
        self.say(&mut prompt, self.typing, "~".into());
        self.say(&mut prompt, self.waiting > 0, format!("…{}", self.waiting));
        self.say(&mut prompt, self.unread > 0, format!("[{}]", self.unread));
        self.say(&mut prompt, self.link != Link::Live, "!".into());
        prompt + "> "
    }

    fn shortest(&self, room: usize) -> String {
        let end = if self.link == Link::Live { "> " } else { "!> " };
        cut(self.peer.unwrap_or_default(), room.saturating_sub(end.len())) + end
    }

    fn say(&self, prompt: &mut String, when: bool, words: String) {
        if when {
            prompt.push_str(&words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Status<'static> {
        Status {
            peer: Some("bob.the.builder"),
            ticks: " ✓✓ read",
            typing: true,
            blocked: false,
            waiting: 2,
            unread: 3,
            link: Link::Lost(4),
        }
    }

    #[test]
    fn a_wide_window_says_it_in_words() {
        let prompt = busy().prompt(200);
        assert_eq!(prompt, "bob.the.builder ✓✓ read is typing …2 [3 unread] (offline, 4 s) > ");
        let nobody = Status { peer: None, ticks: "", typing: false, waiting: 0, unread: 0, link: Link::Live, ..busy() };
        assert_eq!(nobody.prompt(80), "> ");
        assert_eq!(Status { link: Link::Connecting, ..nobody }.prompt(80), "(connecting) > ");
    }

    #[test]
    fn every_window_leaves_half_of_it_to_type_and_shows_that_the_server_is_away() {
        assert_eq!(busy().prompt(40), "bob.the…~…2[3]!> ");
        assert_eq!(busy().prompt(20), "bob.th…!> ");
        for window in 6..200 {
            let prompt = busy().prompt(window);
            assert!(columns(&prompt) <= window / 2, "{window}: {prompt}");
            assert!(prompt.contains('!') || prompt.contains("offline"), "{window}: {prompt}");
        }
    }
}
