//! Messages and errors as one line of words. What strangers wrote is made harmless for a terminal here.

use tidings_client::core::{Message, RequestError};
use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, content::Kind},
};

use super::width::cut;

/// Characters of one message that are shown; who wants the rest reads it elsewhere.
const SHOWN_CHARS_MAX: usize = 4_000;
/// Columns of a message that stand for it when another line is about it.
pub(super) const EXCERPT: usize = 24;

/// A text of a stranger without anything that a terminal obeys: control characters, and marks that turn the direction
/// of writing so that a line reads as something else.
pub(super) fn harmless(text: &str) -> String {
    let shown = text.chars().take(SHOWN_CHARS_MAX).map(|c| match c {
        '\n' | '\u{2028}' | '\u{2029}' => '⏎',
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    });
    let mut shown: String = shown.collect();
    let more = text.chars().count().saturating_sub(SHOWN_CHARS_MAX);
    if more > 0 {
        shown.push_str(&format!("… ({more} more characters)"));
    }
    shown
}

/// The content in words.
pub(super) fn content(content: Option<&wire::Content>) -> String {
    let words = match content.and_then(|content| content.kind.as_ref()) {
        Some(Kind::Text(text)) => text.text.clone(),
        Some(Kind::Notice(notice)) => format!("* {}", notice.text),
        Some(Kind::Sticker(sticker)) => format!("[sticker {}]", sticker.id),
        Some(Kind::Image(image)) => format!("[image {}]", image.url),
        Some(Kind::Voice(voice)) => format!("[voice {}]", voice.url),
        Some(Kind::Video(video)) => format!("[video {}]", video.url),
        Some(Kind::File(file)) => format!("[file {} {}]", file.name, file.url),
        Some(Kind::Location(place)) => format!("[location {} {},{}]", place.title, place.lat, place.lon),
        Some(Kind::Card(card)) => format!("[card {}: {}]", card.title, card.text),
        Some(Kind::Custom(custom)) => format!("[{}]", custom.r#type),
        Some(Kind::Encrypted(_)) => "[encrypted]".into(),
        None => "[something this version does not know]".into(),
    };
    harmless(&words)
}

/// What a message says now, with what became of it, to `me`.
pub(super) fn message(message: &wire::Message, me: &str) -> String {
    if message.recalled {
        return "(taken back)".into();
    }
    let mut words = content(message.content.as_ref());
    if message.edited_time > 0 {
        words.push_str(" (edited)");
    }
    let given: Vec<String> = message.reactions.iter().map(|given| reaction(given, me)).collect();
    if !given.is_empty() {
        words.push_str(&format!("  [{}]", given.join(", ")));
    }
    words
}

/// The beginning of what a message says, to tell it from others; nothing of a recalled one.
pub(super) fn excerpt(message: &Message) -> String {
    if message.message.recalled { String::new() } else { excerpt_of(message.message.content.as_ref()) }
}

/// The same for new content.
pub(super) fn excerpt_of(new: Option<&wire::Content>) -> String {
    cut(&content(new), EXCERPT)
}

fn reaction(given: &wire::GivenReaction, me: &str) -> String {
    let who = if given.from == me { "you" } else { &given.from };
    format!("{} {who}", cut(&harmless(&given.reaction), EXCERPT))
}

/// Hours and minutes, UTC.
pub(super) fn clock(time: u64) -> String {
    let minutes = time / 60_000 % 1_440;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Why the server or the client did not do something, and what helps.
pub(super) fn why(error: &RequestError) -> String {
    match error {
        RequestError::Refused { code, text } => refusal(*code, text),
        RequestError::Disconnected => "there is no connection; try again when it is back".into(),
        RequestError::TimedOut => "the server did not answer; try again".into(),
        RequestError::TooMany => "too much waits for an answer; try again in a moment".into(),
        RequestError::Unexpected => "the server answered something else; is it a newer version?".into(),
    }
}

/// A refusal in words that say what helps; the server's own where there is nothing better.
pub(super) fn refusal(code: u32, text: &str) -> String {
    let words = ErrorCode::from_number(code).and_then(advice);
    words.map_or_else(|| format!("{} ({code})", harmless(text)), |words| format!("{words} ({code})"))
}

fn advice(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UnknownOp => "this server cannot do that",
        ErrorCode::BodyTooLarge => "it is too long; send it in parts",
        ErrorCode::PeerBlocked => "you have blocked this user; /unblock first",
        ErrorCode::NotAuthor => "only its author can do that; /react and /delete work for every message",
        ErrorCode::NoSuchSeq => "the server does not have that message; /history shows what there is",
        ErrorCode::NoSuchConversation => "there is no conversation with that user yet",
        ErrorCode::TooManyDeletions => "too many single messages are deleted; use /delete upto N",
        ErrorCode::MessageRecalled => "that message was taken back",
        ErrorCode::TooLate => "that message is too old for it; send a new one",
        ErrorCode::TooManyReactions => "you have reacted to it often enough; /unreact one first",
        ErrorCode::NewPeersLimited => "too many new people in one hour; try again later",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &str) -> wire::Content {
        tidings_client::core::plain_text(words)
    }

    #[test]
    fn nothing_a_stranger_writes_moves_the_cursor_or_turns_the_line() {
        let evil = "\u{1b}[2Jboo\r\n\u{7}\u{9b}31m\u{202e}txet\u{2028}\u{85}\u{7f}";
        let words = content(Some(&text(evil)));
        assert_eq!(words, "\u{fffd}[2Jboo\u{fffd}⏎\u{fffd}\u{fffd}31m\u{fffd}txet⏎\u{fffd}\u{fffd}");
        let given = wire::GivenReaction { from: "bob".into(), reaction: "\u{1b}]0;x\u{7}".into() };
        assert_eq!(reaction(&given, "alice"), "\u{fffd}]0;x\u{fffd} bob");
        assert!(!refusal(0, evil).chars().any(char::is_control));
        let long = "x".repeat(SHOWN_CHARS_MAX + 7);
        assert!(harmless(&long).ends_with("x… (7 more characters)"));
    }

    #[test]
    fn a_message_says_what_became_of_it_and_a_recalled_one_nothing_else() {
        let given = wire::GivenReaction { from: "bob".into(), reaction: "👍".into() };
        let edited = wire::Message {
            content: Some(text("hi")),
            edited_time: 5,
            reactions: vec![given],
            ..wire::Message::default()
        };
        assert_eq!(message(&edited, "alice"), "hi (edited)  [👍 bob]");
        assert_eq!(message(&edited, "bob"), "hi (edited)  [👍 you]");
        assert_eq!(message(&wire::Message { recalled: true, ..edited }, "bob"), "(taken back)");
        assert_eq!(message(&wire::Message::default(), "bob"), "[something this version does not know]");
    }

    #[test]
    fn a_refusal_says_what_helps_and_keeps_the_number() {
        assert_eq!(refusal(4009, "too late"), "that message is too old for it; send a new one (4009)");
        assert_eq!(refusal(9999, "new\u{1b}"), "new\u{fffd} (9999)");
        assert_eq!(clock(61 * 60_000), "01:01");
    }
}
