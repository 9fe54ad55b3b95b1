//! Bounds of what one mutation may hold, to the byte.

use backend_api::limits::*;

use super::prelude::*;

/// A mutation whose encoded operations have so many bytes.
fn mutation_of(cx: &Context, did: &Did, bytes: usize) -> Result<Mutation> {
    let ops = |last: usize| {
        let body = |len: usize| Row { body: vec![b'x'; len], ..row(&format!("{len}"), "") };
        let full = (0..3).map(|i| Row { body: vec![i; ROW_BODY_BYTES_MAX], ..row(&format!("full {i}"), "") });
        full.chain([body(last)]).map(put_row).collect::<Vec<Op>>()
    };
    let around = 1_000_000;
    let made = Checked::new(cx.mutation(did, ops(around), Vec::new()))?.encoded_ops().len();
    // The key is the length's name, so a length of as many digits changes nothing else.
    let mutation = cx.mutation(did, ops(around + bytes - made), Vec::new());
    Ok(mutation)
}

pub(crate) async fn sizes_of_all_operations_together(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let at = mutation_of(&cx, &alice, MUTATION_OPS_BYTES_MAX)?;
    assert_eq!(Checked::new(at.clone())?.encoded_ops().len(), MUTATION_OPS_BYTES_MAX);
    cx.mutation_refused(mutation_of(&cx, &alice, MUTATION_OPS_BYTES_MAX + 1)?, Reason::TooLarge).await?;
    cx.db().apply(at.clone()).await?;
    cx.reopen().await;
    for op in &at.ops {
        let Op::PutRow { row, .. } = op else { continue };
        assert!(cx.db().row(&row.key).await?.as_ref() == Some(row), "{:?}", row.key);
    }
    assert!(cx.db().changes(Pos(1), 1, 0).await?[0].mutation == at, "nor is it cut in the change feed");
    Ok(())
}

/// The rows that one mutation takes come back in its receipt, so they are bounded too.
pub(crate) async fn sizes_of_the_rows_that_are_taken(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let full = |i: usize| Row { body: vec![i as u8; ROW_BODY_BYTES_MAX], ..row(&format!("{i}"), "") };
    assert_eq!(4 * ROW_BODY_BYTES_MAX, MUTATION_OPS_BYTES_MAX);
    for i in 0..4 {
        cx.apply(&alice, vec![put_row(full(i))]).await?;
    }
    cx.apply(&alice, vec![put_row(row("empty", "")), put_row(row("more", "x"))]).await?;
    let take = |keys: &[&str]| keys.iter().map(|key| Op::TakeRow(row_key(key))).collect::<Vec<_>>();
    cx.refused(&alice, take(&["0", "1", "2", "3", "more"]), Reason::TooLarge).await?;
    let ops = take(&["0", "1", "2", "3", "empty"]);
    let mutation = cx.mutation(&alice, ops, Vec::new());
    let receipt = cx.db().apply(mutation.clone()).await?;
    assert_eq!(receipt.taken.len(), 5);
    cx.reopen().await;
    assert!(cx.db().apply(mutation).await? == receipt, "the receipt is kept whole");
    Ok(())
}

/// A block of the greatest length is kept, served and counted; so is one of no byte.
pub(crate) async fn sizes_of_one_block(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    let great = Block::new((0..BLOCK_BYTES_MAX).map(|i| (i % 253) as u8).collect::<Vec<u8>>().into());
    let empty = Block::new(bytes::Bytes::new());
    let blocks = vec![great.clone(), empty.clone()];
    cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], blocks)).await?;
    cx.reopen().await;
    let asked = [great.cid(), empty.cid()];
    let found = cx.db().blocks(&repo.did, &asked, Blocks::Import).await?;
    assert!(found == [Some(great.bytes().clone()), Some(empty.bytes().clone())], "not the bytes that were put");
    let refs = cx.db().block_refs(&repo.did, &asked, Blocks::Import).await?;
    let expected = |len| Some(BlockRefs { refs: 0, len });
    assert_eq!(refs, [expected(BLOCK_BYTES_MAX as u32), expected(0)]);
    Ok(())
}

/// One below each bound that counts things is nothing special.
pub(crate) async fn sizes_one_below_a_bound_are_taken(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let below = Row {
        key: RowKey { kind: RowKind::Custom, key: vec![7; ROW_KEY_BYTES_MAX - 1] },
        unique: vec![vec![1; ROW_KEY_BYTES_MAX - 1]; ROW_INDEXES_MAX - 1],
        lookup: vec![vec![2; ROW_KEY_BYTES_MAX - 1]; ROW_INDEXES_MAX - 1],
        expires_at: Some(Micros(TIME_MICROS_MAX - 1)),
        body: vec![3; ROW_BODY_BYTES_MAX - 1],
        owner: None,
    };
    let blob =
        Op::PutBlob { cid: blob_cid("b"), mime: "m".repeat(MIME_BYTES_MAX - 1).into(), bytes: BLOB_BYTES_MAX - 1 };
    cx.apply(&repo.did, vec![put_row(below.clone()), blob]).await?;
    assert_eq!(cx.db().row(&below.key).await?, Some(below));
    assert_eq!(cx.db().blob(&repo.did, &blob_cid("b")).await?.map(|blob| blob.bytes), Some(BLOB_BYTES_MAX - 1));
    let ops = (0..MUTATION_OPS_MAX - 1).map(|i| put_row(row(&format!("{i}"), ""))).collect();
    cx.apply(&repo.did, ops).await?;
    let writes = (0..COMMIT_OPS_MAX - 1).map(|i| Write::Put(path(&format!("com.example.note/{i:03}")), content("x")));
    cx.write(&mut repo, &writes.collect::<Vec<_>>()).await?;
    let target = "t".repeat(LINK_TARGET_BYTES_MAX - 1);
    let linked = content_of_bytes(RECORD_BYTES_MAX - 1).with_link(link("f", &target));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/great"), linked)]).await?;
    super::imports::state_is(&cx, &repo).await
}

/// The greatest announced commit: all its operations, and a frame of nearly the greatest size. It is read back whole, by
/// itself when less was asked for, and with its neighbours when they fit.
pub(crate) async fn sizes_of_the_greatest_event(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let writes: Vec<Write> = (0..COMMIT_OPS_MAX)
        .map(|i| {
            Write::Put(path(&format!("com.example.note/{i:03}")), content(&format!("{i:03}{}", "x".repeat(9_500))))
        })
        .collect();
    cx.write(&mut repo, &writes).await?;
    cx.apply(&repo.did, vec![Op::Emit(Announce::Account)]).await?;
    cx.reopen().await;
    let all = cx.db().events(Seq::ZERO, 10, usize::MAX).await?;
    assert!(all[1].frame.len() > 1_900_000, "{} bytes", all[1].frame.len());
    let frame = Frame::decode(&all[1].frame)?;
    assert!(matches!(&frame.body["ops"], ipld_core::ipld::Ipld::List(ops) if ops.len() == COMMIT_OPS_MAX));
    for (bytes_max, count) in
        [(0, 1), (100_000, 1), (all[1].frame.len(), 1), (all[1].frame.len() + all[2].frame.len(), 2)]
    {
        let found = cx.db().events(Seq::new(1)?, 10, bytes_max).await?;
        assert!(found == all[1..=count], "{} events of {bytes_max} bytes", found.len());
    }
    Ok(())
}

/// An account may be deleted with `ROWS_OWNED_MAX` rows of its own, and not with one more; expired rows count until they
/// are swept.
pub(crate) async fn sizes_of_what_a_deletion_takes_along(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let owned = |i: usize| Row { owner: Some(did("alice")), ..row(&format!("{i:06}"), "") };
    let all: Vec<Op> = (0..ROWS_OWNED_MAX).map(owned).map(put_row).collect();
    let mutations = all.chunks(MUTATION_OPS_MAX).map(|some| cx.mutation(&alice, some.to_vec(), Vec::new()));
    for answer in cx.db().apply_many(mutations.collect()).await {
        answer?;
    }
    let last = Row { expires_at: Some(Micros(START.0 + 1)), ..owned(ROWS_OWNED_MAX) };
    cx.apply(&alice, vec![put_row(last)]).await?;
    cx.advance(1);
    cx.refused(&alice, vec![Op::DeleteAccount], Reason::TooLarge).await?;
    cx.sweep().await?;
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    assert!(cx.db().rows(&RowScope::Kind(RowKind::Custom), None, 1).await?.items.is_empty());
    Ok(())
}
