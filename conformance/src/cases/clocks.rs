//! Clocks that stand still, jump, and go back.

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn announce() -> Op {
    Op::Emit(Announce::Account)
}

/// A year.
const YEAR_MICROS: u64 = 365 * 86_400_000_000;

/// While the clock stands, the order is that of the positions, and the newest commit of a moment is the last.
pub(crate) async fn clocks_that_stand_still_keep_the_order(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut heads = vec![repo.head.expect("a head")];
    for i in 0..10 {
        let receipt = cx.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
        assert_eq!((receipt.pos, receipt.at), (Pos(3 + i), START));
        heads.push(repo.head.expect("a head"));
    }
    let listed = cx.db().history(&repo.did, None, 100).await?.items;
    assert!(listed.iter().map(|(rev, _)| *rev).eq(heads.iter().rev().map(|head| head.rev)));
    assert!(listed.iter().all(|(_, row)| row.at == START));
    let state = cx.db().repo(&repo.did, At::Time(START)).await?.expect("a state");
    assert_eq!(Some(state.head), repo.head, "the last of that moment");
    for head in heads {
        assert_eq!(cx.db().repo(&repo.did, At::Rev(head.rev)).await?.map(|state| state.head), Some(head));
    }
    Ok(())
}

/// All that was taken in one moment is due in one moment, and not before.
pub(crate) async fn clocks_that_stand_still_end_the_window_at_once(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..5 {
        cx.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
    }
    cx.advance(cx.options().history_window_micros - 1);
    cx.sweep().await?;
    assert_eq!(cx.db().history(&repo.did, None, 100).await?.items.len(), 6);
    cx.advance(1);
    cx.sweep().await?;
    assert_eq!(cx.db().history(&repo.did, None, 100).await?.items.len(), 1);
    super::imports::state_is(&cx, &repo).await
}

/// One mutation under a clock that is a century ahead: time stands there when the clock is right again.
pub(crate) async fn clocks_a_century_ahead_are_not_forgotten(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let ahead = Micros(START.0 + 100 * YEAR_MICROS);
    cx.set_time(ahead);
    cx.apply(&alice, vec![announce()]).await?;
    cx.set_time(Micros(START.0 + 5));
    cx.reopen().await;
    let receipt = cx.apply(&alice, vec![announce()]).await?;
    assert_eq!(receipt.at, ahead);
    let events = cx.db().events(Seq::ZERO, 10, usize::MAX).await?;
    assert_eq!(events.iter().map(|event| event.at).collect::<Vec<_>>(), [ahead, ahead]);
    assert_eq!(Frame::decode(&events[1].frame)?.text("time"), Some(ahead.to_rfc3339().as_str()));
    cx.set_time(Micros(ahead.0 + 1));
    assert_eq!(cx.apply(&alice, vec![announce()]).await?.at, Micros(ahead.0 + 1), "and goes on from there");
    Ok(())
}

/// A machine without a battery wakes up in 1970.
pub(crate) async fn clocks_may_begin_at_nothing(cx: Arc<Context>) -> Outcome {
    cx.set_time(Micros(0));
    let mut repo = cx.repo("alice").await?;
    let expiring = Row { expires_at: Some(Micros(1)), ..row("k", "v") };
    let receipt = cx.apply(&repo.did, vec![put_row(expiring.clone()), announce()]).await?;
    assert_eq!(receipt.at, Micros(0));
    let account = cx.db().account(&AccountName::Did(repo.did.clone())).await?.expect("an account");
    assert_eq!(account.created_at, Micros(0));
    assert_eq!(cx.db().row(&expiring.key).await?, Some(expiring.clone()));
    assert!(cx.db().sweep(100).await?.done, "nothing is older than nothing");
    assert_eq!(cx.db().event_window().await?.oldest, Seq::new(1)?);
    let events = cx.db().events(Seq::new(1)?, 1, usize::MAX).await?;
    assert_eq!(Frame::decode(&events[0].frame)?.text("time"), Some("1970-01-01T00:00:00.000Z"));
    assert_eq!(cx.db().repo(&repo.did, At::Time(Micros(0))).await?.map(|state| Some(state.head)), Some(repo.head));
    cx.set_time(START);
    cx.reopen().await;
    assert_eq!(cx.db().row(&expiring.key).await?, None);
    cx.write(&mut repo, &[put("1", "x")]).await?;
    assert_eq!(cx.db().repo(&repo.did, At::Head).await?.map(|state| state.at), Some(START));
    Ok(())
}

/// A row of an owner, with a unique value and one to look it up by, that lives for a millisecond.
fn brief(did: &Did, name: &str) -> Row {
    let value = vec![name.as_bytes().to_vec()];
    let expires_at = Some(Micros(START.0 + 1_000));
    Row { owner: Some(did.clone()), expires_at, unique: value.clone(), lookup: value, ..row(name, "v") }
}

/// Whichever way it is asked for.
async fn is_gone(cx: &Context, row: &Row) -> Outcome {
    let (kind, name) = (row.key.kind, &row.unique[0]);
    assert_eq!(cx.db().row(&row.key).await?, None);
    assert_eq!(cx.db().row_unique(kind, 0, name).await?, None);
    for scope in [
        RowScope::Kind(kind),
        RowScope::Prefix(kind, name.clone()),
        RowScope::Owner(row.owner.clone().expect("an owner")),
        RowScope::Lookup { kind, index: 0, value: name.clone() },
    ] {
        assert_eq!(cx.db().rows(&scope, None, 10).await?.items, [], "{scope:?}");
    }
    Ok(())
}

/// What has expired for one reader does not come back for the next one, once somebody wrote at that time.
pub(crate) async fn clocks_going_back_revive_no_row(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let code = brief(&alice, "code");
    cx.apply(&alice, vec![put_row(code.clone())]).await?;
    cx.advance(1_000);
    cx.apply(&alice, vec![announce()]).await?;
    for back in [START.0, START.0 + 999, 0] {
        cx.set_time(Micros(back));
        is_gone(&cx, &code).await?;
        cx.refused(&alice, vec![Op::TakeRow(code.key.clone())], Reason::RowMissing).await?;
        cx.reopen().await;
    }
    Ok(())
}

/// A sweep has forgotten one of two rows that expired together: the other does not come back either.
pub(crate) async fn clocks_going_back_after_half_a_sweep_revive_no_row(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let both = ["a", "b"].map(|name| brief(&alice, name));
    cx.apply(&alice, both.iter().cloned().map(put_row).collect()).await?;
    cx.advance(1_000);
    assert_eq!(cx.db().sweep(1).await?.rows, 1);
    for back in [START.0, START.0 + 999, 0] {
        cx.set_time(Micros(back));
        for row in &both {
            is_gone(&cx, row).await?;
            cx.refused(&alice, vec![Op::TakeRow(row.key.clone())], Reason::RowMissing).await?;
        }
        cx.reopen().await;
    }
    Ok(())
}

/// Nobody wrote meanwhile: a clock that was ahead and is right again has expired nothing.
pub(crate) async fn clocks_ahead_of_readers_only_expire_nothing(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let code = Row { expires_at: Some(Micros(START.0 + 1_000)), ..row("code", "v") };
    cx.apply(&alice, vec![put_row(code.clone())]).await?;
    cx.advance(YEAR_MICROS);
    assert_eq!(cx.db().row(&code.key).await?, None);
    cx.set_time(Micros(START.0 + 999));
    let receipt = cx.apply(&alice, vec![Op::TakeRow(code.key.clone())]).await?;
    assert_eq!((receipt.at, receipt.taken), (Micros(START.0 + 999), vec![code]));
    Ok(())
}

/// The clock goes back after a sweep and comes again to the same time: nothing more is forgotten, nothing twice.
pub(crate) async fn clocks_going_back_make_a_sweep_of_nothing(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "a")]).await?;
    cx.write(&mut repo, &[put("1", "b")]).await?;
    cx.pass_window();
    cx.sweep().await?;
    let left = cx.snapshot().await?;
    let then = cx.now();
    for back in [Micros(0), START, Micros(then.0 - 1), then] {
        cx.set_time(back);
        let report = cx.db().sweep(1_000).await?;
        assert_eq!(report, SweepReport { done: true, ..SweepReport::default() }, "the clock says {back}");
        cx.reopen().await;
    }
    assert_eq!(digest::difference(&left, &cx.snapshot().await?), None);
    Ok(())
}

/// The store was closed for longer than its window: it opens with its whole past, and the first sweep takes it.
pub(crate) async fn clocks_jump_over_the_window_while_it_is_closed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let first = repo.head.expect("a head").rev;
    cx.write(&mut repo, &[put("1", "a")]).await?;
    cx.write(&mut repo, &[Write::Delete(path("com.example.note/1"))]).await?;
    cx.set_time(Micros(START.0 + 10 * YEAR_MICROS));
    cx.reopen().await;
    assert!(cx.db().repo(&repo.did, At::Rev(first)).await?.is_some(), "a sweep forgets, not a clock");
    let block = cx.db().blocks(&repo.did, &[content("a").cid()], Blocks::History).await?;
    assert!(block[0].is_some());
    cx.sweep().await?;
    assert_eq!(cx.db().repo(&repo.did, At::Rev(first)).await?, None);
    assert_eq!(cx.db().blocks(&repo.did, &[content("a").cid()], Blocks::History).await?, [None]);
    super::imports::state_is(&cx, &repo).await
}

/// A row whose time is over when it is put is not there, and stands in nobody's way.
pub(crate) async fn clocks_past_times_of_rows_are_taken(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for at in [Micros(0), Micros(START.0 - 1), START] {
        let late = Row { expires_at: Some(at), unique: vec![b"u".to_vec()], ..row("k", "v") };
        cx.apply(&alice, vec![Op::PutRow { row: late, expect: Expect::Absent }]).await?;
        assert_eq!(cx.db().row(&row_key("k")).await?, None, "until {at}");
        assert_eq!(cx.db().row_unique(RowKind::Custom, 0, b"u").await?, None, "until {at}");
    }
    let just = Row { expires_at: Some(Micros(START.0 + 1)), unique: vec![b"u".to_vec()], ..row("k", "v") };
    cx.apply(&alice, vec![Op::PutRow { row: just.clone(), expect: Expect::Absent }]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(just));
    Ok(())
}

/// Within a mutation time stands: a row that has a microsecond to live is there for all its operations.
pub(crate) async fn clocks_stand_within_a_mutation(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let brief = Row { expires_at: Some(Micros(START.0 + 1)), ..row("k", "v") };
    let mut ops: Vec<Op> = (0..900).map(|i| put_row(row(&format!("other{i}"), "x"))).collect();
    ops.insert(0, put_row(brief.clone()));
    ops.push(Op::TakeRow(brief.key.clone()));
    let receipt = cx.apply(&alice, ops).await?;
    assert_eq!((receipt.at, receipt.taken), (START, vec![brief]));
    Ok(())
}
