//! Listings of rows: where they begin, end and go on.

use super::prelude::*;

async fn keys(cx: &Context, scope: &RowScope, after: Option<&RowKey>, limit: usize) -> Result<(Vec<String>, bool)> {
    let page = cx.db().rows(scope, after, limit).await?;
    let keys = page.items.iter().map(|row| String::from_utf8_lossy(&row.key.key).into_owned());
    assert_eq!(page.next.is_some(), page.next.as_ref() == page.items.last().map(|row| &row.key) && page.next.is_some());
    Ok((keys.collect(), page.next.is_some()))
}

fn prefix(text: &str) -> RowScope {
    RowScope::Prefix(RowKind::Custom, text.into())
}

/// A cursor need not be of the scope: the listing goes on with what of the scope comes after it.
pub(crate) async fn row_scopes_go_on_after_any_key(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, ["a1", "b1", "b2", "b3", "c1"].map(|key| put_row(row(key, "x"))).into()).await?;
    for (after, expected) in [
        ("a", "b1 b2 b3"),
        ("a1", "b1 b2 b3"),
        ("b", "b1 b2 b3"),
        ("b1", "b2 b3"),
        ("b1x", "b2 b3"),
        ("b3", ""),
        ("c", ""),
        ("zzz", ""),
    ] {
        let (found, more) = keys(&cx, &prefix("b"), Some(&row_key(after)), 10).await?;
        assert_eq!((found.join(" ").as_str(), more), (expected, false), "after {after}");
    }
    let (found, more) = keys(&cx, &prefix("b"), Some(&row_key("a")), 2).await?;
    assert_eq!((found.join(" ").as_str(), more), ("b1 b2", true));
    Ok(())
}

/// A cursor of another kind is before or after all keys of this one.
pub(crate) async fn row_scopes_of_one_kind_take_cursors_of_others(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |kind| {
        ["a", "b"].map(|key| {
            put_row(Row { owner: Some(did("alice")), lookup: vec![b"l".to_vec()], ..Row::new(kind, key, "x") })
        })
    };
    cx.apply(
        &alice,
        [RowKind::RefreshToken, RowKind::AppPassword, RowKind::EmailToken].into_iter().flat_map(make).collect(),
    )
    .await?;
    let cursor = |kind, key: &str| RowKey { kind, key: key.into() };
    let kind = RowKind::AppPassword;
    let scopes = [
        RowScope::Kind(kind),
        RowScope::Prefix(kind, Vec::new()),
        RowScope::Lookup { kind, index: 0, value: b"l".to_vec() },
    ];
    for scope in &scopes {
        for (after, expected) in [
            (cursor(RowKind::RefreshToken, "0"), "a b"),
            (cursor(RowKind::RefreshToken, "zzz"), "a b"),
            (cursor(RowKind::AppPassword, "a"), "b"),
            (cursor(RowKind::EmailToken, "0"), ""),
            (cursor(RowKind::EmailToken, "zzz"), ""),
        ] {
            assert_eq!(keys(&cx, scope, Some(&after), 10).await?.0.join(" "), expected, "{scope:?} after {after:?}");
        }
    }
    Ok(())
}

/// What an account owns comes by kind, then by key, and a page may end between two kinds.
pub(crate) async fn row_scopes_of_an_owner_cross_kinds(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |kind: RowKind, key: &str| Row { owner: Some(did("alice")), ..Row::new(kind, key, "x") };
    let mut rows: Vec<Row> = [RowKind::Custom, RowKind::Session, RowKind::OauthToken]
        .into_iter()
        .flat_map(|kind| ["z", "a", "m"].map(|key| make(kind, key)))
        .collect();
    cx.apply(&alice, rows.iter().cloned().map(put_row).collect()).await?;
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    for limit in [1, 2, 3, 4, 8, 9, 10] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().rows(&RowScope::Owner(alice.clone()), after.as_ref(), limit).await?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, rows, "pages of {limit}");
    }
    let between = RowKey { kind: RowKind::Device, key: b"a".to_vec() };
    let rest = cx.db().rows(&RowScope::Owner(alice), Some(&between), 10).await?.items;
    assert_eq!(rest, rows[6..], "after a key that is not there, of a kind between two");
    Ok(())
}

/// The row that a page ended with is deleted, or expires, before the next page is asked for.
pub(crate) async fn row_scopes_go_on_after_what_is_gone(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let lasting = ["a", "b", "d", "e"].map(|key| put_row(Row { lookup: vec![b"l".to_vec()], ..row(key, "x") }));
    let brief = Row { lookup: vec![b"l".to_vec()], expires_at: Some(Micros(START.0 + 5)), ..row("c", "x") };
    cx.apply(&alice, lasting.into_iter().chain([put_row(brief)]).collect()).await?;
    let scopes = [
        RowScope::Kind(RowKind::Custom),
        prefix(""),
        RowScope::Lookup { kind: RowKind::Custom, index: 0, value: b"l".to_vec() },
    ];
    for scope in &scopes {
        assert_eq!(keys(&cx, scope, None, 2).await?, (vec!["a".into(), "b".into()], true));
    }
    cx.apply(&alice, vec![delete_row(row_key("b"))]).await?;
    cx.advance(5);
    for scope in &scopes {
        assert_eq!(keys(&cx, scope, Some(&row_key("b")), 2).await?, (vec!["d".into(), "e".into()], false), "{scope:?}");
        assert_eq!(keys(&cx, scope, Some(&row_key("c")), 1).await?, (vec!["d".into()], true), "{scope:?}");
    }
    Ok(())
}

/// What has expired is left out before the limit: hundreds of such rows make no page short, and none is empty but the last.
pub(crate) async fn row_scopes_leave_out_expired_rows_before_the_limit(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |i: usize| Row {
        owner: Some(did("alice")),
        lookup: vec![b"l".to_vec()],
        expires_at: (i % 300 != 299).then_some(Micros(START.0 + 1)),
        ..row(&format!("p{i:03}"), "x")
    };
    cx.apply(&alice, (0..900).map(make).map(put_row).collect()).await?;
    cx.advance(1);
    let scopes = [
        RowScope::Kind(RowKind::Custom),
        prefix("p"),
        RowScope::Owner(alice.clone()),
        RowScope::Lookup { kind: RowKind::Custom, index: 0, value: b"l".to_vec() },
    ];
    for scope in &scopes {
        assert_eq!(keys(&cx, scope, None, 2).await?, (vec!["p299".into(), "p599".into()], true), "{scope:?}");
        assert_eq!(keys(&cx, scope, Some(&row_key("p599")), 2).await?, (vec!["p899".into()], false), "{scope:?}");
        assert!(!keys(&cx, scope, None, 3).await?.1, "expired rows after the last are no next page: {scope:?}");
    }
    Ok(())
}

pub(crate) async fn row_scopes_of_a_prefix_hold_the_prefix_itself(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, ["a", "ab", "ab\0", "abc", "ab\u{7f}", "ac", "b"].map(|key| put_row(row(key, "x"))).into())
        .await?;
    assert_eq!(keys(&cx, &prefix("ab"), None, 10).await?.0, ["ab", "ab\0", "abc", "ab\u{7f}"]);
    assert_eq!(keys(&cx, &prefix("abcd"), None, 10).await?.0, Vec::<String>::new(), "longer than every key");
    assert_eq!(keys(&cx, &prefix(""), None, 10).await?.0.len(), 7, "an empty one is all of the kind");
    let (first, more) = keys(&cx, &prefix("ab"), None, 4).await?;
    assert_eq!((first.len(), more), (4, false), "what follows is of another prefix");
    Ok(())
}

/// Many rows have one value: they come by key, whatever the order in which they were put, and page by page.
pub(crate) async fn row_scopes_of_one_value_are_by_key(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let order = [7, 3, 11, 0, 5, 1, 9, 2, 10, 4, 8, 6];
    for i in order {
        let value = if i % 4 == 3 { "other" } else { "same" };
        cx.apply(&alice, vec![put_row(Row { lookup: vec![value.into()], ..row(&format!("{i:02}"), "x") })]).await?;
    }
    let scope = RowScope::Lookup { kind: RowKind::Custom, index: 0, value: b"same".to_vec() };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = cx.db().rows(&scope, after.as_ref(), 4).await?;
        found.extend(page.items.into_iter().map(|row| String::from_utf8_lossy(&row.key.key).into_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["00", "01", "02", "04", "05", "06", "08", "09", "10"]);
    Ok(())
}
