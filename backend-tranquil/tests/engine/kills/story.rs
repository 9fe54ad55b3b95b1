//! What each process is to write, step by step, and what a store must hold after each: the model's answers.

use std::sync::Arc;

use backend_api::mutation::{FinishImport, ImportTree, RecordOp};
use backend_api::{
    Backend, Block, Cid, Did, Expect, Micros, Mutation, Op, RepoId, Row, RowKind, SnapshotItem, Tid, Writes,
};
use conformance::scene::{SceneRepo, Write, blob_cid, content, did, path};
use conformance::{ManualClock, Model, create_account, snapshot};

use crate::common::story::key;

pub const HOUR_US: u64 = 3_600_000_000;
const START: Micros = Micros(500_000 * HOUR_US);
/// Entries that one call of a sweep may forget: a few of them make a sweep.
const SWEEP_BUDGET: usize = 40;

/// What is done.
pub enum Act {
    /// Mutations, sent together.
    Apply(Vec<Mutation>),
    Checkpoint,
    /// Until nothing is due.
    Sweep,
    /// Closes and opens.
    Reopen,
}

/// What is done, and when.
pub struct Step {
    pub at: Micros,
    pub act: Act,
}

impl Step {
    /// Does it, but for a reopening, and gives the answers as a line.
    pub async fn carry_out(&self, store: &dyn Backend) -> Result<String, String> {
        match &self.act {
            Act::Apply(mutations) => {
                let answers = store.apply_many(mutations.clone()).await;
                let receipts: Result<Vec<_>, _> = answers.into_iter().collect();
                receipts.map(|receipts| format!("{receipts:?}")).map_err(|e| e.to_string())
            }
            Act::Checkpoint => store.checkpoint().await.map(|()| "checkpoint".to_owned()).map_err(|e| e.to_string()),
            Act::Sweep => loop {
                let report = store.sweep(SWEEP_BUDGET).await.map_err(|e| e.to_string())?;
                if !report.held.is_empty() {
                    return Err(format!("a sweep stands still: {:?}", report.held));
                }
                if report.done {
                    return Ok("swept".to_owned());
                }
            },
            Act::Reopen => Ok("reopened".to_owned()),
        }
    }
}

/// The model's answer to a step.
pub struct Expected {
    pub answer: String,
    /// What a store may hold while the step is done, the last being what it holds afterwards.
    pub states: Vec<Vec<SnapshotItem>>,
}

/// The story, and its right end at each step.
pub struct Story {
    pub steps: Vec<Step>,
    pub expected: Vec<Expected>,
}

impl Story {
    pub async fn new() -> Self {
        let steps = steps();
        let clock = Arc::<ManualClock>::default();
        let options = conformance::Options { history_window_micros: HOUR_US, event_retention_micros: HOUR_US };
        let model = Model::new(options, clock.clone());
        let mut expected = Vec::new();
        for step in &steps {
            clock.set(step.at);
            let mut states = vec![snapshot(&model).await.unwrap()];
            // Each by itself, for a kill may come between any two of them.
            if let Act::Apply(mutations) = &step.act {
                for mutation in mutations {
                    model.apply(mutation.clone()).await.unwrap();
                    states.push(snapshot(&model).await.unwrap());
                }
            }
            // Again: the same keys are answered with the same receipts.
            let answer = step.carry_out(&model).await.unwrap();
            if matches!(step.act, Act::Sweep) {
                states.push(snapshot(&model).await.unwrap());
            }
            expected.push(Expected { answer, states });
        }
        Self { steps, expected }
    }

    /// What a store holds before a step.
    pub fn before(&self, step: usize) -> &[SnapshotItem] {
        match step.checked_sub(1) {
            Some(before) => self.expected[before].states.last().expect("a state after it"),
            None => &[],
        }
    }
}

/// The steps alone: what a process needs that is going to be killed.
pub fn steps() -> Vec<Step> {
    let mut teller = Teller { at: START, taken: 0, steps: Vec::new() };
    let (mut alice, mut bob, carol) = (teller.account("alice"), teller.account("bob"), teller.account("carol"));
    for i in 0..6 {
        teller.post(if i % 2 == 0 { &mut alice } else { &mut bob }, i);
    }
    teller.together(&mut alice, &mut bob);
    teller.push(Act::Checkpoint);
    teller.rows_and_blob(&alice.did);
    for i in 10..16 {
        teller.post(if i % 3 == 0 { &mut bob } else { &mut alice }, i);
    }
    teller.delete_record(&mut alice);
    teller.push(Act::Reopen);
    teller.import(carol);
    teller.apply(&bob.did, vec![Op::DeleteAccount], Vec::new());
    teller.push(Act::Checkpoint);
    teller.post(&mut alice, 20);
    teller.at.0 += 2 * HOUR_US;
    teller.push(Act::Sweep);
    for i in 21..26 {
        teller.post(&mut alice, i);
    }
    teller.push(Act::Checkpoint);
    teller.at.0 += 2 * HOUR_US;
    teller.post(&mut alice, 26);
    teller.push(Act::Sweep);
    teller.post(&mut alice, 27);
    teller.push(Act::Reopen);
    teller.post(&mut alice, 28);
    teller.steps
}

struct Teller {
    at: Micros,
    /// Mutations so far: their keys and positions.
    taken: u64,
    steps: Vec<Step>,
}

impl Teller {
    fn push(&mut self, act: Act) {
        self.steps.push(Step { at: self.at, act });
    }

    fn mutation(&mut self, did: &Did, ops: Vec<Op>, blocks: Vec<Block>) -> Mutation {
        self.taken += 1;
        Mutation { did: did.clone(), key: key(self.taken), ops, blocks }
    }

    fn apply(&mut self, did: &Did, ops: Vec<Op>, blocks: Vec<Block>) {
        let mutation = self.mutation(did, ops, blocks);
        self.push(Act::Apply(vec![mutation]));
    }

    fn account(&mut self, word: &str) -> SceneRepo {
        self.apply(&did(word), vec![create_account(word)], Vec::new());
        SceneRepo::new(did(word))
    }

    fn written(&mut self, repo: &mut SceneRepo, write: Write) -> Mutation {
        let draft = repo.draft(&[write]);
        *repo = draft.after.clone();
        self.mutation(&repo.did, vec![draft.op()], draft.blocks)
    }

    fn note(&mut self, repo: &mut SceneRepo, i: u64) -> Mutation {
        let text = format!("note {i} {}", "word ".repeat(60));
        self.written(repo, Write::Put(path(&format!("com.example.note/{}", i % 9)), content(&text)))
    }

    fn post(&mut self, repo: &mut SceneRepo, i: u64) {
        let mutation = self.note(repo, i);
        self.push(Act::Apply(vec![mutation]));
    }

    fn delete_record(&mut self, repo: &mut SceneRepo) {
        let first = repo.records.keys().next().expect("a record").clone();
        let mutation = self.written(repo, Write::Delete(first));
        self.push(Act::Apply(vec![mutation]));
    }

    /// Several mutations at once, on two people's data: cycles of more than one.
    fn together(&mut self, alice: &mut SceneRepo, bob: &mut SceneRepo) {
        let mut mutations = Vec::new();
        for i in 30..33 {
            mutations.push(self.note(alice, i));
            mutations.push(self.note(bob, i));
        }
        self.push(Act::Apply(mutations));
    }

    /// A row that stays, one that expires, one that is taken once, and a blob.
    fn rows_and_blob(&mut self, owner: &Did) {
        let put = |word: &str, expires_at| {
            let mut row = Row::new(RowKind::Session, word.as_bytes(), b"a session".to_vec());
            (row.owner, row.expires_at) = (Some(owner.clone()), expires_at);
            row.unique = vec![format!("token of {word}").into_bytes()];
            Op::PutRow { row, expect: Expect::Absent }
        };
        let taken = backend_api::RowKey { kind: RowKind::Session, key: b"once".to_vec() };
        let soon = Some(Micros(self.at.0 + HOUR_US / 2));
        self.apply(owner, vec![put("stays", None), put("soon", soon), put("once", None)], Vec::new());
        self.apply(owner, vec![Op::TakeRow(taken)], Vec::new());
        let blob = Op::PutBlob { cid: blob_cid("picture"), mime: "image/png".into(), bytes: 700 };
        self.apply(owner, vec![blob], Vec::new());
    }

    /// A repo comes from elsewhere, in steps.
    fn import(&mut self, into: SceneRepo) {
        let mut repo = into;
        for i in 0..12 {
            repo.records.insert(path(&format!("com.example.note/{i:04}")), content(&format!("from elsewhere {i}")));
        }
        repo.sign(b"imported", Tid::new(1_600_000_000_000_000, 7));
        self.apply(&repo.did, vec![Op::BeginImport], Vec::new());
        let import = RepoId(self.taken);
        for some in repo.blocks().chunks(6) {
            self.apply(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec());
        }
        let nodes: Vec<Cid> = repo.nodes.iter().map(|(cid, _)| *cid).collect();
        let records = repo.records.iter().map(|(path, content)| RecordOp {
            path: path.clone(),
            old: None,
            new: Some(content.cid()),
            blobs: Vec::new(),
            links: Vec::new(),
        });
        let (records, count) = (records.collect(), repo.records.len() as u64);
        self.apply(&repo.did, vec![Op::ImportTree(ImportTree { import, nodes, records })], Vec::new());
        let (head, data) = (repo.head.expect("a head"), repo.data.expect("a root"));
        let finish = FinishImport { import, expected: None, head, data, records: count };
        self.apply(&repo.did, vec![Op::FinishImport(Box::new(finish))], vec![repo.commit_block()]);
    }
}
