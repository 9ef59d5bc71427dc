//! What tests ask of groups, and what they are told.

use super::*;

impl Bench {
    /// Starts the shard on `store`, in paused time.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        tokio::time::pause();
        Self::began_at(store, BEGAN)
    }

    /// The same when time is paused already.
    pub(super) fn again(store: Arc<dyn Store>) -> Self {
        Self::began_at(store, BEGAN)
    }

    /// Another process, after a crash of this one.
    pub(super) fn after_crash(&self, store: Arc<dyn Store>) -> Self {
        Self { asked: self.asked, ..Self::began_at(store, self.clock.now()) }
    }

    pub(super) fn began_at(store: Arc<dyn Store>, began: Millis) -> Self {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let link = Arc::new(TestLink {
            shard: OnceLock::new(),
            told: tell,
            frames: Mutex::default(),
            full: AtomicBool::default(),
            breaks: AtomicBool::default(),
        });
        let wall_at_start = AtomicU64::new(began.get());
        let clock = Arc::new(TestClock { started: tokio::time::Instant::now(), wall_at_start });
        let (shards, limits) = (ShardCount::new(1).unwrap(), MailboxLimits::default());
        let port: Arc<dyn Link> = link.clone();
        let shard = Shard::new(ShardId::new(0), shards, port, store, Arc::new(Owner), clock.clone(), limits);
        assert!(link.shard.set(shard.start()).is_ok());
        Self { link, told, clock, asked: 0, gid: "g1".parse().unwrap() }
    }

    /// Asks from a connection, and waits for nothing.
    pub(super) fn ask_from(&self, connection: u64, op_id: OpId, name: &str, op: GroupOp) {
        let from = ConnectionRef { worker: 0, connection };
        let command = GroupCommand { from, op_id, uid: uid(name), gid: self.gid.clone(), op };
        assert!(self.link.group(ShardId::new(0), command).is_taken());
    }

    /// Asks from a connection of its own, which comes back.
    pub(super) fn ask(&mut self, name: &str, op: GroupOp) -> OpId {
        self.asked += 1;
        self.ask_from(self.asked, self.asked, name, op);
        self.asked
    }

    /// The next answer to anybody.
    pub(super) async fn answered(&mut self) -> (OpId, Body) {
        let next = timeout(LONG, self.told.recv()).await.expect("somebody is answered").unwrap();
        match next {
            (_, ToConnection::Answer(op_id, body)) => (op_id, body),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// The answer to one question; what others are told before it is dropped.
    pub(super) async fn answer_to(&mut self, wanted: OpId) -> Body {
        loop {
            let (op_id, body) = self.answered().await;
            if op_id == wanted {
                return body;
            }
        }
    }

    pub(super) async fn asked(&mut self, name: &str, op: GroupOp) -> Body {
        let op_id = self.ask(name, op);
        self.answer_to(op_id).await
    }

    /// The seq that an op is answered, or the code that it is refused with.
    pub(super) async fn done(&mut self, name: &str, op: GroupOp) -> Result<u64, u32> {
        match self.asked(name, op).await {
            Body::Ok(ok) => Ok(ok.seq),
            Body::SendAck(ack) => Ok(ack.seq),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn operate(&mut self, name: &str, op: Op) -> Result<u64, u32> {
        self.done(name, GroupOp::Do(op)).await
    }

    /// A group of alice, with these members.
    pub(super) async fn create(&mut self, settings: Settings, members: &[&str]) {
        let op = Op::Create { settings, members: uids(members) };
        assert_eq!(self.operate("alice", op).await, Ok(if members.is_empty() { 1 } else { 2 }));
    }

    pub(super) fn sending(&self, number: u64, text: &str) -> GroupOp {
        GroupOp::Send(GroupSend { draft: draft(&self.gid, number, text), retry: false, after: 0 })
    }

    pub(super) async fn say(&mut self, name: &str, number: u64, text: &str) -> Result<u64, u32> {
        let op = self.sending(number, text);
        self.done(name, op).await
    }

    /// Sends the message again, as a client that does not know what became of it.
    pub(super) async fn say_again(&mut self, name: &str, number: u64, text: &str) -> Body {
        let op = GroupOp::Send(GroupSend { draft: draft(&self.gid, number, text), retry: true, after: 0 });
        self.asked(name, op).await
    }

    pub(super) async fn change(
        &mut self,
        name: &str,
        author: &str,
        number: u64,
        seq: u64,
        change: Change,
    ) -> Result<u64, u32> {
        let name_of = MessageName { author: uid(author), message_id: id(number) };
        self.done(name, GroupOp::Change(GroupChange { seq: Seq::new(seq), name: name_of, change })).await
    }

    pub(super) async fn entries(&mut self, name: &str, op: GroupOp) -> Result<wire::Page, u32> {
        match self.asked(name, op).await {
            Body::Page(page) => Ok(page),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn page(&mut self, name: &str, op: GroupOp) -> Result<Shown, u32> {
        let page = self.entries(name, op).await?;
        let seqs = page.entries.iter().map(|entry| entry.seq).collect();
        Ok(Shown { seqs, head: page.head, more: page.more })
    }

    pub(super) async fn sync(&mut self, name: &str, after: u64) -> Result<Shown, u32> {
        self.page(name, GroupOp::Sync(Seq::new(after), 0)).await
    }

    pub(super) async fn history(&mut self, name: &str) -> Result<Shown, u32> {
        self.page(name, GroupOp::History(Seq::ZERO, 0)).await
    }

    /// What the log says, all of it, read page by page.
    pub(super) async fn log(&mut self, name: &str) -> Vec<wire::Entry> {
        let mut entries: Vec<wire::Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let page = self.entries(name, GroupOp::Sync(Seq::new(after), 0)).await.unwrap();
            entries.extend(page.entries);
            if !page.more {
                return entries;
            }
        }
    }

    pub(super) async fn members(&mut self, name: &str) -> Vec<String> {
        match self.asked(name, GroupOp::Members(None, 0)).await {
            Body::Members(members) => members.members.into_iter().map(|member| member.uid).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// How many have read a message, of how many.
    pub(super) async fn read_by(&mut self, name: &str, seq: u64) -> (u64, u64) {
        match self.asked(name, GroupOp::ReadBy { seq: Seq::new(seq), after: None, limit: 0 }).await {
            Body::ReadBy(read) => (read.count, read.of),
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass; nobody may be told anything.
    pub(super) async fn silence(&mut self) {
        let told = timeout(A_WHILE, self.told.recv()).await;
        assert!(told.is_err(), "told {told:?}");
    }

    /// Lets time pass that brings nothing but ticks.
    pub(super) async fn a_while(&mut self) {
        tokio::time::advance(A_WHILE).await;
        self.silence().await;
    }

    /// So long that an idle group leaves memory.
    pub(super) async fn idle(&mut self) {
        tokio::time::advance(Duration::from_millis(MailboxLimits::default().mailbox_idle_ms)).await;
        self.silence().await;
    }

    /// The node takes no frame from now on, or takes them again.
    pub(super) fn set_full(&self, full: bool) {
        self.link.full.store(full, Relaxed);
    }

    /// The frames since the last look.
    pub(super) fn frames(&self) -> Vec<Seen> {
        let frames = std::mem::take(&mut *self.link.frames.lock().unwrap());
        frames.into_iter().map(|frame| seen(&frame)).collect()
    }

    /// What the frames since the last look say.
    pub(super) fn framed(&self) -> Vec<wire::Entry> {
        let frames = std::mem::take(&mut *self.link.frames.lock().unwrap());
        frames.iter().flat_map(entries_of).collect()
    }
}
