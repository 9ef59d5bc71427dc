//! The table of messages: which field stands under which key. A message that is missing here does not compile where it
//! is used, and a field that is missing fails the comparison with the proto file in the tests.

use super::*;

named!(GoAwayReason);

// ---- envelope ----

message!(ClientFrame { id "id" } oneof op: client_frame::Op {
    Hello "hello", Refresh "refresh", Ping "ping", Send "send", Recall "recall", Edit "edit", React "react", Ack "ack",
    Read "read", Sync "sync", History "history", Conversations "conversations", Block "block", Unblock "unblock",
    DeleteForMe "deleteForMe" | "delete_for_me", SetConversation "setConversation" | "set_conversation",
    DeleteConversation "deleteConversation" | "delete_conversation", CreateGroup "createGroup" | "create_group",
    JoinGroup "joinGroup" | "join_group", LeaveGroup "leaveGroup" | "leave_group",
    AddMembers "addMembers" | "add_members", RemoveMember "removeMember" | "remove_member",
    SetRole "setRole" | "set_role", TransferGroup "transferGroup" | "transfer_group",
    MuteMember "muteMember" | "mute_member", MuteGroup "muteGroup" | "mute_group",
    UpdateGroup "updateGroup" | "update_group", DismissGroup "dismissGroup" | "dismiss_group",
    GroupInfo "groupInfo" | "group_info", Members "members", ReadBy "readBy" | "read_by",
    SyncGroup "syncGroup" | "sync_group", Typing "typing",
});
message!(ServerFrame { re "re" } oneof body: server_frame::Body {
    Welcome "welcome", Error "error", Pong "pong", GoAway "goAway" | "go_away", Ok "ok",
    SendAck "sendAck" | "send_ack", Entries "entries", Page "page", Behind "behind", Conversations "conversations",
    GroupInfo "groupInfo" | "group_info", Members "members", ReadBy "readBy" | "read_by",
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
    resume_after "resumeAfter", groups "groups",
});
message!(GroupHead {
    gid "gid", head "head", last_ack "lastAck", last_read "lastRead", unread "unread", gone "gone",
    log_id "logId",
});
message!(Gone { seq "seq" } enumerated reason "reason": LeftReason);
message!(Reset { floor "floor", as_of "asOf" });
message!(Limits {
    body_bytes_max "bodyBytesMax", frame_bytes_max "frameBytesMax", heartbeat_ms_min "heartbeatMsMin",
    heartbeat_ms_max "heartbeatMsMax", ack_entries_max "ackEntriesMax", ack_delay_ms_max "ackDelayMsMax",
    unanswered_max "unansweredMax", page_entries_max "pageEntriesMax",
    recall_ms_max "recallMsMax",
});
message!(Ping { interval_ms "intervalMs" });
message!(Pong { inbox_head "inboxHead", time "time", behind "behind" });
message!(GroupBehind { gid "gid", head "head" });
message!(GoAway { reconnect_after_ms "reconnectAfterMs" } enumerated reason "reason": GoAwayReason);
message!(Error { code "code", text "text", retry_after_ms "retryAfterMs" });
message!(Ok { seq "seq" });

// ---- sending ----

message!(Send {
    message_id "messageId", to "to", content "content", mentions "mentions", reply_to "replyTo", push "push",
    retry "retry",
});
message!(Mention {} oneof who: mention::Who { Uid "uid", All "all" } or Role "role": Role);
message!(MessageRef { seq "seq", author "author", message_id "messageId" });
message!(Recall { conversation "conversation", seq "seq", author "author", message_id "messageId" });
message!(Edit {
    conversation "conversation", seq "seq", author "author", message_id "messageId", content "content",
});
message!(React {
    conversation "conversation", seq "seq", author "author", message_id "messageId", reaction "reaction",
    removed "removed",
});
message!(Target {} oneof target: target::Target { Uid "uid", Gid "gid" });
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

message!(Timeline {} oneof timeline: timeline::Timeline { Inbox "inbox", Group "group" });
message!(Inbox {});
message!(GroupLog { gid "gid" });
message!(Entries { timeline "timeline", entries "entries", redelivery "redelivery", log_id "logId" });
message!(Entry { seq "seq", time "time" } oneof body: entry::Body {
    Message "message", Receipt "receipt", Read "read", Blocked "blocked", Unblocked "unblocked",
    Recalled "recalled", Edited "edited", Reaction "reaction", Deleted "deleted",
    ConversationSet "conversationSet" | "conversation_set", GroupJoined "groupJoined" | "group_joined",
    GroupLeft "groupLeft" | "group_left", MembersJoined "membersJoined" | "members_joined",
    MemberLeft "memberLeft" | "member_left", RoleSet "roleSet" | "role_set", Muted "muted",
    GroupUpdated "groupUpdated" | "group_updated", Dismissed "dismissed", Seal "seal",
    GroupCreated "groupCreated" | "group_created",
});
message!(Message {
    message_id "messageId", conversation "conversation", from "from", content "content",
    reply_to "replyTo", push "push", recalled "recalled", edited_time "editedTime", reactions "reactions",
    mentions "mentions",
});
message!(GivenReaction { from "from", reaction "reaction" });
message!(Conversation {} oneof conversation: conversation::Conversation { Uid "uid", Gid "gid" });
message!(Receipt { conversation "conversation", delivered_upto "deliveredUpto", read_upto "readUpto" });
message!(ReadMarker { conversation "conversation", upto "upto" });
message!(Blocked { uid "uid" });
message!(Unblocked { uid "uid" });
message!(Recalled { conversation "conversation", seq "seq", author "author", message_id "messageId", by "by" });
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

message!(Ack { inbox "inbox", groups "groups" });
message!(GroupAck { gid "gid", seq "seq" });
message!(Read { conversation "conversation", seq "seq" });
message!(Sync { after "after", limit "limit" });
message!(History { conversation "conversation", before "before", limit "limit" });
message!(Page { entries "entries", head "head", more "more", log_id "logId" });
message!(Behind { timeline "timeline", head "head" });
message!(ListConversations { after "after", limit "limit" });
message!(Conversations { conversations "conversations", as_of "asOf", more "more" });
message!(ConversationView {
    conversation "conversation", last "last", unread "unread", last_read "lastRead", upto "upto",
    pinned "pinned", muted "muted", blocked "blocked", deleted "deleted", delivered_upto "deliveredUpto", read_upto "readUpto",
    place "place",
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
