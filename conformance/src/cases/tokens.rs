//! What hosts make of rows: tokens, codes, preferences.

use futures::future::join_all;

use super::prelude::*;

const GRACE_MICROS: u64 = 60_000_000;

fn token(id: &str, session: &str, body: &str) -> Row {
    let lookup = vec![session.as_bytes().to_vec()];
    Row { owner: Some(did("alice")), lookup, ..Row::new(RowKind::RefreshToken, id, body) }
}

/// What a refresh does: the old token lives on for the grace and names its successor, which is there with it.
fn refresh(old: &Row, next: &str, now: Micros) -> Vec<Op> {
    let spent = Row { body: next.into(), expires_at: Some(Micros(now.0 + GRACE_MICROS)), ..old.clone() };
    let session = String::from_utf8_lossy(&old.lookup[0]).into_owned();
    vec![
        Op::PutRow { row: spent, expect: Expect::Body(old.body.clone()) },
        Op::PutRow { row: token(next, &session, ""), expect: Expect::Absent },
    ]
}

/// A client that lost the answer refreshes again and is told the same successor; it is not logged out.
pub(crate) async fn tokens_in_their_grace_name_their_successor(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let old = token("old", "s1", "");
    cx.apply(&alice, vec![put_row(old.clone())]).await?;
    cx.apply(&alice, refresh(&old, "next", cx.now())).await?;
    cx.advance(GRACE_MICROS - 1);
    cx.reopen().await;
    let spent = cx.db().row(&old.key).await?.expect("there until the grace is over");
    assert_eq!(spent.body, b"next");
    assert!(cx.db().row(&token("next", "s1", "").key).await?.is_some());
    // A second successor is none.
    cx.refused(&alice, refresh(&old, "stolen", cx.now()), Reason::RowMismatch).await?;
    assert_eq!(cx.db().row(&token("stolen", "s1", "").key).await?, None);
    Ok(())
}

pub(crate) async fn tokens_after_their_grace_are_gone(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let old = token("old", "s1", "");
    cx.apply(&alice, vec![put_row(old.clone())]).await?;
    cx.apply(&alice, refresh(&old, "next", cx.now())).await?;
    cx.advance(GRACE_MICROS);
    assert_eq!(cx.db().row(&old.key).await?, None);
    cx.refused(&alice, refresh(&old, "late", cx.now()), Reason::RowMissing).await?;
    cx.sweep().await?;
    cx.refused(&alice, refresh(&old, "later", cx.now()), Reason::RowMissing).await?;
    assert!(cx.db().row(&token("next", "s1", "").key).await?.is_some(), "the successor has no grace of its own");
    Ok(())
}

/// 64 tabs of a browser refresh at once: one makes the successor, all find it.
pub(crate) async fn tokens_refreshed_at_once_have_one_successor(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let old = token("old", "s1", "");
    cx.apply(&alice, vec![put_row(old.clone())]).await?;
    let calls = (0..64).map(|i| {
        let mutation = cx.mutation(&alice, refresh(&old, &format!("next{i}"), cx.now()), Vec::new());
        let db = cx.db();
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::RowMismatch).await, 1);
    let spent = cx.db().row(&old.key).await?.expect("it is in its grace");
    let scope = RowScope::Lookup { kind: RowKind::RefreshToken, index: 0, value: b"s1".to_vec() };
    let of_session = cx.db().rows(&scope, None, 100).await?.items;
    assert_eq!(of_session.len(), 2, "the old one and one successor");
    assert!(of_session.iter().any(|row| row.key.key == spent.body));
    Ok(())
}

pub(crate) async fn tokens_of_a_session_are_revoked_together(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let all: Vec<Row> = (0..6).map(|i| token(&format!("t{i}"), ["s1", "s2", "s10"][i % 3], "")).collect();
    cx.apply(&alice, all.into_iter().map(put_row).collect()).await?;
    let scope = |session: &str| RowScope::Lookup { kind: RowKind::RefreshToken, index: 0, value: session.into() };
    let found = cx.db().rows(&scope("s1"), None, 100).await?.items;
    assert_eq!(found.iter().map(|row| row.key.key.as_slice()).collect::<Vec<_>>(), [b"t0", b"t3"]);
    cx.apply(&alice, found.into_iter().map(|row| delete_row(row.key)).collect()).await?;
    assert!(cx.db().rows(&scope("s1"), None, 100).await?.items.is_empty());
    for other in ["s2", "s10"] {
        assert_eq!(cx.db().rows(&scope(other), None, 100).await?.items.len(), 2, "{other}");
    }
    Ok(())
}

/// An invite code of five uses, counted down by compare-and-put while 32 want one.
pub(crate) async fn tokens_with_five_uses_are_used_five_times(cx: Arc<Context>) -> Outcome {
    let operator = cx.account("operator").await?;
    let code = |left: u32| Row::new(RowKind::InviteCode, "code", left.to_string());
    cx.apply(&operator, vec![put_row(code(5))]).await?;
    let calls = (0..32).map(|i| {
        let cx = cx.clone();
        tokio::spawn(async move {
            let word = format!("u{i}");
            loop {
                let found = cx.db().row(&code(0).key).await?.expect("the code");
                let left: u32 = String::from_utf8_lossy(&found.body).parse().expect("a number");
                if left == 0 {
                    return answer(false);
                }
                let use_one = Op::PutRow { row: code(left - 1), expect: Expect::Body(found.body) };
                match cx.apply(&did(&word), vec![use_one, create_account(&word)]).await {
                    Ok(_) => return Ok(true),
                    Err(e) => assert_eq!(e.reason(), Reason::RowMismatch, "{e}"),
                }
            }
        })
    });
    let mut registered = 0;
    for call in join_all(calls.collect::<Vec<_>>()).await {
        registered += u32::from(call.expect("no call panics")?);
    }
    assert_eq!(registered, 5);
    assert_eq!(cx.db().accounts(None, 100).await?.items.len(), 6, "and the operator");
    assert_eq!(cx.db().row(&code(0).key).await?, Some(code(0)));
    Ok(())
}

/// Preferences are replaced as a whole: those under a prefix go, others come, and nobody sees none.
pub(crate) async fn tokens_of_preferences_are_replaced_in_one_step(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let preference = |key: &str, body: &str| {
        let key = format!("{alice}\0app.bsky\0{key}");
        Row { owner: Some(alice.clone()), ..Row::new(RowKind::Preference, key, body) }
    };
    let scope = RowScope::Prefix(RowKind::Preference, format!("{alice}\0app.bsky\0").into_bytes());
    cx.apply(&alice, (0..5).map(|i| put_row(preference(&format!("a{i}"), "old"))).collect()).await?;
    let writer = {
        let (cx, alice, scope) = (cx.clone(), alice.clone(), scope.clone());
        let next = (0..40u32).map(|round| {
            (0..5).map(|i| preference(&format!("{}{i}", ["b", "a"][round as usize % 2]), "x")).collect::<Vec<_>>()
        });
        let rounds: Vec<Vec<Row>> = next.collect();
        tokio::spawn(async move {
            for rows in rounds {
                let old = cx.db().rows(&scope, None, 100).await?.items;
                let ops = old.into_iter().map(|row| delete_row(row.key)).chain(rows.into_iter().map(put_row));
                cx.apply(&alice, ops.collect()).await?;
            }
            Outcome::Ok(())
        })
    };
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let found = cx.db().rows(&scope, None, 100).await?.items;
        assert_eq!(found.len(), 5, "a page shows half of a replacement");
        reads += 1;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic")
}
