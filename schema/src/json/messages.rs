//! The table of messages: which field stands under which key. A message that is missing here does not compile where it
//! is used, and a field that is missing fails the comparison with the proto file in the tests.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use super::value::{Field, In, Name, Named, Out, Value, refuse_scalars};
use crate::wire;

struct ObjectVisitor<T>(PhantomData<T>);

/// Puts the key in front of what went wrong below it, so that an error names the path of its field.
fn under<E: Error>(key: &'static str) -> impl Fn(E) -> E {
    move |why| E::custom(format_args!("{key}: {why}"))
}

/// Reads the value of a field; `None` for `null`.
fn read_value<'de, A: MapAccess<'de>, T: Value>(map: &mut A, key: &'static str) -> Result<Option<T>, A::Error> {
    let read = map.next_value::<Option<In<T>>>().map_err(under(key))?;
    Ok(read.map(|read| read.0))
}

/// Reads a field that may stand once.
fn read_once<'de, A: MapAccess<'de>, F: Field>(
    map: &mut A,
    slot: &mut Option<F>,
    key: &'static str,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(A::Error::duplicate_field(key));
    }
    *slot = Some(read_value(map, key)?.map_or_else(F::default, F::fill));
    Ok(())
}

fn write_field<M: SerializeMap, F: Field>(map: &mut M, key: &'static str, field: &F) -> Result<(), M::Error> {
    field.present().map_or(Ok(()), |value| map.serialize_entry(key, &Out(value)))
}

/// `message!(Type { field "key", .. } oneof field: module::Enum { Variant "key", .. } enum field "key": Type)`.
macro_rules! message {
    (
        $type:ident { $($field:ident $key:literal),* $(,)? }
        $(oneof $one:ident: $module:ident :: $enum:ident { $($variant:ident $label:literal $(| $also:literal)?),* $(,)? })?
        $(enumerated $number:ident $name:literal: $names:ident)?
    ) => {
        const _: () = {
            /// A key of the object.
            #[allow(non_camel_case_types, reason = "a key is called as its field")]
            enum Key {
                $($field,)*
                $($($variant,)*)?
                $($number,)?
                /// Of a later version.
                Unknown,
            }

            struct KeyVisitor;

            impl Visitor<'_> for KeyVisitor {
                type Value = Key;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a key")
                }

                fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                    // The name as it stands in the proto file is read too.
                    Ok(match key {
                        $($key => Key::$field,)*
                        $($($label $(| $also)? => Key::$variant,)*)?
                        $($name => Key::$number,)?
                        $(_ if key == stringify!($field) => Key::$field,)*
                        _ => Key::Unknown,
                    })
                }
            }

            impl<'de> Deserialize<'de> for Key {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    from.deserialize_identifier(KeyVisitor)
                }
            }

            impl<'de> Visitor<'de> for ObjectVisitor<wire::$type> {
                type Value = wire::$type;

                refuse_scalars!("an object");

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<wire::$type, A::Error> {
                    $(let mut $field = None;)*
                    $(let mut $one: Option<wire::$module::$enum> = None;)?
                    $(let mut $number: Option<Option<Name<wire::$names>>> = None;)?
                    while let Some(key) = map.next_key::<Key>()? {
                        match key {
                            $(Key::$field => read_once(&mut map, &mut $field, $key)?,)*
                            $($(Key::$variant => {
                                if let Some(value) = read_value(&mut map, $label)? {
                                    let before = $one.replace(wire::$module::$enum::$variant(value));
                                    if before.is_some() {
                                        return Err(A::Error::custom(concat!($label, ": another kind is set already")));
                                    }
                                }
                            })*)?
                            $(Key::$number => read_once(&mut map, &mut $number, $name)?,)?
                            Key::Unknown => {
                                map.next_value::<IgnoredAny>()?;
                            }
                        }
                    }
                    Ok(wire::$type {
                        $($field: $field.unwrap_or_default(),)*
                        $($one,)?
                        $($number: $number.flatten().map_or(0, |name| name.0),)?
                    })
                }
            }

            impl Value for wire::$type {
                fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    from.deserialize_any(ObjectVisitor::<wire::$type>(PhantomData))
                }

                fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    #[allow(unused_mut, reason = "a message without fields writes nothing")]
                    let mut map = to.serialize_map(None)?;
                    $(write_field(&mut map, $key, &self.$field)?;)*
                    $(match &self.$one {
                        None => {}
                        $(Some(wire::$module::$enum::$variant(value)) => map.serialize_entry($label, &Out(value))?,)*
                    })?
                    $(
                        let name = Some(Name::<wire::$names>::new(self.$number)).filter(|name| name.0 != 0);
                        write_field(&mut map, $name, &name)?;
                    )?
                    map.end()
                }
            }
        };
    };
}

impl Named for wire::GoAwayReason {
    fn name(number: i32) -> Option<&'static str> {
        Self::try_from(number).ok().map(|reason| reason.as_str_name())
    }

    fn number(name: &str) -> Option<i32> {
        Self::from_str_name(name).map(|reason| reason as i32)
    }
}

// ---- envelope ----

message!(ClientFrame { id "id" } oneof op: client_frame::Op {
    Hello "hello", Refresh "refresh", Ping "ping", Send "send", Recall "recall", Edit "edit", React "react", Ack "ack",
    Read "read", Sync "sync", History "history", Conversations "conversations", Block "block", Unblock "unblock",
    DeleteForMe "deleteForMe" | "delete_for_me", SetConversation "setConversation" | "set_conversation",
    DeleteConversation "deleteConversation" | "delete_conversation", Typing "typing",
});
message!(ServerFrame { re "re" } oneof body: server_frame::Body {
    Welcome "welcome", Error "error", Pong "pong", GoAway "goAway" | "go_away", Ok "ok",
    SendAck "sendAck" | "send_ack", Entries "entries", Page "page", Conversations "conversations",
    TypingEvent "typingEvent" | "typing_event",
});

// ---- connection ----

message!(Hello {
    token "token", device_id "deviceId", platform "platform", resume "resume", revision "revision",
});
message!(Resume { inbox "inbox", log_id "logId" });
message!(Refresh { token "token" });
message!(Welcome {
    uid "uid", device_id "deviceId", connection_id "connectionId", log_id "logId", inbox_head "inboxHead",
    unread_total "unreadTotal", server_time "serverTime", limits "limits", reset "reset",
    resume_after "resumeAfter",
});
message!(Reset { floor "floor", as_of "asOf" });
message!(Limits {
    body_bytes_max "bodyBytesMax", frame_bytes_max "frameBytesMax", heartbeat_ms_min "heartbeatMsMin",
    heartbeat_ms_max "heartbeatMsMax", ack_entries_max "ackEntriesMax", ack_delay_ms_max "ackDelayMsMax",
    unanswered_max "unansweredMax", page_entries_max "pageEntriesMax",
    recall_ms_max "recallMsMax",
});
message!(Ping { interval_ms "intervalMs" });
message!(Pong { inbox_head "inboxHead", time "time" });
message!(GoAway { reconnect_after_ms "reconnectAfterMs" } enumerated reason "reason": GoAwayReason);
message!(Error { code "code", text "text", retry_after_ms "retryAfterMs" });
message!(Ok { seq "seq" });

// ---- sending ----

message!(Send {
    message_id "messageId", to "to", content "content", reply_to "replyTo", push "push", retry "retry",
});
message!(MessageRef { seq "seq", author "author", message_id "messageId" });
message!(Recall { conversation "conversation", seq "seq", author "author", message_id "messageId" });
message!(Edit {
    conversation "conversation", seq "seq", author "author", message_id "messageId", content "content",
});
message!(React {
    conversation "conversation", seq "seq", author "author", message_id "messageId", reaction "reaction",
    removed "removed",
});
message!(Target {} oneof target: target::Target { Uid "uid" });
message!(SendAck { message_id "messageId", seq "seq", time "time", duplicate "duplicate" });
message!(PushHint { title "title", body "body", silent "silent" });
message!(Content {} oneof kind: content::Kind {
    Text "text", Sticker "sticker", Image "image", Voice "voice", Video "video", File "file",
    Location "location", Card "card", Custom "custom", Notice "notice", Encrypted "encrypted",
});
message!(Text { text "text" });
message!(Sticker { id "id", set "set" });
message!(Image { url "url", width "width", height "height", bytes "bytes", mime "mime", thumb "thumb" });
message!(Voice { url "url", duration_ms "durationMs", bytes "bytes", mime "mime", waveform "waveform" });
message!(Video {
    url "url", width "width", height "height", duration_ms "durationMs", bytes "bytes", mime "mime",
    thumb "thumb",
});
message!(File { url "url", name "name", bytes "bytes", mime "mime" });
message!(Location { lat "lat", lon "lon", title "title", address "address" });
message!(Card { kind "kind", title "title", text "text", url "url", image "image", fields "fields" });
message!(CardField { name "name", value "value" });
message!(Custom { r#type "type", data "data" });
message!(Notice { text "text", data "data" });
message!(Encrypted { scheme "scheme", data "data" });

// ---- entries of a timeline ----

message!(Timeline {} oneof timeline: timeline::Timeline { Inbox "inbox" });
message!(Inbox {});
message!(Entries { timeline "timeline", entries "entries", redelivery "redelivery", log_id "logId" });
message!(Entry { seq "seq", time "time" } oneof body: entry::Body {
    Message "message", Receipt "receipt", Read "read", Blocked "blocked", Unblocked "unblocked",
    Recalled "recalled", Edited "edited", Reaction "reaction", Deleted "deleted",
    ConversationSet "conversationSet" | "conversation_set",
});
message!(Message {
    message_id "messageId", conversation "conversation", from "from", content "content",
    reply_to "replyTo", push "push", recalled "recalled", edited_time "editedTime", reactions "reactions",
});
message!(GivenReaction { from "from", reaction "reaction" });
message!(Conversation {} oneof conversation: conversation::Conversation { Uid "uid" });
message!(Receipt { conversation "conversation", delivered_upto "deliveredUpto", read_upto "readUpto" });
message!(ReadMarker { conversation "conversation", upto "upto" });
message!(Blocked { uid "uid" });
message!(Unblocked { uid "uid" });
message!(Recalled { conversation "conversation", seq "seq", author "author", message_id "messageId" });
message!(Edited {
    conversation "conversation", seq "seq", author "author", message_id "messageId", content "content",
});
message!(Reaction {
    conversation "conversation", seq "seq", author "author", message_id "messageId", from "from", reaction "reaction",
    removed "removed",
});
message!(Deleted { conversation "conversation", seqs "seqs", upto "upto", whole "whole" });
message!(ConversationSet { conversation "conversation", pinned "pinned", muted "muted" });

// ---- reading and conversations ----

message!(Ack { inbox "inbox" });
message!(Read { conversation "conversation", seq "seq" });
message!(Sync { after "after", limit "limit" });
message!(History { conversation "conversation", before "before", limit "limit" });
message!(Page { entries "entries", head "head", more "more", log_id "logId" });
message!(ListConversations { after "after", limit "limit" });
message!(Conversations { conversations "conversations", as_of "asOf", more "more" });
message!(ConversationView {
    conversation "conversation", last "last", unread "unread", last_read "lastRead", upto "upto",
    pinned "pinned", muted "muted", blocked "blocked", deleted "deleted", delivered_upto "deliveredUpto", read_upto "readUpto",
});
message!(DeletedRange { from "from", upto "upto" });
message!(Block { uid "uid" });
message!(Unblock { uid "uid" });
message!(DeleteForMe { conversation "conversation", seqs "seqs", upto "upto" });
message!(SetConversation { conversation "conversation", pinned "pinned", muted "muted" });
message!(DeleteConversation { conversation "conversation" });

// ---- presence ----

message!(Typing { to "to" });
message!(TypingEvent { conversation "conversation", from "from" });
