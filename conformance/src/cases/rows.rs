//! Rows.

use futures::future::join_all;

use super::prelude::*;

fn put(row: Row, expect: Expect) -> Op {
    Op::PutRow { row, expect }
}

fn owned(did: &Did, key: &str, body: &str) -> Row {
    Row { owner: Some(did.clone()), ..row(key, body) }
}

fn unique(key: &str, values: &[&str]) -> Row {
    Row { unique: values.iter().map(|value| value.as_bytes().to_vec()).collect(), ..row(key, "body") }
}

fn lookup(key: &str, values: &[&str]) -> Row {
    Row { lookup: values.iter().map(|value| value.as_bytes().to_vec()).collect(), ..row(key, "body") }
}

fn expiring(key: &str, at: Micros) -> Row {
    Row { expires_at: Some(at), ..row(key, "body") }
}

async fn holder(cx: &Context, index: u8, value: &str) -> Result<Option<Vec<u8>>> {
    Ok(cx.db().row_unique(RowKind::Custom, index, value.as_bytes()).await?.map(|row| row.key.key))
}

async fn keys(cx: &Context, scope: &RowScope) -> Result<Vec<String>> {
    let page = cx.db().rows(scope, None, 1_000).await?;
    Ok(page.items.into_iter().map(|row| String::from_utf8_lossy(&row.key.key).into_owned()).collect())
}

pub(crate) async fn rows_are_read_back(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let all: Vec<u8> = (0..=255).collect();
    let full = Row {
        key: RowKey { kind: RowKind::OauthToken, key: all.clone() },
        owner: Some(alice.clone()),
        unique: vec![all.clone(), Vec::new()],
        lookup: vec![Vec::new(), all.clone(), vec![0]],
        expires_at: Some(Micros(limits::TIME_MICROS_MAX)),
        body: all.clone(),
    };
    let mut rows: Vec<Row> = vec![full];
    rows.extend((0..=255u8).map(|byte| Row::new(RowKind::Session, [byte], [byte; 3])));
    rows.extend([Row::new(RowKind::Session, [0, 0], ""), Row::new(RowKind::Session, [255, 255], [0])]);
    cx.apply(&alice, rows.iter().cloned().map(put_row).collect()).await?;
    for reopened in [false, true] {
        for row in &rows {
            assert_eq!(cx.db().row(&row.key).await?.as_ref(), Some(row), "reopened: {reopened}");
        }
        let listed = cx.db().rows(&RowScope::Kind(RowKind::Session), None, 1_000).await?;
        assert_eq!(listed.items.len(), 258);
        assert!(listed.items.is_sorted_by(|a, b| a.key < b.key));
        cx.reopen().await;
    }
    Ok(())
}

pub(crate) async fn rows_of_every_kind_are_apart(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |kind: &RowKind| Row { unique: vec![b"u".to_vec()], ..Row::new(*kind, "key", format!("{kind:?}")) };
    cx.apply(&alice, RowKind::ALL.iter().map(make).map(put_row).collect()).await?;
    for kind in RowKind::ALL {
        let key = RowKey { kind: *kind, key: b"key".to_vec() };
        assert_eq!(cx.db().row(&key).await?, Some(make(kind)));
        assert_eq!(cx.db().row_unique(*kind, 0, b"u").await?, Some(make(kind)));
        assert_eq!(cx.db().rows(&RowScope::Kind(*kind), None, 10).await?.items, [make(kind)]);
        assert_eq!(RowKind::from_code(*kind as u8), Some(*kind));
    }
    Ok(())
}

pub(crate) async fn rows_expectations_are_held(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let body = |text: &str| Expect::Body(text.into());
    let delete = |expect| Op::DeleteRow { key: row_key("k"), expect };
    cx.refused(&alice, vec![put(row("k", "v"), body("v"))], Reason::RowMissing).await?;
    cx.refused(&alice, vec![delete(body("v"))], Reason::RowMissing).await?;
    cx.apply(&alice, vec![delete(Expect::Any), delete(Expect::Absent)]).await?;
    cx.apply(&alice, vec![put(row("k", "v"), Expect::Absent)]).await?;
    cx.refused(&alice, vec![put(row("k", "w"), Expect::Absent)], Reason::RowExists).await?;
    cx.refused(&alice, vec![delete(Expect::Absent)], Reason::RowExists).await?;
    cx.refused(&alice, vec![put(row("k", "w"), body("other"))], Reason::RowMismatch).await?;
    cx.refused(&alice, vec![delete(body(""))], Reason::RowMismatch).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "v")));
    cx.apply(&alice, vec![put(row("k", "w"), body("v"))]).await?;
    cx.apply(&alice, vec![put(row("k", "x"), Expect::Any)]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "x")));
    cx.apply(&alice, vec![delete(body("x"))]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, None);
    Ok(())
}

pub(crate) async fn rows_compare_and_put_has_one_winner(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(row("k", "start"))]).await?;
    let calls = (0..64).map(|i| {
        let op = put(row("k", &format!("{i}")), Expect::Body("start".into()));
        let (db, mutation) = (cx.db(), cx.mutation(&alice, vec![op], Vec::new()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::RowMismatch).await, 1);
    Ok(())
}

pub(crate) async fn rows_taken_once(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(unique("token", &["u"]))]).await?;
    let calls = (0..64).map(|i| {
        // From many DIDs: a row without an owner is anybody's.
        let did = did(&format!("u{}", i % 7));
        let (db, mutation) = (cx.db(), cx.mutation(&did, vec![Op::TakeRow(row_key("token"))], Vec::new()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    let answers: Vec<_> = join_all(calls.collect::<Vec<_>>()).await;
    let mut taken = Vec::new();
    for answer in answers {
        match answer.expect("no call panics") {
            Ok(receipt) => taken.extend(receipt.taken),
            Err(e) => assert_eq!(e.reason(), Reason::RowMissing, "{e}"),
        }
    }
    assert_eq!(taken, [unique("token", &["u"])]);
    assert_eq!(cx.db().row(&row_key("token")).await?, None);
    assert_eq!(holder(&cx, 0, "u").await?, None);
    Ok(())
}

pub(crate) async fn rows_taken_in_order_of_operations(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, ["a", "b", "c"].map(|key| put_row(row(key, key))).into()).await?;
    let take = |key| Op::TakeRow(row_key(key));
    let receipt = cx.apply(&alice, vec![take("c"), take("a")]).await?;
    assert_eq!(receipt.taken, [row("c", "c"), row("a", "a")]);
    cx.refused(&alice, vec![take("b"), take("b")], Reason::RowMissing).await?;
    assert!(cx.db().row(&row_key("b")).await?.is_some());
    Ok(())
}

pub(crate) async fn rows_expire(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let at = Micros(START.0 + 100);
    let old = Row { unique: vec![b"u".to_vec()], lookup: vec![b"l".to_vec()], ..expiring("k", at) };
    cx.apply(&alice, vec![put_row(old.clone())]).await?;
    cx.advance(99);
    assert_eq!(cx.db().row(&old.key).await?, Some(old.clone()), "one microsecond before");
    cx.refused(&alice, vec![put(unique("other", &["u"]), Expect::Any)], Reason::RowNotUnique).await?;
    cx.advance(1);
    assert_eq!(cx.db().row(&old.key).await?, None);
    assert_eq!(holder(&cx, 0, "u").await?, None);
    let scopes = [
        RowScope::Kind(RowKind::Custom),
        RowScope::Prefix(RowKind::Custom, b"k".to_vec()),
        RowScope::Lookup { kind: RowKind::Custom, index: 0, value: b"l".to_vec() },
    ];
    for scope in &scopes {
        assert!(keys(&cx, scope).await?.is_empty(), "{scope:?}");
    }
    cx.refused(&alice, vec![Op::TakeRow(old.key.clone())], Reason::RowMissing).await?;
    cx.refused(&alice, vec![put(row("k", "v"), Expect::Body("body".into()))], Reason::RowMissing).await?;
    cx.apply(&alice, vec![put(unique("other", &["u"]), Expect::Absent), put(row("k", "new"), Expect::Absent)]).await?;
    assert_eq!(holder(&cx, 0, "u").await?, Some(b"other".to_vec()));
    cx.sweep().await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "new")), "the sweep takes what expired, not its heir");
    assert_eq!(holder(&cx, 0, "u").await?, Some(b"other".to_vec()));
    Ok(())
}

pub(crate) async fn rows_expired_are_swept(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let rows = (0..20).map(|i| put_row(expiring(&format!("k{i:02}"), Micros(START.0 + i))));
    cx.apply(&alice, rows.collect()).await?;
    let stored = async || {
        let items = cx.snapshot().await?;
        answer(items.iter().filter(|item| matches!(item, SnapshotItem::Row(_))).count())
    };
    cx.advance(9);
    assert_eq!(stored().await?, 20);
    let report = cx.db().sweep(1_000).await?;
    assert_eq!((report.done, report.rows), (true, 10), "those that expire at the time of the sweep too");
    assert_eq!(stored().await?, 10);
    assert_eq!(keys(&cx, &RowScope::Kind(RowKind::Custom)).await?.len(), 10);
    Ok(())
}

pub(crate) async fn rows_expiry_can_be_moved(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(expiring("k", Micros(START.0 + 10)))]).await?;
    cx.apply(&alice, vec![put_row(expiring("k", Micros(START.0 + 1_000)))]).await?;
    cx.apply(&alice, vec![put_row(expiring("never", Micros(START.0 + 10))), put_row(row("never", "body"))]).await?;
    cx.advance(10);
    cx.sweep().await?;
    assert_eq!(keys(&cx, &RowScope::Kind(RowKind::Custom)).await?, ["k", "never"]);
    cx.advance(990);
    cx.sweep().await?;
    assert_eq!(keys(&cx, &RowScope::Kind(RowKind::Custom)).await?, ["never"]);
    Ok(())
}

pub(crate) async fn rows_of_others_are_out_of_reach(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    cx.apply(&alice, vec![put_row(owned(&alice, "k", "v"))]).await?;
    let ops = [
        put_row(row("k", "stolen")),
        put_row(owned(&bob, "k", "stolen")),
        put(row("k", "stolen"), Expect::Body("v".into())),
        delete_row(row_key("k")),
        Op::TakeRow(row_key("k")),
    ];
    for op in ops {
        cx.refused(&bob, vec![op], Reason::RowMismatch).await?;
    }
    cx.refused(&bob, vec![put_row(owned(&alice, "other", "v"))], Reason::BadRequest).await?;
    cx.apply(&alice, vec![put_row(row("k", "given up"))]).await?;
    cx.apply(&bob, vec![put_row(owned(&bob, "k", "taken over"))]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(owned(&bob, "k", "taken over")));
    assert!(keys(&cx, &RowScope::Owner(alice)).await?.is_empty());
    Ok(())
}

pub(crate) async fn rows_expired_of_others_may_be_replaced(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    let old = Row { owner: Some(alice.clone()), unique: vec![b"u".to_vec()], ..expiring("k", Micros(START.0 + 5)) };
    cx.apply(&alice, vec![put_row(old)]).await?;
    cx.advance(5);
    let new = Row { owner: Some(bob.clone()), unique: vec![b"u".to_vec()], ..row("k", "of bob") };
    cx.apply(&bob, vec![put(new.clone(), Expect::Absent)]).await?;
    assert_eq!(cx.db().rows(&RowScope::Owner(bob), None, 10).await?.items, std::slice::from_ref(&new));
    assert!(keys(&cx, &RowScope::Owner(alice.clone())).await?.is_empty());
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(new), "the deletion takes nothing of the new owner");
    Ok(())
}

pub(crate) async fn rows_owned_need_an_account(cx: Arc<Context>) -> Outcome {
    let nobody = did("nobody");
    cx.refused(&nobody, vec![put_row(owned(&nobody, "k", "v"))], Reason::AccountMissing).await?;
    cx.apply(&nobody, vec![put_row(row("k", "v"))]).await?;
    Ok(())
}

pub(crate) async fn rows_unique_value_has_one_holder(cx: Arc<Context>) -> Outcome {
    let calls = (0..64).map(|i| {
        let did = did(&format!("u{i}"));
        let mutation = cx.mutation(&did, vec![put_row(unique(&format!("k{i}"), &["wanted"]))], Vec::new());
        let db = cx.db();
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::RowNotUnique).await, 1);
    let holder = holder(&cx, 0, "wanted").await?.expect("a holder");
    let there = keys(&cx, &RowScope::Kind(RowKind::Custom)).await?;
    assert_eq!(there, [String::from_utf8_lossy(&holder).into_owned()]);
    Ok(())
}

pub(crate) async fn rows_unique_places_are_apart(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(unique("a", &["x", "y"])), put_row(unique("b", &["y", "x"]))]).await?;
    assert_eq!(holder(&cx, 0, "x").await?, Some(b"a".to_vec()));
    assert_eq!(holder(&cx, 1, "x").await?, Some(b"b".to_vec()));
    cx.refused(&alice, vec![put_row(unique("c", &["z", "y"]))], Reason::RowNotUnique).await?;
    cx.refused(&alice, vec![put_row(unique("c", &["y"]))], Reason::RowNotUnique).await?;
    cx.apply(&alice, vec![put_row(unique("c", &["z", "z", "x", ""]))]).await?;
    assert_eq!(holder(&cx, 3, "").await?, Some(b"c".to_vec()), "an empty value is a value");
    assert_eq!(holder(&cx, 4, "").await?, None);
    Ok(())
}

pub(crate) async fn rows_unique_value_passes_on_in_one_mutation(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    // In both orders of keys: from the lesser to the greater, and back.
    for (from, to) in [("a", "b"), ("d", "c")] {
        cx.apply(&alice, vec![put_row(unique(from, &[from]))]).await?;
        let ops = vec![put_row(unique(from, &["other"])), put_row(unique(to, &[from]))];
        cx.apply(&alice, ops).await?;
        assert_eq!(holder(&cx, 0, from).await?, Some(to.as_bytes().to_vec()));
        assert_eq!(holder(&cx, 0, "other").await?, Some(from.as_bytes().to_vec()));
        cx.refused(&alice, vec![put_row(unique("late", &[from]))], Reason::RowNotUnique).await?;
        cx.apply(&alice, vec![delete_row(row_key(from)), put_row(unique("late", &["other"]))]).await?;
        cx.apply(&alice, vec![delete_row(row_key("late"))]).await?;
        assert_eq!(holder(&cx, 0, "other").await?, None);
    }
    let both = vec![put_row(unique("x", &["same"])), put_row(unique("y", &["same"]))];
    cx.refused(&alice, both, Reason::RowNotUnique).await?;
    Ok(())
}

pub(crate) async fn rows_unique_value_of_an_update_is_its_own(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(unique("k", &["u"]))]).await?;
    cx.apply(&alice, vec![put_row(Row { body: b"changed".to_vec(), ..unique("k", &["u"]) })]).await?;
    cx.apply(&alice, vec![put_row(unique("k", &["v"])), put_row(unique("k", &["u"]))]).await?;
    assert_eq!(holder(&cx, 0, "u").await?, Some(b"k".to_vec()));
    assert_eq!(holder(&cx, 0, "v").await?, None);
    Ok(())
}

pub(crate) async fn rows_are_listed_in_pages(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |kind, key: String, i: usize| Row {
        owner: i.is_multiple_of(2).then(|| did("alice")),
        lookup: vec![vec![(i % 3) as u8]],
        expires_at: i.is_multiple_of(5).then_some(START),
        ..Row::new(kind, key, "body")
    };
    let mut rows: Vec<Row> = (0..30).map(|i| make(RowKind::Device, format!("p{}/{i}", i % 4), i)).collect();
    rows.extend((0..10).map(|i| make(RowKind::Factor, format!("{i}"), i)));
    cx.apply(&alice, rows.iter().cloned().map(put_row).collect()).await?;
    // Every fifth has expired: what is filtered away shortens no page.
    rows.retain(|row| row.expires_at.is_none());
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    type Filter = fn(&Row) -> bool;
    let scopes: [(RowScope, Filter); 5] = [
        (RowScope::Kind(RowKind::Device), |row| row.key.kind == RowKind::Device),
        (RowScope::Prefix(RowKind::Device, b"p2/".to_vec()), |row| row.key.key.starts_with(b"p2/")),
        (RowScope::Prefix(RowKind::Factor, Vec::new()), |row| row.key.kind == RowKind::Factor),
        (RowScope::Owner(alice), |row| row.owner.is_some()),
        (RowScope::Lookup { kind: RowKind::Device, index: 0, value: vec![1] }, |row| {
            row.key.kind == RowKind::Device && row.lookup == [[1]]
        }),
    ];
    for (scope, is_in) in &scopes {
        let expected: Vec<&Row> = rows.iter().filter(|row| is_in(row)).collect();
        assert!(!expected.is_empty());
        for limit in [1, 3, expected.len() - 1, expected.len(), expected.len() + 1, 100_000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = cx.db().rows(scope, after.as_ref(), limit.max(1)).await?;
                found.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{scope:?} in pages of {limit}");
        }
    }
    Ok(())
}

pub(crate) async fn rows_prefixes_end_where_they_end(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let raw: [&[u8]; 7] = [&[1], &[254, 255], &[255], &[255, 0], &[255, 255], &[255, 255, 255], &[255, 254]];
    cx.apply(&alice, raw.map(|key| put_row(Row::new(RowKind::Custom, key, "x"))).into()).await?;
    for prefix in raw {
        let page = cx.db().rows(&RowScope::Prefix(RowKind::Custom, prefix.to_vec()), None, 100).await?;
        let found: Vec<&[u8]> = page.items.iter().map(|row| row.key.key.as_slice()).collect();
        let mut expected: Vec<&[u8]> = raw.into_iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort();
        assert_eq!(found, expected, "{prefix:?}");
    }
    Ok(())
}

pub(crate) async fn rows_indexes_follow(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let at = |value: &str, index| RowScope::Lookup { kind: RowKind::Custom, index, value: value.into() };
    let with_owner = Row { owner: Some(alice.clone()), unique: vec![b"u".to_vec()], ..lookup("k", &["x", "y"]) };
    cx.apply(&alice, vec![put_row(with_owner), put_row(lookup("l", &["x"]))]).await?;
    assert_eq!(keys(&cx, &at("x", 0)).await?, ["k", "l"]);
    assert_eq!(keys(&cx, &at("y", 1)).await?, ["k"]);
    assert!(keys(&cx, &at("x", 1)).await?.is_empty());
    cx.apply(&alice, vec![put_row(lookup("k", &["z", "y"]))]).await?;
    cx.reopen().await;
    assert_eq!(keys(&cx, &at("x", 0)).await?, ["l"]);
    assert_eq!(keys(&cx, &at("z", 0)).await?, ["k"]);
    assert_eq!(keys(&cx, &at("y", 1)).await?, ["k"]);
    assert!(keys(&cx, &RowScope::Owner(alice.clone())).await?.is_empty());
    assert_eq!(holder(&cx, 0, "u").await?, None);
    cx.apply(&alice, vec![delete_row(row_key("k")), Op::TakeRow(row_key("l"))]).await?;
    for scope in [at("x", 0), at("z", 0), at("y", 1)] {
        assert!(keys(&cx, &scope).await?.is_empty(), "{scope:?}");
    }
    Ok(())
}

/// Values that a careless encoding of index keys would mix up.
pub(crate) async fn rows_index_values_are_not_mixed_up(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let values: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"a\0b", b"ab", b"a\xff"];
    let keyed = |i: usize, value: &[u8]| Row {
        unique: vec![value.to_vec()],
        lookup: vec![value.to_vec()],
        ..Row::new(RowKind::Custom, [b"key".as_slice(), value, &[i as u8]].concat(), value)
    };
    let rows: Vec<Row> = values.iter().enumerate().map(|(i, value)| keyed(i, value)).collect();
    cx.apply(&alice, rows.iter().cloned().map(put_row).collect()).await?;
    for (row, value) in rows.iter().zip(values) {
        assert_eq!(cx.db().row_unique(RowKind::Custom, 0, value).await?.as_ref(), Some(row), "{value:?}");
        let scope = RowScope::Lookup { kind: RowKind::Custom, index: 0, value: value.to_vec() };
        assert_eq!(cx.db().rows(&scope, None, 10).await?.items, std::slice::from_ref(row), "{value:?}");
    }
    Ok(())
}

/// DIDs of which one is the beginning of the other own rows of their own.
pub(crate) async fn rows_owners_are_not_mixed_up(cx: Arc<Context>) -> Outcome {
    let dids = ["al", "ali", "alice", "alice2"].map(did);
    for did in &dids {
        let word = did.as_str().rsplit(':').next().unwrap_or_default();
        cx.account(word).await?;
        cx.apply(did, vec![put_row(owned(did, did.as_str(), "x"))]).await?;
    }
    for did in &dids {
        assert_eq!(keys(&cx, &RowScope::Owner(did.clone())).await?, [did.as_str()]);
    }
    cx.apply(&dids[1], vec![Op::DeleteAccount]).await?;
    assert_eq!(keys(&cx, &RowScope::Kind(RowKind::Custom)).await?.len(), 3);
    Ok(())
}
