//! What the people of a history know, and what they send.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use backend_api::mutation::{AccountPatch, Announce, FinishImport, ImportTree, NewAccount, RecordOp};
use backend_api::{
    AccountStatus, Block, Cid, Did, Email, Expect, Handle, IdempotencyKey, Micros, Mutation, Op, Receipt, RepoId, Row,
    Tid,
};

use super::step::{Fault, Intent, Note, Want};
use crate::scene::{self, Draft, SceneRepo, Write};

/// One account, as its host knows it.
#[derive(Clone)]
pub struct Person {
    /// Its repo, as far as it was told.
    pub repo: Arc<SceneRepo>,
    import: Option<(RepoId, Arc<SceneRepo>)>,
}

/// What all people of a history know.
pub struct World {
    people: BTreeMap<u64, Person>,
    keys: u64,
    cids: Vec<Cid>,
    known: HashSet<Cid>,
}

/// What a mutation changes in what people know, if it is taken.
#[derive(Clone)]
pub enum After {
    /// The repo is this one.
    Head(Arc<SceneRepo>),
    /// An import is begun.
    Begun,
    /// The import is given up.
    Abandoned,
    /// The account is gone.
    Deleted,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Nobody knows anything.
    #[must_use]
    pub fn new() -> Self {
        Self { people: BTreeMap::new(), keys: 0, cids: Vec::new(), known: HashSet::new() }
    }

    /// The name of a person.
    #[must_use]
    pub fn did(who: u64) -> Did {
        scene::did(&format!("person{who}"))
    }

    pub(super) fn handle(n: u64) -> Handle {
        scene::handle(&format!("handle{n}"))
    }

    pub(super) fn email(n: u64) -> Email {
        scene::email(&format!("address{n}"))
    }

    /// Everybody.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// What is sent for what is meant.
    pub fn mutation(&mut self, who: u64, intents: &[Intent], now: Micros) -> (Mutation, Vec<After>) {
        let mut person = self.person(who).clone();
        let (mut ops, mut blocks, mut after) = (Vec::new(), BTreeMap::new(), Vec::new());
        for intent in intents {
            let (op, needs, then) = person.op(intent, now);
            ops.push(op);
            blocks.extend(needs.into_iter().map(|block| (block.cid(), block)));
            after.extend(then);
        }
        blocks.keys().for_each(|cid| self.knows(*cid));
        let blocks = blocks.into_values().collect();
        (Mutation { did: Self::did(who), key: self.key(), ops, blocks }, after)
    }

    /// Every CID that was ever sent, each once.
    #[must_use]
    pub fn cids(&self) -> &[Cid] {
        &self.cids
    }

    /// A CID is sent.
    pub fn knows(&mut self, cid: Cid) {
        if self.known.insert(cid) {
            self.cids.push(cid);
        }
    }

    /// A key that was not used before.
    pub fn key(&mut self) -> IdempotencyKey {
        self.keys += 1;
        IdempotencyKey((u128::from(self.keys) << 64).to_be_bytes())
    }

    /// The mutation was taken.
    pub fn taken(&mut self, who: u64, after: Vec<After>, receipt: &Receipt) {
        let person = self.person(who);
        for after in after {
            match after {
                After::Head(repo) => {
                    if person.import.as_ref().is_some_and(|(_, import)| import.head == repo.head) {
                        person.import = None;
                    }
                    person.repo = repo;
                }
                After::Begun => person.import = Some((RepoId(receipt.pos.0), person.foreign())),
                After::Abandoned => person.import = None,
                After::Deleted => *person = Person { repo: Arc::new(SceneRepo::new(Self::did(who))), import: None },
            }
        }
    }

    fn person(&mut self, who: u64) -> &mut Person {
        let new = || Person { repo: Arc::new(SceneRepo::new(Self::did(who))), import: None };
        self.people.entry(who).or_insert_with(new)
    }
}

type Sent = (Op, Vec<Block>, Option<After>);

impl Person {
    fn op(&mut self, intent: &Intent, now: Micros) -> Sent {
        let plain = |op| (op, Vec::new(), None);
        match intent {
            Intent::Create { handle, email, active } => plain(Op::CreateAccount(NewAccount {
                handle: handle.map(World::handle),
                email: email.map(World::email),
                password_hash: None,
                status: if *active { AccountStatus::Active } else { AccountStatus::Deactivated },
            })),
            Intent::Update { handle, email, confirmed } => plain(Op::UpdateAccount(AccountPatch {
                handle: handle.map(|handle| handle.map(World::handle)),
                email: email.map(|email| email.map(World::email)),
                email_confirmed_at: confirmed.then_some(Some(now)),
                password_hash: None,
            })),
            Intent::Status(status) => plain(Op::SetStatus(*status)),
            Intent::Delete => (Op::DeleteAccount, Vec::new(), Some(After::Deleted)),
            Intent::Purge => plain(Op::Purge),
            Intent::Commit { writes, announced, fault } => self.commit(writes, *announced, *fault),
            Intent::PutBlob(n) => plain(Op::PutBlob { cid: blob(*n), mime: "image/png".into(), bytes: *n }),
            Intent::DeleteBlob(n) => plain(Op::DeleteBlob(blob(*n))),
            Intent::PutRow { key, body, unique, lookup, owned, lives, expect } => plain(Op::PutRow {
                row: Row {
                    owner: owned.then(|| self.repo.did.clone()),
                    unique: unique.iter().map(|n| n.to_string().into_bytes()).collect(),
                    lookup: lookup.iter().map(|n| n.to_string().into_bytes()).collect(),
                    expires_at: lives.map(|micros| Micros(now.0 + micros)),
                    ..scene::row(&format!("row{key}"), &body.to_string())
                },
                expect: expected(*expect),
            }),
            Intent::DeleteRow { key, expect } => {
                plain(Op::DeleteRow { key: scene::row_key(&format!("row{key}")), expect: expected(*expect) })
            }
            Intent::TakeRow(key) => plain(Op::TakeRow(scene::row_key(&format!("row{key}")))),
            Intent::Identity(handle) => plain(Op::Emit(Announce::Identity { handle: handle.map(World::handle) })),
            Intent::Account => plain(Op::Emit(Announce::Account)),
            Intent::Sync => {
                let block = self.repo.head.map(|_| self.repo.commit_block());
                (Op::Emit(Announce::Sync), block.into_iter().collect(), None)
            }
            Intent::BeginImport => (Op::BeginImport, Vec::new(), Some(After::Begun)),
            Intent::ImportBlocks | Intent::ImportTree | Intent::FinishImport | Intent::AbandonImport => {
                self.import(intent)
            }
        }
    }

    fn commit(&mut self, writes: &[Note], announced: bool, fault: Option<Fault>) -> Sent {
        let mut seen = BTreeSet::new();
        let writes: Vec<Write> =
            writes.iter().filter(|note| seen.insert(note.path)).filter_map(|n| self.write(n)).collect();
        let rev = match (fault, self.repo.head) {
            (Some(Fault::RevNotIncreasing), Some(head)) => Some(head.rev),
            _ => None,
        };
        let mut draft = match rev {
            Some(rev) => self.repo.draft_at(&writes, b"sig", rev),
            None => self.repo.draft(&writes),
        };
        if !announced {
            draft = draft.quiet();
        }
        let after = Arc::new(draft.after.clone());
        if let Some(fault) = fault {
            spoil(&mut draft, fault);
        }
        // Operations after this one in the same mutation build on it.
        self.repo = Arc::clone(&after);
        (draft.op(), draft.blocks, Some(After::Head(after)))
    }

    fn write(&self, note: &Note) -> Option<Write> {
        let collection = ["com.example.note", "com.example.note.sub", "com.example.other"][note.path as usize % 3];
        let path = scene::path(&format!("{collection}/{:03}", note.path));
        let Some(text) = note.text else {
            return self.repo.records.contains_key(&path).then_some(Write::Delete(path));
        };
        let mut content = scene::content(&format!("text {text}"));
        content.blobs.extend(note.blob.map(blob));
        content.links.extend(note.link.map(|n| scene::link("subject", &World::did(n).into_string())));
        Some(Write::Put(path, content))
    }

    /// What an import brings: the repo as it is, without every third record and with a new one, over a later rev.
    fn foreign(&self) -> Arc<SceneRepo> {
        let mut other = SceneRepo::clone(&self.repo);
        other.records =
            other.records.into_iter().enumerate().filter(|(i, _)| i % 3 != 1).map(|(_, kept)| kept).collect();
        other.records.insert(scene::path("com.example.note/imported"), scene::content("imported"));
        let rev = self.repo.head.map_or(1 << 40, |head| head.rev.as_u64() + (1 << 30));
        other.sign(b"imported", Tid::from_u64(rev));
        Arc::new(other)
    }

    fn import(&self, intent: &Intent) -> Sent {
        let nothing = (RepoId(0), self.foreign());
        let (import, repo) = self.import.as_ref().unwrap_or(&nothing);
        let import = *import;
        match intent {
            Intent::ImportBlocks => (Op::ImportBlocks { import }, repo.blocks(), None),
            Intent::ImportTree => (Op::ImportTree(tree_of(import, repo)), Vec::new(), None),
            Intent::FinishImport => {
                let finish = FinishImport {
                    import,
                    expected: self.repo.head,
                    head: repo.head.expect("it was signed"),
                    data: repo.data.expect("it was signed"),
                    records: repo.records.len() as u64,
                };
                let after = Some(After::Head(Arc::clone(repo)));
                (Op::FinishImport(Box::new(finish)), vec![repo.commit_block()], after)
            }
            _ => (Op::AbandonImport { import }, Vec::new(), Some(After::Abandoned)),
        }
    }
}

fn tree_of(import: RepoId, repo: &SceneRepo) -> ImportTree {
    let create = |(path, content): (&backend_api::RecordPath, &scene::Content)| RecordOp {
        path: path.clone(),
        old: None,
        new: Some(content.cid()),
        blobs: content.blobs.clone(),
        links: content.links.clone(),
    };
    let nodes = repo.nodes.iter().map(|(cid, _)| *cid).collect();
    ImportTree { import, nodes, records: repo.records.iter().map(create).collect() }
}

fn spoil(draft: &mut Draft, fault: Fault) {
    let nowhere = scene::content("nowhere").cid();
    match fault {
        Fault::OtherHead => {
            draft.commit.expected = draft.commit.expected.map(|head| backend_api::Head { cid: nowhere, ..head })
        }
        Fault::BlockLeftOut(n) => drop(draft.blocks.remove(n as usize % draft.blocks.len())),
        Fault::OtherBytes(n) => {
            let at = n as usize % draft.blocks.len();
            draft.blocks[at] = Block::claimed(draft.blocks[at].cid(), b"other".as_slice().into());
        }
        Fault::OtherOldCid => draft.commit.records.iter_mut().take(1).for_each(|op| op.old = Some(nowhere)),
        Fault::RemovesUnheld => draft.commit.removed.push(nowhere),
        Fault::RemovesNewRoot => draft.commit.removed.push(draft.commit.data),
        Fault::RevNotIncreasing => {}
    }
}

fn expected(want: Want) -> Expect {
    match want {
        Want::Any => Expect::Any,
        Want::Absent => Expect::Absent,
        Want::Body(n) => Expect::Body(n.to_string().into_bytes()),
    }
}

pub(super) fn blob(n: u64) -> Cid {
    scene::blob_cid(&format!("blob {n}"))
}
