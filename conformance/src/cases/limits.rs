//! Every bound: at it a request is taken, above it refused with `TooLarge`.

use backend_api::limits::*;

use super::prelude::*;

/// Of two mutations the first is over a bound, the second at it.
async fn bound(cx: &Context, over: Mutation, at: Mutation) -> Outcome {
    cx.mutation_refused(over, Reason::TooLarge).await?;
    cx.db().apply(at).await?;
    Ok(())
}

async fn bound_of_ops(cx: &Context, did: &Did, over: Vec<Op>, at: Vec<Op>) -> Outcome {
    bound(cx, cx.mutation(did, over, Vec::new()), cx.mutation(did, at, Vec::new())).await
}

fn put(rkey: usize, content: Content) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey:05}")), content)
}

pub(crate) async fn limits_of_operations(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let ops = |count: usize| (0..count).map(|i| put_row(row(&format!("{i}"), ""))).collect();
    bound_of_ops(&cx, &alice, ops(MUTATION_OPS_MAX + 1), ops(MUTATION_OPS_MAX)).await
}

pub(crate) async fn limits_of_supplied_blocks(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let blocks = |count: usize| (0..count as u32).map(|i| Block::new(i.to_be_bytes().to_vec().into())).collect();
    let ops = || vec![Op::Emit(Announce::Account)];
    let over = cx.mutation(&alice, ops(), blocks(MUTATION_BLOCKS_MAX + 1));
    bound(&cx, over, cx.mutation(&alice, ops(), blocks(MUTATION_BLOCKS_MAX))).await
}

pub(crate) async fn limits_of_supplied_bytes(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let block = |len: usize, byte: u8| Block::new(vec![byte; len].into());
    let ops = || vec![Op::Emit(Announce::Account)];
    let over = cx.mutation(&alice, ops(), vec![block(BLOCK_BYTES_MAX + 1, 1)]);
    bound(&cx, over, cx.mutation(&alice, ops(), vec![block(BLOCK_BYTES_MAX, 1)])).await?;
    let halves =
        |more: usize| vec![block(MUTATION_BLOCK_BYTES_MAX / 2, 1), block(MUTATION_BLOCK_BYTES_MAX / 2 - 1 + more, 2)];
    let over: Vec<Block> = [halves(1), vec![block(1, 3)]].concat();
    bound(&cx, cx.mutation(&alice, ops(), over), cx.mutation(&alice, ops(), halves(1))).await
}

pub(crate) async fn limits_of_announced_operations(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let writes = |count| (0..count).map(|i| put(i, content(&i.to_string()))).collect::<Vec<_>>();
    let over = repo.draft(&writes(COMMIT_OPS_MAX + 1));
    cx.mutation_refused(over.mutation(cx.key()), Reason::TooLarge).await?;
    // The same, not announced, is no event and has the bound of a step.
    cx.send(&mut repo, over.quiet()).await?;
    let rest: Vec<Write> = (0..COMMIT_OPS_MAX).map(|i| put(i, content(&format!("changed {i}")))).collect();
    cx.write(&mut repo, &rest).await?;
    Ok(())
}

pub(crate) async fn limits_of_record_operations(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut draft = repo.draft(&[put(0, content("x"))]).quiet();
    let template = draft.commit.records[0].clone();
    let op = |i: usize| RecordOp { path: path(&format!("com.example.note/{i:05}")), ..template.clone() };
    draft.commit.records = (0..=RECORD_OPS_MAX).map(op).collect();
    cx.mutation_refused(draft.mutation(cx.key()), Reason::TooLarge).await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    let step = |records| vec![Op::ImportTree(ImportTree { import, nodes: Vec::new(), records })];
    let blocks = vec![Block::new(content("x").bytes)];
    let over = cx.mutation(&repo.did, step(draft.commit.records.clone()), blocks.clone());
    draft.commit.records.pop();
    bound(&cx, over, cx.mutation(&repo.did, step(draft.commit.records), blocks)).await?;
    let refs = cx.db().block_refs(&repo.did, &[content("x").cid()], Blocks::Import).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(RECORD_OPS_MAX as u64));
    Ok(())
}

pub(crate) async fn limits_of_nodes(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let cids: Vec<Cid> = (0..=NODES_MAX as u32).map(|i| Cid::of_block(&i.to_be_bytes())).collect();
    let mut added = repo.draft(&[]).quiet();
    added.commit.added.extend(&cids[1..]);
    cx.mutation_refused(added.mutation(cx.key()), Reason::TooLarge).await?;
    let mut removed = repo.draft(&[]).quiet();
    removed.commit.removed.extend(&cids[1..]);
    cx.mutation_refused(removed.mutation(cx.key()), Reason::TooLarge).await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    let step = |nodes: &[Cid]| vec![Op::ImportTree(ImportTree { import, nodes: nodes.to_vec(), records: Vec::new() })];
    let blocks = (0..NODES_MAX as u32).map(|i| Block::new(i.to_be_bytes().to_vec().into())).collect();
    bound(
        &cx,
        cx.mutation(&repo.did, step(&cids), Vec::new()),
        cx.mutation(&repo.did, step(&cids[..NODES_MAX]), blocks),
    )
    .await
}

pub(crate) async fn limits_of_a_record(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let over = repo.draft(&[put(1, content_of_bytes(RECORD_BYTES_MAX + 1))]);
    cx.mutation_refused(over.mutation(cx.key()), Reason::TooLarge).await?;
    cx.mutation_refused(over.quiet().mutation(cx.key()), Reason::TooLarge).await?;
    cx.write(&mut repo, &[put(1, content_of_bytes(RECORD_BYTES_MAX))]).await?;
    let record = cx.db().record(&repo.did, &path("com.example.note/00001")).await?;
    assert_eq!(record.map(|record| record.bytes.len()), Some(RECORD_BYTES_MAX));
    Ok(())
}

/// The CAR of one event, to the byte.
pub(crate) async fn limits_of_announced_bytes(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let draft = |last: usize| {
        repo.draft(&[
            put(1, content_of_bytes(900_000)),
            put(2, content_of_bytes(900_001)),
            put(3, content_of_bytes(last)),
        ])
    };
    let car_bytes = |draft: &Draft| {
        car::header(draft.commit.head.cid).len()
            + draft.blocks.iter().map(|block| car::block_size(block.bytes().len())).sum::<usize>()
    };
    let fits = 190_000 + (COMMIT_BLOCKS_BYTES_MAX - car_bytes(&draft(190_000)));
    let (at, over) = (draft(fits), draft(fits + 1));
    assert_eq!((car_bytes(&at), car_bytes(&over)), (COMMIT_BLOCKS_BYTES_MAX, COMMIT_BLOCKS_BYTES_MAX + 1));
    cx.mutation_refused(over.mutation(cx.key()), Reason::TooLarge).await?;
    let receipt = cx.send(&mut repo, at).await?;
    let event = cx.db().events(Seq::new(receipt.first_seq.get() - 1)?, 1, 1).await?.remove(0);
    assert!(event.frame.len() > COMMIT_BLOCKS_BYTES_MAX && event.frame.len() <= FRAME_BYTES_MAX);
    Ok(())
}

/// The greatest commit block there can be fits a `#sync` event.
pub(crate) async fn limits_of_a_sync_event(cx: Arc<Context>) -> Outcome {
    let did: Did = format!("did:web:{}", "a".repeat(Did::BYTES_MAX - 8)).parse()?;
    let new = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Active };
    cx.apply(&did, vec![Op::CreateAccount(new)]).await?;
    let mut repo = SceneRepo::new(did);
    let over = repo.draft_signed(&[], &[7; 257]);
    cx.mutation_refused(over.mutation(cx.key()), Reason::CommitMismatch).await?;
    let at = repo.draft_signed(&[], &[7; 256]);
    cx.send(&mut repo, at).await?;
    let sync = cx.mutation(&repo.did, vec![Op::Emit(Announce::Sync)], vec![repo.commit_block()]);
    cx.db().apply(sync).await?;
    let event = cx.db().events(Seq::new(1)?, 1, 1).await?.remove(0);
    assert!(Frame::decode(&event.frame)?.car()?.2.get(&repo.commit_block().cid()).is_some());
    Ok(())
}

pub(crate) async fn limits_of_blobs_and_links_of_a_record(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let blobs =
        |count: usize| Content { blobs: (0..count).map(|i| blob_cid(&format!("{i}"))).collect(), ..content("b") };
    let links =
        |count: usize| Content { links: (0..count).map(|i| link("f", &format!("{i}"))).collect(), ..content("l") };
    for (over, at) in [
        (blobs(RECORD_BLOBS_MAX + 1), blobs(RECORD_BLOBS_MAX)),
        (links(RECORD_LINKS_MAX + 1), links(RECORD_LINKS_MAX)),
        (
            content("t").with_link(link("f", &"t".repeat(LINK_TARGET_BYTES_MAX + 1))),
            content("t").with_link(link("f", &"t".repeat(LINK_TARGET_BYTES_MAX))),
        ),
        (
            content("f").with_link(link(&"f".repeat(ROW_KEY_BYTES_MAX + 1), "t")),
            content("f").with_link(link(&"f".repeat(ROW_KEY_BYTES_MAX), "t")),
        ),
    ] {
        cx.mutation_refused(repo.draft(&[put(1, over)]).mutation(cx.key()), Reason::TooLarge).await?;
        cx.write(&mut repo, &[put(1, at)]).await?;
    }
    Ok(())
}

pub(crate) async fn limits_of_a_row(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let long = |len: usize| "k".repeat(len);
    let values = |count: usize, len: usize| vec![vec![b'v'; len]; count];
    let pairs: Vec<(Row, Row)> = vec![
        (row(&long(ROW_KEY_BYTES_MAX + 1), "v"), row(&long(ROW_KEY_BYTES_MAX), "v")),
        (row("body", &long(ROW_BODY_BYTES_MAX + 1)), row("body", &long(ROW_BODY_BYTES_MAX))),
        (
            Row { unique: values(ROW_INDEXES_MAX + 1, 1), ..row("u", "v") },
            Row { unique: values(ROW_INDEXES_MAX, 1), ..row("u", "v") },
        ),
        (
            Row { lookup: values(ROW_INDEXES_MAX + 1, 1), ..row("l", "v") },
            Row { lookup: values(ROW_INDEXES_MAX, 1), ..row("l", "v") },
        ),
        (
            Row { unique: values(1, ROW_KEY_BYTES_MAX + 1), ..row("uu", "v") },
            Row { unique: values(1, ROW_KEY_BYTES_MAX), ..row("uu", "v") },
        ),
        (
            Row { lookup: values(1, ROW_KEY_BYTES_MAX + 1), ..row("ll", "v") },
            Row { lookup: values(1, ROW_KEY_BYTES_MAX), ..row("ll", "v") },
        ),
        (
            Row { expires_at: Some(Micros(TIME_MICROS_MAX + 1)), ..row("t", "v") },
            Row { expires_at: Some(Micros(TIME_MICROS_MAX)), ..row("t", "v") },
        ),
    ];
    for (over, at) in pairs {
        bound_of_ops(&cx, &alice, vec![put_row(over)], vec![put_row(at.clone())]).await?;
        assert_eq!(cx.db().row(&at.key).await?.as_ref(), Some(&at));
    }
    let too_long = row_key(&long(ROW_KEY_BYTES_MAX + 1));
    cx.refused(&alice, vec![Op::TakeRow(too_long.clone())], Reason::TooLarge).await?;
    cx.refused(&alice, vec![delete_row(too_long)], Reason::TooLarge).await?;
    let expect = Expect::Body(vec![0; ROW_BODY_BYTES_MAX + 1]);
    cx.refused(&alice, vec![Op::PutRow { row: row("k", "v"), expect: expect.clone() }], Reason::TooLarge).await?;
    cx.refused(&alice, vec![Op::DeleteRow { key: row_key("k"), expect }], Reason::TooLarge).await?;
    Ok(())
}

pub(crate) async fn limits_of_an_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let hash = |len: usize| {
        let password_hash = Some(Some("h".repeat(len)));
        vec![Op::UpdateAccount(AccountPatch { password_hash, ..AccountPatch::default() })]
    };
    bound_of_ops(&cx, &alice, hash(PASSWORD_HASH_BYTES_MAX + 1), hash(PASSWORD_HASH_BYTES_MAX)).await?;
    let confirmed = |at: u64| {
        let email_confirmed_at = Some(Some(Micros(at)));
        vec![Op::UpdateAccount(AccountPatch { email_confirmed_at, ..AccountPatch::default() })]
    };
    bound_of_ops(&cx, &alice, confirmed(TIME_MICROS_MAX + 1), confirmed(TIME_MICROS_MAX)).await?;
    let new = |len: usize| {
        let password_hash = Some("h".repeat(len));
        vec![Op::CreateAccount(NewAccount { handle: None, email: None, password_hash, status: AccountStatus::Active })]
    };
    bound_of_ops(&cx, &did("bob"), new(PASSWORD_HASH_BYTES_MAX + 1), new(PASSWORD_HASH_BYTES_MAX)).await
}

pub(crate) async fn limits_of_a_blob(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let blob = |mime: usize, bytes: u64| vec![Op::PutBlob { cid: blob_cid("b"), mime: "m".repeat(mime).into(), bytes }];
    bound_of_ops(&cx, &alice, blob(MIME_BYTES_MAX + 1, 1), blob(MIME_BYTES_MAX, 1)).await?;
    cx.apply(&alice, vec![Op::DeleteBlob(blob_cid("b"))]).await?;
    bound_of_ops(&cx, &alice, blob(1, BLOB_BYTES_MAX + 1), blob(1, BLOB_BYTES_MAX)).await?;
    assert_eq!(cx.db().blob(&alice, &blob_cid("b")).await?.map(|blob| blob.bytes), Some(BLOB_BYTES_MAX));
    Ok(())
}
