//! The table of messages that concern groups alone.

use super::*;

named!(Role);
named!(JoinPolicy);
named!(HistoryForNew);
named!(LeftReason);

// ---- operations and answers ----

message!(CreateGroup {
    gid "gid", name "name", avatar "avatar", notice "notice", members "members",
} enumerated join "join": JoinPolicy, history_for_new "historyForNew" | "history_for_new": HistoryForNew);
message!(JoinGroup { gid "gid" });
message!(LeaveGroup { gid "gid" });
message!(AddMembers { gid "gid", uids "uids" });
message!(RemoveMember { gid "gid", uid "uid" });
message!(SetRole { gid "gid", uid "uid" } enumerated role "role": Role);
message!(TransferGroup { gid "gid", uid "uid" });
message!(MuteMember { gid "gid", uid "uid", until "until" });
message!(MuteGroup { gid "gid", muted "muted" });
message!(UpdateGroup {
    gid "gid", name "name", avatar "avatar", notice "notice",
} enumerated join "join": JoinPolicy, history_for_new "historyForNew" | "history_for_new": HistoryForNew);
message!(DismissGroup { gid "gid" });
message!(GetGroupInfo { gid "gid" });
message!(GroupInfo {
    gid "gid", name "name", avatar "avatar", notice "notice", muted "muted", owner "owner", members "members",
    created "created", head "head", me "me",
} enumerated join "join": JoinPolicy, history_for_new "historyForNew" | "history_for_new": HistoryForNew);
message!(ListMembers { gid "gid", after "after", limit "limit" });
message!(Members { members "members", more "more" });
message!(Member {
    uid "uid", muted_until "mutedUntil", joined_seq "joinedSeq",
} enumerated role "role": Role);
message!(ListReaders { gid "gid", seq "seq", limit "limit", after "after" });
message!(ReadBy { count "count", of "of", uids "uids", more "more" });
message!(SyncGroup { gid "gid", after "after", limit "limit" });

// ---- entries ----

message!(GroupJoined { gid "gid", group_seq "groupSeq", by "by" });
message!(GroupLeft { gid "gid", group_seq "groupSeq", by "by" } enumerated reason "reason": LeftReason);
message!(GroupCreated {
    by "by", name "name", avatar "avatar", notice "notice",
} enumerated join "join": JoinPolicy, history_for_new "historyForNew" | "history_for_new": HistoryForNew);
message!(MembersJoined { uids "uids", by "by" });
message!(MemberLeft { uid "uid", by "by" } enumerated reason "reason": LeftReason);
message!(RoleSet { uid "uid", by "by" } enumerated role "role": Role);
message!(Muted { uid "uid", until "until", muted "muted", by "by" });
message!(GroupUpdated {
    by "by", name "name", avatar "avatar", notice "notice",
} enumerated join "join": JoinPolicy, history_for_new "historyForNew" | "history_for_new": HistoryForNew);
message!(Dismissed { by "by" });
message!(Seal {});
