//! What a row may be: every body, every key, every number of index values.

use super::prelude::*;

fn put(row: Row, expect: Expect) -> Op {
    Op::PutRow { row, expect }
}

fn unique(key: &str, values: &[&str]) -> Row {
    Row { unique: values.iter().map(|value| value.as_bytes().to_vec()).collect(), ..row(key, "body") }
}

async fn holder(cx: &Context, index: u8, value: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(cx.db().row_unique(RowKind::Custom, index, value).await?.map(|row| row.key.key))
}

async fn found(cx: &Context, index: u8, value: &[u8]) -> Result<Vec<Vec<u8>>> {
    let scope = RowScope::Lookup { kind: RowKind::Custom, index, value: value.to_vec() };
    Ok(cx.db().rows(&scope, None, 1_000).await?.items.into_iter().map(|row| row.key.key).collect())
}

/// A body is bytes. Whoever keeps JSON as JSON loses the spaces, the order of keys, the second of two equal keys, the
/// spelling of a number, and a zero.
pub(crate) async fn row_bodies_of_json_keep_their_bytes(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let bodies: [&[u8]; 18] = [
        br#"{"b": 1, "a":2}"#,
        br#"{"a":2,"b":1}"#,
        br#"{"a":1,"a":2}"#,
        br#"{ }"#,
        b"{}",
        b"[]",
        b"null",
        b"1.0",
        b"1",
        b"1e400",
        b"-0",
        br#""\u0000""#,
        br#""\ud800""#,
        br#""\u0041""#,
        b" 1 ",
        b"{",
        b"\xff\xfe",
        b"\x00{}",
    ];
    for (i, body) in bodies.iter().enumerate() {
        cx.apply(&alice, vec![put_row(Row::new(RowKind::Preference, format!("k{i:02}"), *body))]).await?;
    }
    cx.reopen().await;
    for (i, body) in bodies.iter().enumerate() {
        let key = RowKey { kind: RowKind::Preference, key: format!("k{i:02}").into_bytes() };
        let kept = cx.db().row(&key).await?.expect("a row");
        assert_eq!(kept.body, *body, "{}", String::from_utf8_lossy(body));
        // Two spellings of one value are two bodies.
        let expect = Expect::Body([body, &b" "[..]].concat());
        cx.refused(&alice, vec![Op::DeleteRow { key: key.clone(), expect }], Reason::RowMismatch).await?;
        cx.apply(&alice, vec![Op::DeleteRow { key, expect: Expect::Body(body.to_vec()) }]).await?;
    }
    Ok(())
}

pub(crate) async fn row_bodies_of_nothing_are_bodies(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let empty = Expect::Body(Vec::new());
    cx.refused(&alice, vec![put(row("k", "v"), empty.clone())], Reason::RowMissing).await?;
    cx.apply(&alice, vec![put_row(row("k", ""))]).await?;
    cx.reopen().await;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "")));
    cx.refused(&alice, vec![put(row("k", "v"), Expect::Absent)], Reason::RowExists).await?;
    cx.apply(&alice, vec![put(row("k", "v"), empty.clone())]).await?;
    cx.refused(&alice, vec![put(row("k", "w"), empty)], Reason::RowMismatch).await?;
    cx.apply(&alice, vec![put(row("k", ""), Expect::Body(b"v".to_vec())), Op::TakeRow(row_key("k"))]).await?;
    Ok(())
}

pub(crate) async fn row_bodies_of_the_greatest_length_are_compared_whole(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut body: Vec<u8> = (0..limits::ROW_BODY_BYTES_MAX).map(|i| (i * 7 % 251) as u8).collect();
    cx.apply(&alice, vec![put_row(Row { body: body.clone(), ..row("k", "") })]).await?;
    let last = body.len() - 1;
    body[last] ^= 1;
    cx.refused(&alice, vec![put(row("k", "x"), Expect::Body(body.clone()))], Reason::RowMismatch).await?;
    let shorter = body[..last].to_vec();
    cx.refused(&alice, vec![put(row("k", "x"), Expect::Body(shorter))], Reason::RowMismatch).await?;
    body[last] ^= 1;
    cx.apply(&alice, vec![put(row("k", "x"), Expect::Body(body))]).await?;
    Ok(())
}

/// Keys of the greatest length that differ in their last byte only.
pub(crate) async fn row_keys_of_the_greatest_length_are_apart(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let key = |filling: u8, last: u8| {
        let mut key = vec![filling; limits::ROW_KEY_BYTES_MAX];
        key[limits::ROW_KEY_BYTES_MAX - 1] = last;
        key
    };
    let keys: Vec<Vec<u8>> =
        [0, b'k', 0xff].into_iter().flat_map(|filling| [0, b'a', 0xff].map(|last| key(filling, last))).collect();
    let make = |key: &Vec<u8>| Row {
        unique: vec![key.clone()],
        lookup: vec![key.clone()],
        ..Row::new(RowKind::Custom, key.clone(), key[1023..].to_vec())
    };
    cx.apply(&alice, keys.iter().map(make).map(put_row).collect()).await?;
    cx.reopen().await;
    for key in &keys {
        assert_eq!(cx.db().row(&make(key).key).await?, Some(make(key)));
        assert_eq!(holder(&cx, 0, key).await?.as_ref(), Some(key));
        assert_eq!(found(&cx, 0, key).await?, std::slice::from_ref(key));
    }
    // After the longest key of all nothing comes, and before it all others do.
    let mut sorted = keys.clone();
    sorted.sort();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = cx.db().rows(&RowScope::Kind(RowKind::Custom), after.as_ref(), 1).await?;
        listed.extend(page.items.into_iter().map(|row| row.key.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, sorted);
    let all = cx.db().rows(&RowScope::Prefix(RowKind::Custom, vec![0xff; limits::ROW_KEY_BYTES_MAX]), None, 10).await?;
    assert_eq!(all.items.len(), 1);
    Ok(())
}

/// Every byte as a unique and as a look-up value, by itself and inside a longer one.
pub(crate) async fn row_values_of_every_byte_are_apart(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |byte: u8| Row {
        unique: vec![vec![byte], vec![b'a', byte, b'b']],
        lookup: vec![vec![b'a', byte, b'b'], vec![byte]],
        ..Row::new(RowKind::Custom, [byte, 0], [byte])
    };
    cx.apply(&alice, (0..=255).map(make).map(put_row).collect()).await?;
    for byte in 0..=255 {
        let expected = make(byte);
        for (index, value) in expected.unique.iter().enumerate() {
            assert_eq!(holder(&cx, index as u8, value).await?.as_ref(), Some(&expected.key.key), "{byte}");
        }
        for (index, value) in expected.lookup.iter().enumerate() {
            assert_eq!(found(&cx, index as u8, value).await?, std::slice::from_ref(&expected.key.key), "{byte}");
        }
    }
    Ok(())
}

/// A row that is put with fewer values gives up those that it no longer names, at each place.
pub(crate) async fn row_values_that_are_no_longer_named_are_free(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(unique("k", &["a", "b", "c"]))]).await?;
    cx.refused(&alice, vec![put_row(unique("other", &["x", "y", "c"]))], Reason::RowNotUnique).await?;
    cx.apply(&alice, vec![put_row(unique("k", &["a"]))]).await?;
    assert_eq!(holder(&cx, 2, b"c").await?, None);
    cx.apply(&alice, vec![put_row(unique("other", &["x", "b", "c"]))]).await?;
    assert_eq!(holder(&cx, 1, b"b").await?, Some(b"other".to_vec()));
    cx.refused(&alice, vec![put_row(unique("k", &["a", "b"]))], Reason::RowNotUnique).await?;
    cx.apply(&alice, vec![put_row(row("k", "none at all"))]).await?;
    assert_eq!(holder(&cx, 0, b"a").await?, None);
    Ok(())
}

/// The same value at two places of one row is found once at each.
pub(crate) async fn row_values_may_stand_at_two_places(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let same = vec![b"v".to_vec(); 4];
    let both = Row { unique: same.clone(), lookup: same, ..row("k", "x") };
    cx.apply(&alice, vec![put_row(both.clone())]).await?;
    for index in 0..4 {
        assert_eq!(holder(&cx, index, b"v").await?, Some(b"k".to_vec()), "{index}");
        assert_eq!(found(&cx, index, b"v").await?, [b"k".to_vec()], "{index}");
    }
    // One of them goes, the others stay.
    let fewer = Row { unique: vec![b"v".to_vec(), b"w".to_vec()], lookup: vec![b"w".to_vec(), b"v".to_vec()], ..both };
    cx.apply(&alice, vec![put_row(fewer)]).await?;
    assert_eq!((holder(&cx, 0, b"v").await?, holder(&cx, 1, b"v").await?), (Some(b"k".to_vec()), None));
    assert!(found(&cx, 0, b"v").await?.is_empty() && found(&cx, 1, b"v").await?.len() == 1);
    Ok(())
}

/// No row has a value at a place beyond the last.
pub(crate) async fn row_values_have_no_place_beyond_the_last(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let full = Row { unique: vec![vec![b'v']; 4], lookup: vec![vec![b'v']; 4], ..row("k", "x") };
    cx.apply(&alice, vec![put_row(full)]).await?;
    for index in [4, 127, 128, 255] {
        assert_eq!(holder(&cx, index, b"v").await?, None, "{index}");
        assert!(found(&cx, index, b"v").await?.is_empty(), "{index}");
    }
    let too_long = vec![b'v'; limits::ROW_KEY_BYTES_MAX + 1];
    assert_eq!(holder(&cx, 0, &too_long).await?, None, "a value that no row can have is no row's");
    assert!(found(&cx, 0, &too_long).await?.is_empty());
    Ok(())
}

/// A row created and deleted in one mutation was never there; deleted and created, it is the new one. So are its indexes.
pub(crate) async fn row_changes_in_one_mutation_end_with_the_last(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let full = |key: &str, value: &str| Row { lookup: vec![value.into()], ..unique(key, &[value]) };
    cx.apply(&alice, vec![put_row(full("never", "n")), delete_row(row_key("never"))]).await?;
    assert_eq!((cx.db().row(&row_key("never")).await?, holder(&cx, 0, b"n").await?), (None, None));
    cx.apply(&alice, vec![put_row(full("k", "old"))]).await?;
    cx.apply(&alice, vec![delete_row(row_key("k")), put(full("k", "new"), Expect::Absent)]).await?;
    cx.reopen().await;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(full("k", "new")));
    assert_eq!((holder(&cx, 0, b"old").await?, holder(&cx, 0, b"new").await?), (None, Some(b"k".to_vec())));
    assert!(found(&cx, 0, b"old").await?.is_empty());
    // There and back: what was, is.
    cx.apply(&alice, vec![put_row(full("k", "other")), delete_row(row_key("k")), put_row(full("k", "new"))]).await?;
    assert_eq!(holder(&cx, 0, b"new").await?, Some(b"k".to_vec()));
    assert_eq!((holder(&cx, 0, b"other").await?, found(&cx, 0, b"new").await?.len()), (None, 1));
    Ok(())
}

pub(crate) async fn row_changes_in_one_mutation_are_expected_of_each_other(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let absent = |body: &str| put(row("k", body), Expect::Absent);
    cx.refused(&alice, vec![absent("1"), absent("2")], Reason::RowExists).await?;
    cx.refused(&alice, vec![absent("1"), put(row("k", "2"), Expect::Body("0".into()))], Reason::RowMismatch).await?;
    let delete = |expect| Op::DeleteRow { key: row_key("k"), expect };
    cx.refused(&alice, vec![absent("1"), delete(Expect::Any), delete(Expect::Body("1".into()))], Reason::RowMissing)
        .await?;
    cx.refused(&alice, vec![absent("1"), Op::TakeRow(row_key("k")), Op::TakeRow(row_key("k"))], Reason::RowMissing)
        .await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, None);
    let receipt =
        cx.apply(&alice, vec![absent("1"), Op::TakeRow(row_key("k")), absent("2"), Op::TakeRow(row_key("k"))]).await?;
    assert_eq!(receipt.taken, [row("k", "1"), row("k", "2")], "each time as it was then");
    Ok(())
}

/// The deletion of what is not there is taken, has a position, and changes nothing.
pub(crate) async fn row_deletions_of_nothing_change_nothing(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let before = cx.snapshot().await?;
    let ops = vec![delete_row(row_key("k")), Op::DeleteRow { key: row_key("l"), expect: Expect::Absent }];
    let receipt = cx.apply(&alice, ops).await?;
    assert_eq!((receipt.pos, receipt.taken), (Pos(2), vec![]));
    let after = cx.snapshot().await?;
    let but_receipts = |items: &[SnapshotItem]| {
        items.iter().filter(|item| !matches!(item, SnapshotItem::Receipt(..))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(digest::difference(&but_receipts(&before), &but_receipts(&after)), None);
    assert_eq!(after.len(), before.len() + 1);
    Ok(())
}

/// A row of an account is taken by a mutation of that account, and of no other.
pub(crate) async fn row_takers_must_be_owners(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    let owned = Row { owner: Some(alice.clone()), ..row("k", "v") };
    cx.apply(&alice, vec![put_row(owned.clone())]).await?;
    cx.refused(&bob, vec![Op::TakeRow(owned.key.clone())], Reason::RowMismatch).await?;
    let receipt = cx.apply(&alice, vec![Op::TakeRow(owned.key.clone())]).await?;
    assert_eq!(receipt.taken, std::slice::from_ref(&owned));
    cx.refused(&bob, vec![Op::TakeRow(owned.key)], Reason::RowMissing).await
}

/// Rows that have expired and were not swept go with their account too.
pub(crate) async fn row_owners_take_expired_rows_with_them(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let brief = Row { owner: Some(alice.clone()), expires_at: Some(Micros(START.0 + 1)), ..row("brief", "v") };
    cx.apply(&alice, vec![put_row(brief)]).await?;
    cx.advance(10);
    assert!(cx.db().rows(&RowScope::Owner(alice.clone()), None, 10).await?.items.is_empty(), "not there any more");
    let stored =
        async || answer(cx.snapshot().await?.iter().filter(|item| matches!(item, SnapshotItem::Row(_))).count());
    assert_eq!(stored().await?, 1);
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    assert_eq!(stored().await?, 0);
    Ok(())
}

/// Five thousand rows of one account, of several kinds, go with it in one mutation; its neighbours' stay.
pub(crate) async fn row_owners_take_thousands_of_rows_with_them(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    for some in 0..5 {
        let make = |i: usize| Row {
            owner: Some(alice.clone()),
            unique: vec![format!("{some} {i}").into_bytes()],
            ..Row::new(RowKind::ALL[i % 10], format!("{some} {i}"), "x")
        };
        cx.apply(&alice, (0..1_000).map(make).map(put_row).collect()).await?;
    }
    let of_bob = Row { owner: Some(bob.clone()), ..row("of bob", "x") };
    cx.apply(&bob, vec![put_row(of_bob.clone())]).await?;
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    for kind in RowKind::ALL {
        let left = cx.db().rows(&RowScope::Kind(*kind), None, 10).await?.items;
        assert_eq!(left.len(), usize::from(*kind == RowKind::Custom), "{kind:?}");
    }
    assert_eq!(cx.db().row_unique(RowKind::Session, 0, b"0 0").await?, None);
    assert_eq!(cx.db().rows(&RowScope::Owner(bob), None, 10).await?.items, [of_bob]);
    Ok(())
}

/// A row that is put again is found by what it has now, at every place of its lists, and by nothing that it had.
pub(crate) async fn row_values_follow_at_every_place(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let values = |from: u8| (from..from + 4).map(|n| vec![n]).collect::<Vec<_>>();
    let of = |from: u8| Row { unique: values(from), lookup: values(from), ..row("k", "body") };
    for from in [10, 20, 23] {
        cx.apply(&alice, vec![put_row(of(from))]).await?;
        for place in 0..4 {
            for value in 10..30 {
                let expected = (value == from + place).then(|| b"k".to_vec());
                assert_eq!(holder(&cx, place, &[value]).await?, expected, "{value} at {place} of {from}");
                assert_eq!(found(&cx, place, &[value]).await?, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
    Ok(())
}
