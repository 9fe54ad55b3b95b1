//! Every reason that `apply` can give, and what gives it.

use std::collections::BTreeSet;

use backend_api::tree::CommitBlock;

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

/// Operations that need an account.
fn needs_account(repo: &SceneRepo) -> Vec<Op> {
    let import = RepoId(9);
    let finish = FinishImport {
        import,
        expected: None,
        head: repo.head.expect("a head"),
        data: repo.data.expect("a root"),
        records: 0,
    };
    vec![
        Op::UpdateAccount(AccountPatch::default()),
        Op::SetStatus(AccountStatus::Active),
        Op::DeleteAccount,
        Op::BeginImport,
        Op::ImportBlocks { import },
        Op::ImportTree(ImportTree { import, nodes: Vec::new(), records: Vec::new() }),
        Op::FinishImport(Box::new(finish)),
        Op::AbandonImport { import },
        Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 1 },
        Op::DeleteBlob(blob_cid("b")),
        Op::PutRow { row: Row { owner: Some(repo.did.clone()), ..row("k", "v") }, expect: Expect::Any },
        Op::Emit(Announce::Identity { handle: None }),
        Op::Emit(Announce::Account),
        Op::Emit(Announce::Sync),
        Op::Purge,
    ]
}

pub(crate) async fn refusals_without_an_account(cx: Arc<Context>) -> Outcome {
    let draft = SceneRepo::new(did("nobody")).draft(&[]);
    cx.mutation_refused(draft.mutation(cx.key()), Reason::AccountMissing).await?;
    for op in needs_account(&draft.after) {
        let mutation = cx.mutation(&draft.after.did, vec![op.clone()], vec![draft.after.commit_block()]);
        assert_eq!(cx.refusal(mutation).await?, Reason::AccountMissing, "{op:?}");
    }
    Ok(())
}

pub(crate) async fn refusals_after_a_deletion_in_the_same_mutation(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    for op in needs_account(&repo) {
        if matches!(op, Op::DeleteAccount | Op::Emit(Announce::Account)) {
            continue;
        }
        let mutation = cx.mutation(&repo.did, vec![Op::DeleteAccount, op.clone()], vec![repo.commit_block()]);
        assert_eq!(cx.refusal(mutation).await?, Reason::AccountMissing, "{op:?}");
    }
    assert!(cx.db().account(&AccountName::Did(repo.did)).await?.is_some());
    Ok(())
}

pub(crate) async fn refusals_of_names_that_are_taken(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.refused(&alice, vec![create_account("other")], Reason::AccountExists).await?;
    let new = |handle: Option<Handle>, email: Option<Email>| {
        let new = NewAccount { handle, email, password_hash: None, status: AccountStatus::Active };
        vec![Op::CreateAccount(new)]
    };
    cx.refused(&did("bob"), new(Some(handle("alice")), None), Reason::HandleTaken).await?;
    cx.refused(&did("bob"), new(None, Some(email("alice"))), Reason::EmailTaken).await?;
    cx.refused(&did("bob"), new(Some(handle("alice")), Some(email("alice"))), Reason::HandleTaken).await?;
    Ok(())
}

pub(crate) async fn refusals_of_another_head(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let stale = repo.draft(&[put("1", "stale")]);
    let first = SceneRepo::new(repo.did.clone()).draft_signed(&[], b"another");
    cx.mutation_refused(first.mutation(cx.key()), Reason::HeadMismatch).await?;
    cx.write(&mut repo, &[put("1", "fresh")]).await?;
    cx.mutation_refused(stale.mutation(cx.key()), Reason::HeadMismatch).await?;
    let bare = cx.account("bob").await?;
    let mut other = SceneRepo::new(bare);
    other.sign(b"never sent", Tid::from_u64(5));
    cx.mutation_refused(other.draft(&[]).mutation(cx.key()), Reason::HeadMismatch).await?;
    // The right rev and the wrong CID is another head too.
    let mut forged = repo.clone();
    let rev = repo.head.expect("a head").rev;
    forged.sign(b"another signature", rev);
    cx.mutation_refused(forged.draft(&[put("2", "x")]).mutation(cx.key()), Reason::HeadMismatch).await?;
    Ok(())
}

pub(crate) async fn refusals_of_inactive_accounts(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    for status in AccountStatus::ALL {
        if matches!(status, AccountStatus::Active | AccountStatus::Deleted) {
            continue;
        }
        cx.apply(&repo.did, vec![Op::SetStatus(status)]).await?;
        let draft = repo.draft(&[put("1", "x")]);
        cx.mutation_refused(draft.mutation(cx.key()), Reason::AccountInactive).await?;
        let sync = cx.mutation(&repo.did, vec![Op::Emit(Announce::Sync)], vec![repo.commit_block()]);
        cx.mutation_refused(sync, Reason::AccountInactive).await?;
        if status != AccountStatus::Deactivated {
            cx.mutation_refused(draft.quiet().mutation(cx.key()), Reason::AccountInactive).await?;
            cx.refused(&repo.did, vec![Op::BeginImport], Reason::AccountInactive).await?;
        }
    }
    Ok(())
}

pub(crate) async fn refusals_of_what_is_not_held(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    let mut draft = repo.draft(&[put("2", "y")]);
    draft.commit.removed.push(content("nowhere").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::NotHeld).await?;
    // One that another repo holds.
    let mut other = cx.repo("bob").await?;
    cx.write(&mut other, &[put("1", "of bob")]).await?;
    let mut draft = repo.draft(&[put("2", "y")]);
    draft.commit.removed.push(content("of bob").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::NotHeld).await?;
    // One that this repo held once.
    cx.write(&mut repo, &[Write::Delete(path("com.example.note/1"))]).await?;
    let mut draft = repo.draft(&[put("2", "y")]);
    draft.commit.removed.push(content("x").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::NotHeld).await?;
    Ok(())
}

pub(crate) async fn refusals_of_wrong_bytes(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut draft = repo.draft(&[put("1", "x")]);
    let record = draft.blocks.iter().position(|block| block.cid() == content("x").cid()).expect("the record");
    for bytes in [content("y").bytes, bytes::Bytes::new()] {
        draft.blocks[record] = Block::claimed(draft.blocks[record].cid(), bytes);
        cx.mutation_refused(draft.mutation(cx.key()), Reason::HashMismatch).await?;
    }
    let raw = content("x").bytes;
    let raw = Block::claimed(Cid::of(Codec::Raw, &raw), raw);
    let mutation = cx.mutation(&repo.did, vec![Op::Emit(Announce::Account)], vec![raw]);
    cx.mutation_refused(mutation, Reason::BadCid).await?;
    let twice = Block::new(content("x").bytes);
    let mutation = cx.mutation(&repo.did, vec![Op::Emit(Announce::Account)], vec![twice.clone(), twice]);
    cx.mutation_refused(mutation, Reason::BadRequest).await?;
    Ok(())
}

pub(crate) async fn refusals_of_another_commit_block(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let draft = repo.draft(&[put("1", "x")]);
    let honest = CommitBlock::decode(draft.blocks[0].bytes())?;
    let rev = Tid::from_u64(honest.rev.as_u64() + 1);
    let blocks = [
        CommitBlock { did: did("bob"), ..honest.clone() }.encode(),
        CommitBlock { rev, ..honest.clone() }.encode(),
        CommitBlock { data: content("x").cid(), ..honest.clone() }.encode(),
        CommitBlock { version: 2, ..honest.clone() }.encode(),
        CommitBlock { version: 4, ..honest.clone() }.encode(),
        [honest.encode(), vec![0]].concat(),
        b"not a commit".to_vec(),
        Vec::new(),
    ];
    for (i, block) in blocks.into_iter().enumerate() {
        let mut draft = draft.clone();
        let block = Block::new(block.into());
        draft.commit.added[0] = block.cid();
        draft.commit.head.cid = block.cid();
        draft.blocks[0] = block;
        assert_eq!(cx.refusal(draft.mutation(cx.key())).await?, Reason::CommitMismatch, "block {i}");
    }
    Ok(())
}

pub(crate) async fn refusals_of_missing_repos(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.refused(&alice, vec![Op::Emit(Announce::Sync)], Reason::RepoMissing).await?;
    let repo = cx.repo("bob").await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    for other in [RepoId(0), RepoId(import.0 - 1), RepoId(import.0 + 1), RepoId(u64::MAX)] {
        for op in [Op::ImportBlocks { import: other }, Op::AbandonImport { import: other }] {
            cx.refused(&repo.did, vec![op], Reason::RepoMissing).await?;
        }
    }
    cx.refused(&alice, vec![Op::ImportBlocks { import }], Reason::RepoMissing).await?;
    let sync = cx.mutation(&repo.did, vec![Op::Emit(Announce::Sync)], Vec::new());
    cx.mutation_refused(sync, Reason::BlockMissing).await?;
    Ok(())
}

/// Commits that contradict themselves.
fn malformed_commits(repo: &SceneRepo) -> Vec<(&'static str, RepoCommit)> {
    let draft = repo.draft(&[put("2", "y"), put("3", "z")]).commit;
    let with = |change: &dyn Fn(&mut RepoCommit)| {
        let mut commit = draft.clone();
        change(&mut commit);
        commit
    };
    let link = |field: &str, target: &str| scene_link(field, target);
    vec![
        ("a CID added twice", with(&|c| c.added.push(c.added[0]))),
        ("a CID removed twice", with(&|c| c.removed.push(c.removed[0]))),
        ("added and removed", with(&|c| c.removed.push(c.added[1]))),
        ("without its commit block", with(&|c| c.added.retain(|cid| *cid != c.head.cid))),
        ("keeps the old commit block", with(&|c| c.removed.retain(|cid| Some(*cid) != c.expected.map(|h| h.cid)))),
        ("a first commit that removes", with(&|c| c.expected = None)),
        ("a path twice", with(&|c| c.records.push(c.records[0].clone()))),
        ("an operation that does nothing", with(&|c| c.records[0].new = None)),
        ("a blob twice", with(&|c| c.records[0].blobs = vec![blob_cid("b"); 2])),
        ("a link twice", with(&|c| c.records[0].links = vec![link("f", "t"); 2])),
        ("a link without a field", with(&|c| c.records[0].links = vec![link("", "t")])),
        ("a zero byte in a field", with(&|c| c.records[0].links = vec![link("f\0", "t")])),
        ("a zero byte in a target", with(&|c| c.records[0].links = vec![link("f", "\0t")])),
        ("an announced CID twice", with(&|c| c.announce.as_mut().expect("announced").push(c.added[1]))),
        ("its own commit block announced", with(&|c| c.announce.as_mut().expect("announced").push(c.head.cid))),
        (
            "a record that is not announced",
            with(&|c| {
                let record = c.records[0].new;
                c.announce.as_mut().expect("announced").retain(|cid| Some(*cid) != record);
            }),
        ),
        (
            "a new node that is not announced",
            with(&|c| {
                let node = c.added[1];
                c.announce.as_mut().expect("announced").retain(|cid| *cid != node);
            }),
        ),
        (
            "a deletion with a blob",
            with(&|c| {
                c.records[0] = RecordOp {
                    path: path("com.example.note/1"),
                    old: Some(content("x").cid()),
                    new: None,
                    blobs: vec![blob_cid("b")],
                    links: Vec::new(),
                };
            }),
        ),
    ]
}

fn scene_link(field: &str, target: &str) -> Link {
    crate::scene::link(field, target)
}

pub(crate) async fn refusals_of_malformed_commits(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    let blocks = repo.draft(&[put("2", "y"), put("3", "z")]).blocks;
    for (what, commit) in malformed_commits(&repo) {
        let mutation = cx.mutation(&repo.did, vec![Op::Commit(Box::new(commit))], blocks.clone());
        assert_eq!(cx.refusal(mutation).await?, Reason::BadRequest, "{what}");
    }
    Ok(())
}

pub(crate) async fn refusals_of_malformed_mutations(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let new =
        |status| Op::CreateAccount(NewAccount { handle: None, email: None, password_hash: Some("h".into()), status });
    let import = RepoId(9);
    let tree = Op::ImportTree(ImportTree { import, nodes: Vec::new(), records: Vec::new() });
    let nodes = vec![repo.data.expect("a root"); 2];
    let hash = |hash: &str| AccountPatch { password_hash: Some(Some(hash.into())), ..AccountPatch::default() };
    let owned = |did: &Did| Op::PutRow { row: Row { owner: Some(did.clone()), ..row("k", "v") }, expect: Expect::Any };
    let cases: Vec<(&str, Vec<Op>)> = vec![
        ("no operation", vec![]),
        ("deleted as a status", vec![Op::SetStatus(AccountStatus::Deleted)]),
        ("a new account that is taken down", vec![new(AccountStatus::Takendown)]),
        ("a new account that is deleted", vec![new(AccountStatus::Deleted)]),
        ("two imports", vec![Op::BeginImport, Op::BeginImport]),
        ("two tree steps", vec![tree.clone(), tree]),
        ("a node twice", vec![Op::ImportTree(ImportTree { import, nodes, records: Vec::new() })]),
        ("deleted twice", vec![Op::DeleteAccount, Op::DeleteAccount]),
        ("deleted and created", vec![Op::DeleteAccount, new(AccountStatus::Active)]),
        ("a row without a key", vec![put_row(row("", "v"))]),
        ("taking a row without a key", vec![Op::TakeRow(row_key(""))]),
        ("deleting a row without a key", vec![delete_row(row_key(""))]),
        ("a row of another owner", vec![owned(&did("bob"))]),
        ("a zero byte in a password hash", vec![Op::UpdateAccount(hash("a\0b"))]),
        ("a zero byte in a MIME type", vec![Op::PutBlob { cid: blob_cid("b"), mime: "a\0b".into(), bytes: 1 }]),
    ];
    for (what, ops) in cases {
        let mutation = cx.mutation(&repo.did, ops, Vec::new());
        assert_eq!(cx.refusal(mutation).await?, Reason::BadRequest, "{what}");
    }
    let draft = repo.draft(&[]);
    let twice = cx.mutation(&repo.did, vec![draft.op(), draft.op()], draft.blocks.clone());
    cx.mutation_refused(twice, Reason::BadRequest).await?;
    let first = SceneRepo::new(did("bob")).draft(&[]);
    let two_generations = vec![create_account("bob"), Op::BeginImport, first.op()];
    cx.mutation_refused(cx.mutation(&did("bob"), two_generations, first.blocks), Reason::BadRequest).await?;
    Ok(())
}

/// Reasons that `apply` never gives for what a mutation says: those of names that are checked when they are parsed, of
/// reads, and of a store that is broken, full, closed or another one.
const NOT_FOR_A_MUTATION: &[Reason] = &[
    Reason::BadDid,
    Reason::BadHandle,
    Reason::BadNsid,
    Reason::BadRecordKey,
    Reason::BadTid,
    Reason::BadSeq,
    Reason::BadTree,
    Reason::BadCar,
    Reason::FutureCursor,
    Reason::CursorGone,
    Reason::StorageFull,
    Reason::Overloaded,
    Reason::SyncFailed,
    Reason::Closed,
    Reason::ReadFailed,
    Reason::DataCorrupt,
    Reason::WrongStore,
    Reason::Locked,
];

/// One mutation for each reason there is.
pub(crate) async fn refusals_cover_every_reason(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let bob = cx.account("bob").await?;
    cx.apply(&repo.did, vec![put_row(Row { unique: vec![b"u".to_vec()], ..row("k", "v") })]).await?;
    cx.apply(&repo.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 1 }]).await?;
    let noted = content("x").with_blob(blob_cid("b"));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), noted)]).await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    let used = cx.mutation(&repo.did, vec![Op::Emit(Announce::Account)], Vec::new());
    cx.db().apply(used.clone()).await?;
    let commit = |change: &dyn Fn(&mut Draft)| {
        let mut draft = repo.draft(&[put("2", "y")]);
        change(&mut draft);
        draft.mutation(cx.key())
    };
    let ops = |did: &Did, ops: Vec<Op>| cx.mutation(did, ops, Vec::new());
    let of_alice = |op: Op| ops(&repo.did, vec![op]);
    let patch = |patch: AccountPatch| ops(&bob, vec![Op::UpdateAccount(patch)]);
    let expect = |expect: Expect| of_alice(Op::PutRow { row: row("k", "w"), expect });
    let raw = Block::claimed(Cid::of(Codec::Raw, b"x"), b"x".to_vec().into());
    let rev = Tid::from_u64(1);
    let late = super::imports::finish(
        &cx,
        import,
        &{
            let mut late = repo.clone();
            late.sign(b"late", Tid::from_u64(u64::MAX));
            late
        },
        repo.head,
    );
    let refused = [
        cx.mutation(&bob, vec![Op::Emit(Announce::Account)], vec![raw]),
        ops(&bob, vec![]),
        commit(&|d| d.blocks[0] = Block::claimed(d.blocks[0].cid(), b"other".to_vec().into())),
        commit(&|d| drop(d.blocks.remove(0))),
        commit(&|d| d.commit.data = content("y").cid()),
        Mutation { ops: vec![Op::Emit(Announce::Sync)], ..used },
        ops(&did("nobody"), vec![Op::Purge]),
        of_alice(Op::ImportBlocks { import: RepoId(0) }),
        of_alice(Op::TakeRow(row_key("no"))),
        of_alice(Op::DeleteBlob(blob_cid("no"))),
        ops(&bob, vec![create_account("bob")]),
        patch(AccountPatch { handle: Some(Some(handle("alice"))), ..AccountPatch::default() }),
        patch(AccountPatch { email: Some(Some(email("alice"))), ..AccountPatch::default() }),
        SceneRepo::new(repo.did.clone()).draft_signed(&[], b"another").mutation(cx.key()),
        commit(&|d| d.commit.records[0].old = Some(content("x").cid())),
        repo.draft_at(&[], b"sig", rev).mutation(cx.key()),
        commit(&|d| d.commit.removed.push(content("nowhere").cid())),
        ops(&bob, vec![Op::SetStatus(AccountStatus::Takendown), Op::BeginImport]),
        expect(Expect::Absent),
        of_alice(put_row(Row { unique: vec![b"u".to_vec()], ..row("other", "v") })),
        expect(Expect::Body(b"other".to_vec())),
        of_alice(Op::DeleteBlob(blob_cid("b"))),
        late,
        of_alice(Op::PutBlob { cid: blob_cid("c"), mime: "m".repeat(1_000).into(), bytes: 1 }),
    ];
    let mut seen = BTreeSet::new();
    for mutation in refused {
        seen.insert(format!("{:?}", cx.refusal(mutation).await?));
    }
    let named = |reasons: &[Reason]| reasons.iter().map(|reason| format!("{reason:?}")).collect::<BTreeSet<_>>();
    let others = named(NOT_FOR_A_MUTATION);
    let expected: BTreeSet<String> = named(Reason::ALL).difference(&others).cloned().collect();
    assert_eq!(seen, expected);
    Ok(())
}
